# SPDX-License-Identifier: Apache-2.0
# What proves that it works: programs, suites, lint. Included by the Makefile, which says what the names mean.

include mk/stores.mk

.PHONY: check unit conformance conformance-httpd durability servers model integration
check: all unit bodies conformance durability model warnings lint install-check fuzz-replay
## make check         unit tests, readers of bodies, store conformance, durability, protocol model, lint: no network

include mk/suite.mk mk/bodies.mk

# ---- programs --------------------------------------------------------------------------------------------------------

# tests/base, tests/core: those rooms alone. tests/store/front: the store's front over a driver that answers as planned.
UNITS       := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/base/test_*.c tests/core/test_*.c))
UNIT_HELP   := $(call objects,$(filter-out tests/base/test_% tests/core/test_%,$(UNIT_SRC)))
STEST_UNITS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/store/front/test_*.c))
STEST_HELP  := $(call objects,$(filter-out tests/store/front/test_%,$(filter tests/store/front/%,$(STEST_SRC))))

$(UNITS): $(BUILD)/%: $(BUILD)/%.o $(UNIT_HELP) $(CORE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ -lcmocka $(OFFLINE_LIBS)
$(STEST_UNITS): $(BUILD)/%: $(BUILD)/%.o $(STEST_HELP) $(CORE) $(OFFLINE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ -lcmocka $(OFFLINE_LIBS)

unit: $(UNITS) $(STEST_UNITS)
	@tests/lint/run-each $(UNITS)
	@tests/lint/run-each $(STEST_UNITS)
## make unit          tests/base, tests/core and tests/store/front, without httpd

# For another machine, which the Makefile's settings name; tests/platform/machines runs them there.
.PHONY: machine-programs machine-run
MACHINE_RUN ?=
MACHINE_NOT ?=
machine-programs: $(UNITS) $(STEST_UNITS) $(BUILD)/conformance
machine-run: machine-programs
	@tests/lint/run-each -w '$(MACHINE_RUN)' $(filter-out $(addprefix %/,$(MACHINE_NOT)),$(UNITS) $(STEST_UNITS))

# One suite for every driver: a program for those that work without httpd, a module of httpd for the others.
CONFORMANCE := $(call objects,$(wildcard tests/store/conformance/conformance_*.c))
$(BUILD)/conformance: $(BUILD)/tests/store/conformance/conformance.o $(CONFORMANCE) $(CORE) $(OFFLINE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(OFFLINE_LIBS)
$(BUILD)/mod_conformance.so: $(CONFORMANCE) $(CORE) \
    $(call objects,$(filter-out src/store/front/registry.c,$(STORE_SRC))) $(REGISTRY)

# The embedded store, both ways; the stores that need httpd run in one, with a configuration that listens nowhere.
conformance: $(BUILD)/conformance
	@$(BUILD)/conformance
	@folder=$$(mktemp -d) && echo "lmdb sync=off" && $(BUILD)/conformance lmdb:$$folder/store sync=off; \
	    status=$$?; rm -rf $$folder; exit $$status
conformance-httpd: $(BUILD)/mod_conformance.so $(BUILD)/mod_idem_files.so
	@tests/store/conformance/run_in_httpd.sh $<
## make conformance   what each store must do, on the embedded one; conformance-httpd: on those that need httpd

# The embedded store against its disk; the preloaded library knows what a loss of power would leave.
$(BUILD)/durability: $(call objects,$(filter-out %_interposer.c,$(wildcard tests/store/lmdb/durability*.c))) \
    $(CONFORMANCE) $(CORE) $(OFFLINE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(OFFLINE_LIBS)
$(BUILD)/interposer.so: $(BUILD)/tests/store/lmdb/durability_interposer.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^ -lpthread
durability: $(BUILD)/durability $(BUILD)/interposer.so
	@$(BUILD)/durability $(BUILD)/interposer.so
## make durability    acknowledged means flushed; full, failing and damaged disks

# Stores behind a server: the servers are started, stopped and replaced by the tests themselves.
$(BUILD)/driven: $(BUILD)/tests/store/conformance/driven.o $(CONFORMANCE) $(CORE) $(OFFLINE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(OFFLINE_LIBS)
servers: $(BUILD)/driven $(BUILD)/conformance
	@IDEM_BUILD=$(BUILD) $(PYTEST) $(SPREAD) --dist loadfile tests/store $(PYTEST_ARGS)
# The same server under another name: whatever program is there is taken for Redis by its tests.
.PHONY: valkey
valkey: $(BUILD)/driven $(BUILD)/conformance
	@program=$$(tests/deps/valkey '$(BUILD)/valkey'); test -n "$$program" || exit 0; "$$program" --version && \
	    IDEM_REDIS_SERVER="$$program" IDEM_BUILD=$(BUILD) $(PYTEST) $(SPREAD) --dist loadfile tests/store/redis \
	    $(PYTEST_ARGS)
## make valkey        tests/store/redis with Valkey's server instead of Redis's (skipped where it cannot be had)

## make servers       tests/store/**/test_*.py: conformance and failures of the stores that are servers of their own

# Modules that only tests load.
TEST_MODULES := $(patsubst %.c,$(BUILD)/%.so,$(notdir $(TEST_MODULE_SRC)))
$(foreach module,$(TEST_MODULE_SRC),$(eval $(BUILD)/$(notdir $(module:.c=.so)): $(call objects,$(module))))
$(TEST_MODULES):
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^ $(MODULE_LIBS)
# Preloaded into servers that know of no sanitizer.
$(addprefix $(BUILD)/,tests/http/shifted_clock.o tests/http/flushed.o tests/http/no_random.o \
    shifted_clock.so flushed.so no_random.so): override SAN =
# Preloaded into what gets a wrong clock.
$(BUILD)/shifted_clock.so: $(BUILD)/tests/http/shifted_clock.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^
# Preloaded into a server that is to have no random bytes.
$(BUILD)/no_random.so: $(BUILD)/tests/http/no_random.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^
TEST_MODULES += $(BUILD)/shifted_clock.so $(BUILD)/no_random.so $(STORE_MODULES)
CFILES       += tests/http/shifted_clock.c tests/http/no_random.c

# ---- the protocol ----------------------------------------------------------------------------------------------------

model:
	@$(PYTHON) tests/model/check.py
## make model         the protocol of leases, explored to its last state

# ---- against a real httpd --------------------------------------------------------------------------------------------

# Workers of pytest-xdist. Tests wait more than they compute: twice the cores. 0 runs all in one process, as a debugger
# wants it.
WORKERS ?= 4
PYTEST  ?= $(PYTHON) -m pytest -q -p no:cacheprovider --durations=15 --durations-min=1
SPREAD   = -n $(WORKERS)
SELECTED = tests/http
MPMS    ?= event worker prefork
integration: all integration-modules integration-run
integration-modules: $(TEST_MODULES)
integration-run:
	@status=0; for mpm in $(MPMS); do \
	    echo "integration on $$mpm"; \
	    mark='not long and not browser'; \
	    test $$mpm = event || mark="$(ON_OTHERS) $$mark and not mpm_independent"; \
	    IDEM_MPM=$$mpm $(PYTEST) $(SPREAD) $(SELECTED) -m "$(MARKED)$$mark" $(PYTEST_ARGS) || status=1; \
	done; exit $$status
## make integration   tests/http against a private httpd (MPMS="event worker prefork" WORKERS=4 PYTEST_ARGS="-k replay")

# Hosts in network namespaces where there are rights for it, on loopback elsewhere.
.PHONY: hosts
hosts: all $(TEST_MODULES)
	@$(PYTEST) $(if $(filter-out tests/http,$(SELECTED)),$(SELECTED),tests/http/hosts) -s $(PYTEST_ARGS)
## make hosts         two hosts and each store they can share: races, lost hosts, wrong clocks, stores that are away

# The clients of docs/clients.md, each scenario with all of them; official SDKs, which npm brings into build/sdks.
.PHONY: clients sdks
sdks: all
	@$(PYTEST) -rs tests/http/sdks $(PYTEST_ARGS)
## make sdks          SDKs of Stripe, OpenAI, PayPal, Adyen, Svix and Square through a lossy proxy (skipped without npm)

clients: all
	@$(PYTEST) tests/http/pages/test_documented_clients.py $(PYTEST_ARGS)
## make clients       the clients of docs/clients.md, in seven languages and a browser, through a lossy proxy

# Chromium as the judge of what pages become.
.PHONY: browser
browser: all $(TEST_MODULES) html
	@$(PYTEST) tests/http -m browser $(PYTEST_ARGS)
## make browser       the tests marked browser: what Chromium makes of the forms, the admin page and the site

# Applications out of Debian's packages, which apt brings into build/applications; clicked in Chromium.
.PHONY: applications
applications: all $(TEST_MODULES)
	@$(PYTEST) -rs tests/http/applications $(PYTEST_ARGS)
## make applications  double clicks on WordPress, MediaWiki, Roundcube and DokuWiki, in Chromium (ten minutes; skipped
##                    without their packages)

# Kills, restarts, full disks, failing stores, stores' servers that are killed, hung and cut off, on event and prefork;
# a failure is repeated by the seed that it prints.
# What idemctl does with a store of a million entries, in bounded memory.
.PHONY: million-entries
ENTRIES ?= 1000000
million-entries: all
	@$(PYTHON) tests/bench/million_entries.py $(BUILD) $(ENTRIES)
## make million-entries  idemctl imports, lists, verifies and counts a million entries in bounded memory (ENTRIES=20000)

.PHONY: chaos chaos-short
CHAOS_SECONDS ?= 3600
CHAOS_SEED    ?=
CHAOS_STORE   ?=
chaos-short: CHAOS_SECONDS = 120
chaos chaos-short: all $(TEST_MODULES)
	@$(PYTEST) tests/chaos
	@IDEM_MODULE=$(abspath $(BUILD))/mod_idempotency.so $(PYTHON) tests/chaos/chaos.py --seconds $(CHAOS_SECONDS) \
	    $(CHAOS_SEED:%=--seed %) $(CHAOS_STORE:%=--store %)
## make chaos         clients that retry, a monkey that breaks things, a judge: an hour
##                     (CHAOS_SECONDS=600 CHAOS_SEED=7 CHAOS_STORE=redis); chaos-short: two minutes

# ---- lint ------------------------------------------------------------------------------------------------------------

.PHONY: lint warnings format lint-options lint-exports lint-circles lint-format lint-diagram lint-tests diagram lognos
LINTS := layers sizes words lognos scripts statics sentences columns licence policies links
lint: $(LINTS:%=lint-%) lint-tests lint-options lint-format lint-diagram lint-guarantees lint-exports lint-circles
## make lint          layers, circles, sizes, names of functions, words, log numbers, options, formatting, links,
##                    sentences, generated parts of the documents; and each lint on a planted fault

$(LINTS:%=lint-%): lint-%:
	@$(PYTHON) tests/lint/$*.py
lint-options:
	@$(PYTHON) tests/lint/options.py
lint-tests:
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/lint

# Objects say which source files call which.
lint-circles: all
	@$(PYTHON) tests/lint/circles.py $(BUILD)

# What is exported can meet the names of other modules: the record, which httpd looks up, and nothing else. And
# src/base/threads.h says which thread-local variables there may be.
lint-exports: all
	@test "$$(nm -D --defined-only $(BUILD)/mod_idempotency.so | awk '{print $$3}')" = idempotency_module || \
	    { echo "exports: the module must export its record and nothing else:"; \
	      nm -D --defined-only $(BUILD)/mod_idempotency.so; exit 1; }
	@! readelf -rW $(BUILD)/mod_idempotency.so | grep -q DTPMOD || \
	    { echo "exports: a thread-local variable ends the process where it gets no memory: IDEM_THREADS_OWN"; exit 1; }

FORMAT  ?= clang-format
HFILES  := $(shell find include src tests -name '*.h')
lint-format:
	@$(FORMAT) --dry-run -Werror $(CFILES) $(HFILES) && echo "format: $(words $(CFILES) $(HFILES)) files"
format:
	$(FORMAT) -i $(CFILES) $(HFILES)
## make format        lay out all C sources as .clang-format says

LEASE_TESTS := tests/lint/lease_tests.txt
$(BUILD)/lease_diagram: $(BUILD)/tests/lint/lease_diagram.o $(CORE)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(OFFLINE_LIBS)
lint-diagram: $(BUILD)/lease_diagram
	@$(PYTHON) tests/lint/diagram.py $< $(LEASE_TESTS)
diagram: $(BUILD)/lease_diagram
	$(PYTHON) tests/lint/diagram.py $< $(LEASE_TESTS) --write
lognos:
	$(PYTHON) tests/lint/lognos.py --write
## make diagram       write the state diagram into docs/internals/lease.md;
## make lognos        write the messages into docs/operations.md

# The other compiler's opinion, without its code; stamps make it as incremental as the build.
CLANG  ?= clang
WARNED := $(patsubst %.c,$(BUILD)/warnings/%.ok,$(CFILES))
warnings: $(WARNED)
	@test -n "$(WARNED)" && echo "warnings: $(words $(WARNED)) files are clean under $(CLANG) -Werror"
$(BUILD)/warnings/%.ok: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	@$(CLANG) $(LANGUAGE) $(HTTP_INC) -UNDEBUG -O1 -Werror -fsyntax-only -MMD -MP -MT $@ -MF $(@:.ok=.d) $< && touch $@
-include $(shell find $(BUILD)/warnings -name '*.d' 2>/dev/null)

# ---- slower tools ----------------------------------------------------------------------------------------------------

.PHONY: asan tsan valgrind analyze fanalyzer tidy tidy-deep cppcheck coverage
# Each has a build folder of its own, below this one.
STRICT := HARDEN= CFLAGS='-O1 -g -fno-omit-frame-pointer'

asan:
	+UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) BUILD=$(BUILD)/asan $(STRICT) \
	    SAN='-fsanitize=address,undefined -fno-sanitize-recover=all' unit conformance
## make asan          unit and conformance under AddressSanitizer and UndefinedBehaviorSanitizer

# tests/fuzz: the same targets replay their corpora (gcc) and search for more (libFuzzer, which is clang's).
.PHONY: fuzz fuzz-replay fuzz-programs fuzz-run integration-asan integration-run integration-modules sanitized
.PHONY: fuzz-requests
ASAN         := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_SECONDS ?= 30
FUZZ_MUCH    ?= -max_total_time=$(FUZZ_SECONDS)
FUZZ_MAIN    ?= $(BUILD)/tests/fuzz/standalone.o
FUZZ_LINK    ?=
FUZZ         := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
# A driver that is not compiled in has no peer.
FUZZ         := $(filter-out $(if $(findstring WITH_REDIS,$(DRIVER_FLAGS)),,redis_peer),$(FUZZ))
FUZZERS      := $(FUZZ:%=$(BUILD)/fuzz_%)
FUZZ_WHICH   ?= $(FUZZ)
# Of src/http what needs no httpd, or only the few functions of it that httpd_words.c has.
FUZZ_HTTP    := $(patsubst %,$(BUILD)/%.o,$(addprefix src/http/,response/control config/parts request/values \
    request/fields request/credentials request/cookies request/sent request/operation request/accept \
    request/body_parts) \
    tests/fuzz/httpd_words)
$(FUZZERS): $(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(CORE) $(OFFLINE) $(FUZZ_HTTP)
	$(call say,LINK,$@)
	$(Q)$(LINK) $(FUZZ_LINK) -o $@ $^ $(OFFLINE_LIBS)
# What plays a store's server has its own connect() and send().
$(BUILD)/fuzz_redis_peer $(BUILD)/fuzz_memcached_peer: $(BUILD)/tests/fuzz/peer.o
fuzz-programs: $(FUZZERS)
	@for target in $(FUZZ); do $(BUILD)/fuzz_$$target $$(find tests/fuzz/corpus/$$target -type f | sort) || exit 1; done
fuzz-run: $(FUZZ_WHICH:%=$(BUILD)/fuzz_%)
	@for target in $(FUZZ_WHICH); do mkdir -p $(BUILD)/corpus/$$target; echo "fuzz $$target"; \
	    $(BUILD)/fuzz_$$target $(FUZZ_MUCH) -print_final_stats=1 -verbosity=0 \
	        -artifact_prefix=$(BUILD)/ \
	        $(BUILD)/corpus/$$target tests/fuzz/corpus/$$target || exit 1; done
fuzz-replay:
	+@UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) --no-print-directory BUILD=$(BUILD)/asan $(STRICT) SAN='$(ASAN)' \
	    fuzz-programs
# APR's rings begin with an address that is reckoned from none, which clang takes for a use of it; a real one is
# AddressSanitizer's.
fuzz:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz $(STRICT) CC=$(CLANG) \
	    SAN='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-sanitize=null,object-size' \
	    FUZZ_MAIN= FUZZ_LINK=-fsanitize=fuzzer fuzz-run
## make fuzz          libFuzzer on each target of tests/fuzz (FUZZ_SECONDS=30, FUZZ_WHICH="json form")

# What reads bodies and pages. Short inputs: long ones cost time and reach no more of the code.
FUZZ_READERS := htmlscan formcut form json body
.PHONY: fuzz-million
fuzz-million:
	+@$(MAKE) --no-print-directory fuzz FUZZ_WHICH='$(FUZZ_READERS)' FUZZ_MUCH='-runs=$(FUZZ_RUNS) -max_len=640'
FUZZ_RUNS ?= 1000000
## make fuzz-million  a million inputs through each reader of bodies and pages (some minutes; FUZZ_RUNS)
## make fuzz-replay   their corpora, sanitized

# httpd itself is not sanitized, so the libraries are preloaded. It leaks at its end by design: pools are not freed
# there. APR with pool debugging makes each allocation from a pool one that the sanitizer watches; as Debian ships it, a
# pool is one block. What measures memory, or dumps it, measures the sanitizer here. PHP loads the extensions of its ini
# files in a way (RTLD_DEEPBIND) that AddressSanitizer ends the process for: there are none of them.
SANITIZED = IDEM_MODULE=$(abspath $(BUILD))/asan/mod_idempotency.so \
    IDEM_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so) \
        $$(ls $(abspath $(BUILD))/apr-debug/libapr-1.so.0 2>/dev/null)" \
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1 \
    PHP_INI_SCAN_DIR=/nonexistent
integration-asan: sanitized
	+@$(SANITIZED) $(MAKE) --no-print-directory integration-run MARKED='not memory and '
sanitized: $(BUILD)/apr-debug/libapr-1.so.0
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan $(STRICT) SAN='$(ASAN)' all integration-modules
$(BUILD)/apr-debug/libapr-1.so.0:
	@tests/deps/apr-debug $(@D)
## make integration-asan  integration with the module under both sanitizers inside httpd,
##                         over an APR with pool debugging

fuzz-requests: sanitized
	@$(SANITIZED) $(PYTHON) tests/fuzz/whole/whole_requests.py --seconds $(FUZZ_SECONDS) $(FUZZ_SEED:%=--seed %)
## make fuzz-requests whole requests and answers against such an httpd (FUZZ_SECONDS=30, FUZZ_SEED=7)

tsan:
	+$(MAKE) BUILD=$(BUILD)/tsan $(STRICT) SAN='-fsanitize=thread' conformance
## make tsan          conformance under ThreadSanitizer

valgrind: $(UNITS) $(BUILD)/conformance
	@tests/lint/run-each -w 'valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite' $(UNITS)
## make valgrind      unit tests under valgrind

# Each finding is an error; what is left out stands in .clang-tidy or here, with its reason.
analyze: fanalyzer tidy cppcheck
## make analyze       gcc -fanalyzer, clang-tidy, cppcheck: no findings

fanalyzer:
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/analyzed CC=gcc CFLAGS='-O2 -g -fanalyzer' WERROR=-Werror all && \
	    echo "fanalyzer: 0 findings"
MODULE_SRC = $(CORE_SRC) $(STORE_SRC) $(OPS_SRC) $(CLI_SRC) $(HTTP_SRC)
# Clang's analyzer follows a function's paths until it has seen so many states of it. Its usual number takes four times
# as long, all of it in the few functions that have more paths than that in any case; gcc follows paths, too.
TIDY_NODES = 40000
tidy-deep: TIDY_NODES = 225000
tidy tidy-deep:
	@clang-tidy --quiet $(MODULE_SRC) -- $(LANGUAGE) $(HTTP_INC) -DIDEM_WITH_SOCACHE \
	    -Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES) 2>&1 | \
	    { ! grep -v 'warnings generated'; } && echo "$@: 0 findings"

# config.c returns a sentence that a setter made, not a part of the layer that the setter filled.
# POSIX has NULL as a pointer, so it ends a list of arguments.
cppcheck:
	@cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem \
	    --suppress=varFuncNullUB \
	    --suppress=returnDanglingLifetime:src/http/config/config.c '-DAPR_STRINGIFY(n)=#n' \
	    --error-exitcode=1 $(filter -I%,$(HTTP_INC)) $(MODULE_SRC) && echo "cppcheck: 0 findings"
## make fanalyzer     gcc's; make tidy: clang-tidy with the checks of .clang-tidy; make cppcheck;
##                    make tidy-deep: clang-tidy along four times as many paths (minutes)

coverage:
	+$(MAKE) BUILD=$(BUILD)/coverage HARDEN= CFLAGS='-O0 -g' SAN=--coverage unit
	@$(PYTHON) tests/lint/coverage.py $(BUILD)/coverage src/core 95
## make coverage      lines of src/core that the unit tests reach; under 95 in a hundred is a failure
