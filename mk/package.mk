# SPDX-License-Identifier: Apache-2.0
# What is given to others: other versions of httpd, source archives, packages. Included by the Makefile.

.PHONY: platform dist

# The code for an httpd that is older than the one here: compiled without a warning, loaded into this one.
platform:
	@tests/platform/old_headers "$$($(APXS) -q INCLUDEDIR)" '$(BUILD)/platform/include'
	+@$(MAKE) --no-print-directory BUILD='$(BUILD)/platform' HTTPD_FLAGS='-isystem $(BUILD)/platform/include' \
	    WERROR=-Werror all
	@nm -D --undefined-only '$(BUILD)/platform/mod_idempotency.so' | \
	    { ! grep -w -e ap_parse_strict_length -e ap_hook_child_stopping; }
	@tests/install/test_install.sh '$(BUILD)/platform/mod_idempotency.so'
## make platform      the module as httpd 2.4.37 (RHEL 8) lets one compile it

# Of the last commit, whatever else lies in the folder: the same commit makes the same bytes.
DIST = mod_idempotency-$(VERSION)
dist:
	@test -e .git || { echo "dist: this is no clone: there is no commit to make an archive of" >&2; exit 1; }
	@test -z "$$(git status --porcelain)" || echo "dist: changes that are not committed are left out" >&2
	@mkdir -p '$(BUILD)/dist'
	@git -c tar.umask=0022 archive --format=tar --prefix='$(DIST)/' -o '$(BUILD)/dist/$(DIST).tar' HEAD
	@gzip -9nf '$(BUILD)/dist/$(DIST).tar'
	@echo "made       $(BUILD)/dist/$(DIST).tar.gz"
## make dist          build/dist/mod_idempotency-VERSION.tar.gz of the last commit, the same bytes each time
