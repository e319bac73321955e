# SPDX-License-Identifier: Apache-2.0
# What a user of the module needs besides the build: packages, installation, the demo. Included by the Makefile.

.PHONY: deps deps-build deps-demo install uninstall install-check demo demo-stop

deps:
	@tests/deps/install build demo test
deps-build deps-demo: deps-%:
	@tests/deps/install build $(filter-out build,$*)
## make deps          install the Debian packages that building, demo and tests need
##                     (make deps-build, deps-demo: only those)

install: all
	@conf/install.sh '$(BUILD)/mod_idempotency.so' '$(APXS)' '$(DESTDIR)'
## make install       the module and its configuration where httpd finds them, schemas, policies, monitoring (DESTDIR=)
uninstall:
	@conf/uninstall.sh '$(APXS)' '$(DESTDIR)'
## make uninstall     takes that away again; edited files and stores stay
install-check: all man html-check
	@tests/install/test_install.sh '$(BUILD)/mod_idempotency.so'
	@tests/install/test_dist.sh
	@tests/install/test_manpage.sh '$(BUILD)/mod_idempotency.5'

# The build is a make of its own: this one read the compiler's flags before the packages were there.
demo: deps-demo
	+@$(MAKE) --no-print-directory all
	@demo/demo.sh start '$(BUILD)'
demo-stop:
	@demo/demo.sh stop '$(BUILD)'
## make demo          a small shop behind the module, on 127.0.0.1, and a dialogue with it; make demo-stop ends it
