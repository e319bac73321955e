# SPDX-License-Identifier: Apache-2.0
# The example of a store that is a module of its own, what the stores promise, what a record takes. Included by
# mk/check.mk.

.PHONY: lint-guarantees guarantees sizing

# Beside mod_idempotency.so, for tests/http.
STORE_MODULES := $(addprefix $(BUILD)/,mod_idem_files.so mod_idem_files_1.so mod_idem_strange.so flushed.so)

# A store of somebody else's: compiled with the public header, APR and httpd, and no other include path of ours.
EXAMPLE_SRC := $(wildcard tests/store/example/*.c)
CFILES      += $(EXAMPLE_SRC) tests/http/flushed.c
$(BUILD)/tests/store/example/%.o: INC = -Iinclude $(HTTPD_FLAGS)
$(BUILD)/mod_idem_files.so: $(call objects,$(EXAMPLE_SRC))
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^

# The same as it was compiled with version 1 of that header, and stores of versions that are not known.
CFILES += tests/store/versions/files_1.c tests/store/versions/mod_idem_strange.c
$(BUILD)/tests/store/versions/files_1.o: INC = -iquote tests/store/versions/1 $(HTTPD_FLAGS)
$(BUILD)/warnings/tests/store/versions/files_1.ok: HTTP_INC := -iquote tests/store/versions/1 $(HTTP_INC)
$(BUILD)/tests/store/versions/mod_idem_strange.o: INC = -Iinclude $(HTTPD_FLAGS)
$(BUILD)/mod_idem_files_1.so: $(BUILD)/tests/store/versions/files_1.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^
$(BUILD)/mod_idem_strange.so: $(BUILD)/tests/store/versions/mod_idem_strange.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^

# Preloaded into servers whose power is to fail.
$(BUILD)/flushed.so: $(BUILD)/tests/http/flushed.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^

# The tables of docs/stores.md: what drivers say of themselves, and which tests show what becomes of their entries.
# Tests that look inside drivers: their rooms are on no other path.
INSIDE := -iquote src/store/lmdb -iquote src/store/socache -iquote src/store/redis
$(BUILD)/tests/store/lmdb/durability_place.o: INC = $(STORE_INC) -iquote tests/store/conformance $(INSIDE)
$(BUILD)/tests/lint/guarantees.o: INC = $(STORE_INC) $(INSIDE) $(HTTPD_FLAGS)
$(BUILD)/warnings/tests/%.ok: HTTP_INC += $(INSIDE) -iquote tests/base -iquote tests/store/conformance
$(BUILD)/guarantees: $(BUILD)/tests/lint/guarantees.o $(BUILD)/src/store/socache/kinds.o $(CORE) $(OFFLINE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ -lapr-1 -laprutil-1 $(OFFLINE_LIBS)
lint-guarantees: $(BUILD)/guarantees
	@$(PYTHON) tests/lint/guarantees.py $<
guarantees: $(BUILD)/guarantees
	$(PYTHON) tests/lint/guarantees.py $< --write
## make guarantees    write the tables of what stores promise into docs/stores.md

sizing: $(BUILD)/driven
	@$(PYTHON) tests/bench/sizing.py $(BUILD) $(SIZING_RECORDS)
## make sizing        what a record takes in each store: the figures of docs/stores.md (SIZING_RECORDS=10000)
