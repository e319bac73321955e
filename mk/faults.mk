# SPDX-License-Identifier: Apache-2.0
# Faults inside one request, and very many keys. Included by the Makefile, which says what the names mean.

.PHONY: faults faults-short million

$(BUILD)/tests/faults/%.o: INC = -U_FORTIFY_SOURCE $(HTTPD_FLAGS)
$(BUILD)/faults.so: $(BUILD)/tests/faults/interposer.o $(BUILD)/tests/faults/interposer_calls.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^ -lpthread
$(BUILD)/mod_idem_faults.so: $(BUILD)/tests/faults/mod_idem_faults.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^

# Each call of each class fails once, in each scene on each store; faults-short takes a part of them.
FAULTS_ARGS ?=
faults-short: FAULTS_SCOPE = --short
faults faults-short: all $(TEST_MODULES) $(BUILD)/faults.so $(BUILD)/mod_idem_faults.so
	@$(PYTEST) tests/faults
	@IDEM_MODULE=$(abspath $(BUILD))/mod_idempotency.so $(PYTHON) tests/faults/sweep.py $(FAULTS_SCOPE) $(FAULTS_ARGS)
## make faults        the n-th call fails, for every n: memory, files, disk, network, locks
##                     (FAULTS_ARGS="--store lmdb --kind flush"); faults-short: a minute

MILLION_ARGS ?=
million: all $(BUILD)/driven
	@IDEM_MODULE=$(abspath $(BUILD))/mod_idempotency.so $(PYTHON) tests/faults/million.py $(MILLION_ARGS)
## make million       one client with a million keys: memory and store stay bounded
##                     (MILLION_ARGS="--sync on --keys 200000")
