# The example of a store that is a module of its own, what the stores promise, what a record takes. Included by mk/check.mk.

.PHONY: lint-guarantees guarantees sizing

# A store of somebody else's: compiled with the public header, APR and httpd, and no other include path of ours.
EXAMPLE_SRC := $(wildcard tests/store/example/*.c)
CFILES      += $(EXAMPLE_SRC)
$(BUILD)/tests/store/example/%.o: INC = -Iinclude $(HTTPD_FLAGS)
$(BUILD)/mod_idem_files.so: $(call objects,$(EXAMPLE_SRC))
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^
