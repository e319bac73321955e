# SPDX-License-Identifier: Apache-2.0
# What is given to others: other versions of httpd, source archives, packages. Included by the Makefile.

.PHONY: platform

# The code for an httpd that is older than the one here: compiled without a warning, loaded into this one.
platform:
	@tests/platform/old_headers "$$($(APXS) -q INCLUDEDIR)" '$(BUILD)/platform/include'
	+@$(MAKE) --no-print-directory BUILD='$(BUILD)/platform' HTTPD_FLAGS='-isystem $(BUILD)/platform/include' \
	    WERROR=-Werror all
	@nm -D --undefined-only '$(BUILD)/platform/mod_idempotency.so' | \
	    { ! grep -w -e ap_parse_strict_length -e ap_hook_child_stopping; }
	@tests/install/test_install.sh '$(BUILD)/platform/mod_idempotency.so'
## make platform      the module as httpd 2.4.37 (RHEL 8) lets one compile it
