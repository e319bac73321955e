# SPDX-License-Identifier: Apache-2.0
# The readers of request bodies against other readers. Included by mk/check.mk.

.PHONY: bodies
CFILES += tests/bodies/read_bodies.c
$(BUILD)/tests/bodies/%.o: INC = $(CORE_INC) -iquote tests/base
$(BUILD)/read_bodies: $(BUILD)/tests/bodies/read_bodies.o $(CORE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(OFFLINE_LIBS)
bodies: $(BUILD)/read_bodies
	@IDEM_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/bodies $(PYTEST_ARGS)
## make bodies        forms and JSON as Python reads them, RFC 8785's vectors, bounds of time and memory
