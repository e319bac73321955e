# SPDX-License-Identifier: Apache-2.0
# What a request costs. Included by the Makefile, which says what the names mean.

.PHONY: perf-check perf-budgets

$(BUILD)/tests/bench/%.o: INC = $(HTTPD_FLAGS)
$(BUILD)/mod_idem_bench.so: $(BUILD)/tests/bench/mod_idem_bench.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -o $@ $^
CFILES += $(wildcard tests/bench/*.c)

MEASURED = IDEM_MODULE=$(abspath $(BUILD))/mod_idempotency.so $(PYTHON) tests/bench
perf-check: all $(BUILD)/mod_idem_bench.so
	@$(PYTEST) tests/bench
	@$(MEASURED)/perf_check.py
perf-budgets: all $(BUILD)/mod_idem_bench.so
	@$(MEASURED)/perf_check.py --write
## make perf-check    instructions, allocations and system calls of a request of each kind, against
##                     tests/bench/budgets.json, under callgrind: half a minute; perf-budgets: writes what it counts

# On a quiet machine with two cores. BENCH_ARGS="--write" puts the tables into docs/performance.md.
.PHONY: bench bench-quick
BENCH_ARGS ?=
bench-quick: BENCH_SCOPE = --quick
bench bench-quick: all $(BUILD)/mod_idem_bench.so
	@$(MEASURED)/bench.py $(BENCH_SCOPE) $(BENCH_ARGS)
## make bench         requests a second, as a ratio to httpd without the module, an hour (BENCH_ARGS="--write",
##                     "--only redis"); refuses to report where the machine was not quiet; bench-quick: a minute

# PEERS="express asgi" picks some. Packages of npm go into build/peers, as tests/bench/peers/package-lock.json says.
.PHONY: bench-peers bench-peers-check
PEERS ?=
bench-peers-check: BENCH_SCOPE = --check
bench-peers bench-peers-check: all $(BUILD)/mod_idem_bench.so
	@$(MEASURED)/peers.py --peers "$(PEERS)" $(BENCH_SCOPE) $(BENCH_ARGS)
## make bench-peers   the same requests to nginx with Lua, Fastify, Express, mod_cache and Starlette, each beside its
##                     own bare handler, a quarter of an hour (PEERS="express asgi", BENCH_ARGS="--write"); refuses as
##                     make bench does; bench-peers-check: only whether each replays, some seconds

# Room for SCALE records of 2 KiB, twice, is needed where TMPDIR is.
.PHONY: scale
SCALE ?= 10000000
scale: all $(BUILD)/mod_idem_bench.so
	@$(MEASURED)/scale.py $(SCALE) $(BENCH_ARGS)
## make scale         the embedded store with ten million records against a thousand: p99, sweep, start, bytes of a
##                     record, four children (SCALE=1000000, BENCH_ARGS="--write"); refuses as make bench does
