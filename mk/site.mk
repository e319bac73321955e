# SPDX-License-Identifier: Apache-2.0
# The documents as HTML: a page of each in conf/site/pages. Included by the Makefile.

.PHONY: html html-check
SITE       := $(BUILD)/html
SITE_LIST  := conf/site/pages
SITE_PARTS := $(SITE_LIST) conf/site/site.lua conf/site/page.html VERSION mk/site.mk

SITE_PAGES := $(shell awk '/^[A-Za-z]/ { print $$1 ":" $$2 }' $(SITE_LIST))
SITE_FILES := $(shell awk '$$1 == "+" { print $$2 ":" $$3 }' $(SITE_LIST))
site_from   = $(firstword $(subst :, ,$(1)))
site_to     = $(SITE)/$(lastword $(subst :, ,$(1)))

html: $(foreach pair,$(SITE_PAGES) $(SITE_FILES),$(call site_to,$(pair)))
	@find '$(SITE)' -type f | grep -vxF $(^:%=-e '%') | xargs -r rm -f
## make html          build/html, the documents as a site without scripts, which make install takes along (needs pandoc)

define site_page
$(call site_to,$(1)): $(call site_from,$(1)) $(SITE_PARTS)
	@mkdir -p $$(@D)
	$$(call say,HTML,$$@)
	$$(Q)pandoc -f gfm -t html5 -s --toc --toc-depth=3 --no-highlight --wrap=preserve --template conf/site/page.html \
	    -L conf/site/site.lua -M source=$$< -M version='$(VERSION)' -o $$@ $$<

endef
define site_file
$(call site_to,$(1)): $(call site_from,$(1))
	@mkdir -p $$(@D)
	$$(Q)install -m 644 $$< $$@

endef
$(eval $(foreach pair,$(SITE_PAGES),$(call site_page,$(pair))))
$(eval $(foreach pair,$(SITE_FILES),$(call site_file,$(pair))))

html-check: html
	@$(PYTHON) tests/install/check_site.py '$(SITE)'
