# SPDX-License-Identifier: Apache-2.0
# What is given to others: other versions of httpd, source archives, packages. Included by the Makefile.

.PHONY: platform headers machines compiled dist man deb deb-test rpm-test container-test

# The code for an httpd that is older than the one here: compiled without a warning, loaded into this one.
platform:
	@tests/platform/old_headers "$$($(APXS) -q INCLUDEDIR)" '$(BUILD)/platform/include'
	+@$(MAKE) --no-print-directory BUILD='$(BUILD)/platform' HTTPD_FLAGS='-isystem $(BUILD)/platform/include' \
	    WERROR=-Werror all
	@nm -D --undefined-only '$(BUILD)/platform/mod_idempotency.so' | \
	    { ! grep -w -e ap_parse_strict_length -e ap_hook_child_stopping; }
	@tests/install/test_install.sh '$(BUILD)/platform/mod_idempotency.so'
## make platform      the module as httpd 2.4.37 (RHEL 8) lets one compile it

# Those of other versions, as far as they can be had; HEADERS= adds SUITE=URI of an archive, or folders of source.
HEADERS ?=
compiled: $(MODULE)
headers:
	+@tests/platform/matrix '$(MAKE)' '$(BUILD)/headers' $(HEADERS)
## make headers       the sources against the headers of each Debian suite that can be had, and of
##                    HEADERS='SUITE=URI… TREE…', Ubuntu's or httpd's trunk

# Another word size and byte order; the libraries come from Debian's archive once.
machines: $(BUILD)/conformance $(BUILD)/tests/core/test_record_format
	+@tests/platform/machines '$(MAKE)' '$(BUILD)' '$(BUILD)/machines'
## make machines      unit tests, conformance and each other's records on i386 and s390x (root, mmdebstrap, some
##                    minutes; cross compilers and qemu-user of make deps)

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

man: $(BUILD)/mod_idempotency.5
$(BUILD)/mod_idempotency.5: docs/manual.md conf/manpage.lua VERSION
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)pandoc -f gfm -s -t man -L conf/manpage.lua -M title=mod_idempotency -M section=5 -M header='Apache httpd' \
	    -M footer='mod_idempotency $(VERSION)' -M hyphenate=false -V adjusting=l -o $@ $<
## make man           build/mod_idempotency.5, the manual as a man page, which make install takes along (needs pandoc)

# In a copy, so that the tree stays clean; settings of this make are not the package's.
DEB     = $(BUILD)/deb
DEB_ENV = env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS
# debian/control and debian/changelog name nobody yet; who builds for others does.
MAINTAINER ?=
deb:
	@rm -rf '$(DEB)' && mkdir -p '$(DEB)/source'
	@if [ -e .git ]; then git archive HEAD; else tar -c --exclude='./$(BUILD)' .; fi | tar -x -C '$(DEB)/source'
	@test -z '$(MAINTAINER)' || sed -i -E 's|^(Maintainer: ).*|\1$(MAINTAINER)|; s|^( -- ).*>|\1$(MAINTAINER)|' \
	    '$(DEB)/source/debian/control' '$(DEB)/source/debian/changelog'
	@cd '$(DEB)/source' && $(DEB_ENV) dpkg-buildpackage -us -uc -b -jauto >../log 2>&1 || { tail -40 ../log; exit 1; }
	@lintian --pedantic --fail-on error,warning,pedantic '$(DEB)'/*.changes
	@ls '$(DEB)'/*.deb
## make deb           build/deb/libapache2-mod-idempotency_VERSION_ARCH.deb of the last commit, without complaints of
##                    lintian (needs debhelper and lintian; MAINTAINER='Name <address>')

# Another version to go up to and back from: its records have a format that this one does not know.
deb-test: deb
	@rm -rf '$(DEB)/next' && cp -a '$(DEB)/source' '$(DEB)/next' && rm -rf '$(DEB)/next/build'
	@sed -i 's/^#define IDEM_RECORD_VERSION 4$$/#define IDEM_RECORD_VERSION 6/' '$(DEB)/next/src/core/record.h'
	@grep -q '^#define IDEM_RECORD_VERSION 6$$' '$(DEB)/next/src/core/record.h'
	@echo '$(VERSION)-next' >'$(DEB)/next/VERSION'
	+@$(DEB_ENV) $(MAKE) -C '$(DEB)/next' all CC='$(CC)' >'$(DEB)/next.log' 2>&1 || \
	    { tail -40 '$(DEB)/next.log'; exit 1; }
	@cp '$(DEB)/next/VERSION' '$(DEB)/next/build/version'
	@tests/install/test_package.sh '$(DEB)'/libapache2-mod-idempotency_*.deb '$(DEB)/next/build'
## make deb-test      that package in a chroot with a real apache2: install, upgrade and downgrade under load, remove,
##                    purge (root, mmdebstrap)

rpm-test:
	@CC='$(CC)' tests/install/test_rpm.sh
## make rpm-test      packaging/rpm and packaging/selinux with Debian's rpm, rpmlint and checkmodule
container-test:
	@$(PYTHON) tests/install/test_container.py
## make container-test  packaging/container step by step in a chroot, then the container's life (root, mmdebstrap)
