# SPDX-License-Identifier: Apache-2.0
# Everything at once: what continuous integration runs, what runs beyond it, what a change needs. Part of mk/check.mk.

.PHONY: test test-all test-changed integration-short integration-event built

# What is quick to say is said first; then what waits runs beside what computes. All of it runs, whatever fails.
TEST_FIRST   := check built
TEST_WAITS   := integration-short servers browser
TEST_READS   := analyze
TEST_WORKS   := demo demo-stop asan conformance-httpd fuzz-requests faults-short chaos-short perf-check
test: deps
	+@MAKE='$(MAKE)' $(PYTHON) tests/run/parts.py $(TEST_FIRST) -- $(TEST_WAITS) -- $(TEST_READS) -- $(TEST_WORKS)
## make test          what continuous integration runs, a quarter of an hour on two cores: check, analyze, asan, demo,
##                    conformance-httpd, servers, integration-short, fuzz-requests, chaos-short, faults-short,
##                    perf-check, browser

# What make test has a part of, and why: clang's analyzer follows more paths in tidy-deep than in analyze, since the few
# functions with the most paths took three quarters of its time; of 64 requests at once there are 40 rounds, not 200, on
# each MPM and store, since each round is the same race.
# The same with nothing left out, and what takes hours. What shares a build folder is in one lane.
ALL_WAITS    := integration servers valkey hosts clients sdks browser applications million million-entries chaos
ALL_READS    := $(TEST_READS) tidy-deep
ALL_WORKS    := $(TEST_WORKS) platform headers machines deb-test rpm-test container-test
ALL_WORKS    += cost mix bench-peers-check integration-asan tsan valgrind coverage fuzz fuzz-million faults
test-all: deps
	+@MAKE='$(MAKE)' $(PYTHON) tests/run/parts.py $(TEST_FIRST) -- $(ALL_WAITS) -- $(ALL_READS) -- $(ALL_WORKS)
## make test-all      hours: make test with every integration test on each MPM, and hosts, clients, sdks, tidy-deep,
##                    tsan, valgrind, coverage, fuzz, fuzz-million, integration-asan, million, chaos, faults, cost,
##                    browser, platform, applications, headers, machines, deb-test, rpm-test,
##                    container-test, bench-peers-check

# Of a plain build: sanitizers have instructions of their own.
.PHONY: cost
cost: all
	@IDEM_MODULE=$(abspath $(BUILD))/mod_idempotency.so $(PYTHON) tests/bench/counting.py
# The test of the same name sends three hundred in make test.
.PHONY: mix
mix: all integration-modules
	@IDEM_MIX=10000 $(PYTEST) tests/http/metrics/test_known_mix.py $(PYTEST_ARGS)
## make mix           ten thousand requests of a known mix: all that counts says the same (some minutes)
## make cost          what counting costs a guarded request, in instructions, under callgrind (a minute)

BASE ?= main
test-changed:
	+@MAKE='$(MAKE)' $(PYTHON) tests/run/changed.py $(BASE) $(CHANGED_ARGS)
## make test-changed  the suites for what differs from BASE=main, and why (CHANGED_ARGS=--dry-run: only says so)

# Before parts that run beside each other need the same files.
built: all integration-modules
built: $(addprefix $(BUILD)/,driven conformance mod_conformance.so faults.so mod_idem_faults.so mod_idem_bench.so)

# Every behaviour on event; on the other two what tests/http/mpms.py says.
integration-short: ON_OTHERS = mpm and
integration-short: export IDEM_ROUNDS = 40
integration-event: MPMS = event
integration-short integration-event: integration
## make integration-short  all behaviours on event, on the others what depends on the MPM; integration-event: event
