# SPDX-License-Identifier: Apache-2.0
# mod_idempotency. `make help` lists the targets; CONTRIBUTING.md says how to work with them.
#
# Each layer is compiled with the include paths of the layers below it and no others, so that a wrong #include does not
# even compile. Objects depend on the headers they read (-MMD) and on the flags they were made with ($(BUILD)/.flags).

APXS     ?= apxs
PYTHON   ?= /usr/bin/python3
BUILD    ?= build
STATEDIR ?= /var/lib/apache2
VERSION  := $(shell cat VERSION)
DESTDIR  ?=
ifeq ($(origin CC),default)
CC       := gcc
endif

# Packagers and continuous integration override these. WERROR is for people who change the code, not for who builds it.
OPT      ?= -O2 -g
CFLAGS   ?= $(OPT)
HARDEN   ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2
LDFLAGS  ?=
CHECKING := check unit conformance durability integration integration-short integration-event built asan tsan \
            valgrind warnings
WERROR   ?= $(if $(CI)$(filter $(CHECKING),$(MAKECMDGOALS)),-Werror)

WARN     := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wformat=2 -Wimplicit-fallthrough -Wstrict-prototypes

# One short line a file, or with V=1 the whole commands.
ifeq ($(V),)
Q := @
endif
say = @$(if $(Q),printf '  %-5s %s\n' $(1) $(2),:)

# ---- what is made of what --------------------------------------------------------------------------------------------

APR_FLAGS   := $(shell apr-1-config --cppflags 2>/dev/null) -isystem $(shell apr-1-config --includedir 2>/dev/null)
HTTPD_FLAGS := -isystem $(shell $(APXS) -q INCLUDEDIR 2>/dev/null)
APR_LIBS    := $(shell apr-1-config --link-ld 2>/dev/null) $(shell apu-1-config --link-ld 2>/dev/null)

LANGUAGE = -std=c11 -D_GNU_SOURCE $(APR_FLAGS) -DIDEM_STATEDIR='"$(STATEDIR)"' -DIDEM_VERSION='"$(VERSION)"' \
           $(DRIVER_FLAGS) $(WARN)
COMPILE  = $(CC) $(LANGUAGE) $(HARDEN) $(SAN) -fPIC -fvisibility=hidden $(CFLAGS)
LINK     = $(CC) $(SAN) $(CFLAGS) $(LDFLAGS)

CORE_SRC  := $(wildcard src/base/*.c src/core/*.c)
STORE_SRC := $(wildcard src/store/*/*.c)

# Drivers of stores whose client library may be missing: compiled where its header is there.
has_header = $(shell printf '\043include <$(1)>\n' | $(CC) -E -x c - >/dev/null 2>&1 && echo yes)
ifeq ($(call has_header,hiredis/hiredis.h),yes)
DRIVER_FLAGS += -DIDEM_WITH_REDIS
DRIVER_LIBS  += -lhiredis -lssl
else
STORE_SRC := $(filter-out src/store/redis/%,$(STORE_SRC))
endif
# Keys and fingerprints out of JSON bodies.
ifeq ($(call has_header,jansson.h),yes)
DRIVER_FLAGS += -DIDEM_WITH_JANSSON
DRIVER_LIBS  += -ljansson
endif
# memcached needs no library.
DRIVER_FLAGS += -DIDEM_WITH_MEMCACHE
# Of apr_dbd's engines the one is loaded that a configuration names; the drivers have packages of their own.
ifneq ($(wildcard $(shell apu-1-config --includedir 2>/dev/null)/apr_dbd.h),)
DRIVER_FLAGS += -DIDEM_WITH_DBD
else
STORE_SRC := $(filter-out src/store/dbd/%,$(STORE_SRC))
endif

# What administrators use: the verbs, and the command line, whose client of the admin API wants libcurl.
OPS_SRC   := $(wildcard src/ops/*.c)
CLI_SRC   := $(wildcard src/cli/*.c)
HTTP_SRC  := $(wildcard src/http/*/*.c src/http/*.c) $(wildcard mod_idempotency.c)
UNIT_SRC  := $(wildcard tests/base/*.c tests/core/*.c)
STEST_SRC := $(wildcard tests/store/*.c $(addsuffix /*.c,$(addprefix tests/store/,front conformance lmdb)))
TEST_MODULE_SRC := $(wildcard tests/http/modules/*.c tests/store/mod_*.c tests/store/conformance/mod_*.c)
CFILES    := $(CORE_SRC) $(STORE_SRC) $(OPS_SRC) $(CLI_SRC) $(HTTP_SRC) $(UNIT_SRC) $(STEST_SRC) \
             $(wildcard tests/http/modules/*.c tests/lint/*.c tests/fuzz/*.c tests/faults/*.c)

# The paths of the rooms that stand above one in src/rooms. A driver's room is never among them: only its own files see
# its headers.
above   = $(shell awk -v room='$(1)' \
            '$$1 == room { exit } /^[a-z]/ && !/ driver/ { sub("/[^/]*[.]h$$", "", $$1); print "-I" $$1 }' src/rooms)
ROOMS   := $(shell awk '/^src/ && !/[.]h / && !/ driver/ { print $$1 }' src/rooms)
IN_HTTPD := $(shell awk '/^src.* httpd/ { print $$1 }' src/rooms)
DRIVERS := $(shell awk '/^src.* driver/ { print $$1 }' src/rooms)
CORE_INC  := $(call above,src/store/common)
STORE_INC := $(call above,src/store/lmdb)
HTTP_INC  := $(call above,.) $(HTTPD_FLAGS)

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
CORE      := $(call objects,$(CORE_SRC))
# The store layer without what needs httpd around it, which is what tests and command-line tools link.
OFFLINE   := $(call objects,$(filter-out src/store/socache/%,$(STORE_SRC)))
# Inside httpd the registry has more drivers: the same source, compiled once more.
REGISTRY  := $(BUILD)/src/store/front/registry_httpd.o
MODULE    := $(CORE) $(REGISTRY)
MODULE    += $(call objects,$(filter-out src/store/front/registry.c,$(STORE_SRC)) $(OPS_SRC) $(HTTP_SRC))
MODULE_LIBS  := $(DRIVER_LIBS) -llmdb -lcrypto -lpthread
OFFLINE_LIBS := $(DRIVER_LIBS) -llmdb -lcrypto $(APR_LIBS) -lpthread

.PHONY: all FORCE
all: $(BUILD)/mod_idempotency.so $(BUILD)/idemctl
## make               build/mod_idempotency.so, build/idemctl
##                    (CC=, CFLAGS=, LDFLAGS=, APXS=, STATEDIR=/var/lib/apache2 may be given)

$(BUILD)/mod_idempotency.so: $(MODULE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,-z,relro,-z,now -Wl,--as-needed -o $@ $(MODULE) $(MODULE_LIBS)

$(BUILD)/idemctl: $(CORE) $(OFFLINE) $(call objects,$(OPS_SRC) $(CLI_SRC))
	$(call say,LINK,$@)
	$(Q)$(LINK) -Wl,-z,relro,-z,now -Wl,--as-needed -o $@ $^ -lcurl $(OFFLINE_LIBS)

$(BUILD)/tests/fuzz/%.o: INC = $(HTTP_INC) -iquote tests/base
$(BUILD)/tests/base/%.o $(BUILD)/tests/core/%.o $(BUILD)/tests/lint/%.o: INC = $(CORE_INC) -iquote tests/base
$(BUILD)/tests/store/%.o: INC = $(STORE_INC) -iquote tests/store/conformance
$(call objects,$(TEST_MODULE_SRC)): INC = $(STORE_INC) $(HTTPD_FLAGS)
# A room sees the rooms above it, a driver's not the front; a room's own headers are found without a path.
define sees
$(BUILD)/$(1)/%.o: INC = $(call above,$(2)) $(if $(filter $(1),$(IN_HTTPD)),$(HTTPD_FLAGS))

endef
$(eval $(foreach room,$(ROOMS),$(call sees,$(room),$(room))))
$(eval $(foreach room,$(DRIVERS),$(call sees,$(room),src/store/front)))
# The one file whose symbols are seen: httpd looks up the module record by name. All else in it is static (make
# lint-exports).
$(BUILD)/mod_idempotency.o: INC = $(HTTP_INC) -fvisibility=default
$(REGISTRY): INC = $(STORE_INC) -DIDEM_WITH_SOCACHE
$(BUILD)/tests/%.o: INC += -UNDEBUG
$(call objects,$(TEST_MODULE_SRC)): INC += -fvisibility=default

# Compiled in as it is.
$(BUILD)/src/http/admin/assets.o: src/http/admin/openapi.json $(wildcard src/http/admin/page/*)
$(BUILD)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) $(WERROR) $(INC) -MMD -MP -c -o $@ $<

$(REGISTRY): src/store/front/registry.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) $(WERROR) $(INC) -MMD -MP -c -o $@ $<

# Rewritten only when it changes: another compiler, sanitizer or STATEDIR rebuilds everything, the same ones nothing.
quote = '$(subst ','\'',$(1))'
$(BUILD)/.flags: FORCE | $(BUILD)/.toolchain
	@printf '%s\n' $(call quote,$(COMPILE)) | cmp -s - $@ || printf '%s\n' $(call quote,$(COMPILE)) > $@

$(BUILD)/.toolchain:
	@tests/deps/toolchain $(call quote,$(CC)) $(call quote,$(APXS))
	@mkdir -p $(@D) && touch $@

-include $(shell find $(BUILD)/src $(BUILD)/tests $(BUILD)/mod_idempotency.d -name '*.d' 2>/dev/null)

# ---- the rest --------------------------------------------------------------------------------------------------------

include mk/check.mk mk/faults.mk mk/bench.mk mk/run.mk mk/package.mk mk/site.mk

.PHONY: clean help
clean:
	rm -rf $(BUILD)
## make clean         remove build/ (stop a running demo first: make demo-stop)

help:
	@sed -n 's/^## //p' Makefile mk/run.mk mk/suite.mk mk/check.mk mk/bench.mk mk/faults.mk mk/package.mk mk/site.mk
