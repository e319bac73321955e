#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
make bench, make bench-quick: what httpd serves with the module, as a ratio to what it serves without.

Two servers, one without the module, are on one core, wrk on another one. A round asks for each kind of request in turn.
Each figure is a ratio to the bare handler of its own round, so other work of the machine hits both alike. Reported are
medians of the rounds, and nothing at all where the bare handler was not steady: then the machine was not quiet, and the
exit code is 1. With --write the tables go into docs/performance.md.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

from bench_httpd import BenchHttpd, Connection, free_port

import env  # noqa: E402 (bench_httpd.py has found it)

HERE = pathlib.Path(__file__).resolve().parent
PAGE = env.REPO / "docs/performance.md"
BEGIN, END = "<!-- begin: make bench -->", "<!-- end: make bench -->"
SERVER_CORE, CLIENT_CORE = 0, 1
STEADY = 0.10  # (most - least) / median of the bare handler's rounds
FRESH = 10 ** 6  # keys from here on are first ones
UNKNOWN = 5000  # the key of the outcome that is not known
KIB = 1024
# Threads for twice the connections: event closes kept connections when all of its threads are busy.
SIZES = {"event": "StartServers 1\nServerLimit 1\nThreadsPerChild 128\nMaxRequestWorkers 128\nThreadLimit 128\n"
                  "MinSpareThreads 1\nMaxSpareThreads 128",
         "prefork": "StartServers 70\nMinSpareServers 70\nMaxSpareServers 80\nServerLimit 80\nMaxRequestWorkers 80"}
SIZES["worker"] = SIZES["event"]

# Kind of request: which server, path, keys, whether it is refused.
KINDS = {
    "bare": ("bare", "/no", "none", False),
    "engine off": ("guarded", "/no", "none", False),
    "no key": ("guarded", "/on", "none", False),
    "replay": ("guarded", "/on", "recorded", False),
    "first": ("guarded", "/on", "fresh", False),
    "409": ("guarded", "/on?cut", "fixed", True),
    "422": ("guarded", "/on?other", "recorded", True),
}


class Redis:
    """A server without persistence, on the servers' core."""

    def __init__(self):
        self.port = free_port()

    def __enter__(self):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), env.program("redis-server"), "--port", str(self.port), "--bind",
             "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory", "2gb", "--dir", "/tmp"],
            stdout=subprocess.DEVNULL, preexec_fn=env.end_with_parent)
        env.until(lambda: not subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True,
                                             check=False).returncode, "redis answers")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


STORES = {"lmdb sync=off": "lmdb:{root}/store sync=off size=4G", "lmdb": "lmdb:{root}/store size=4G",
          "socache:shmcb": '"socache:shmcb:{root}/run/shmcb(67108864)"', "redis": "redis://127.0.0.1:{port}/0"}


def shown(size):
    return f"{size // KIB // KIB} MiB" if size >= KIB * KIB else f"{size // KIB} KiB" if size >= KIB else f"{size} B"


class Series:
    """One store, one MPM, one number of connections, one size of bodies and of responses."""

    def __init__(self, store, mpm, connections, body, response, rounds, seconds):
        self.store, self.mpm, self.connections = store, mpm, connections
        self.body, self.response, self.rounds, self.seconds = body, response, rounds, seconds
        self.fresh = FRESH

    def __str__(self):
        return (f"{self.store}, {self.mpm}, {self.connections} connections, request {shown(self.body)}, "
                f"response {shown(self.response)}")

    def kinds(self):
        """A response of another size has its own path; what is refused has none."""
        size = "" if self.response == 250 else f"?size={self.response}"
        usual = self.body <= 200 and not size
        return {name: (server, path if "?" in path else path + size, keys, refused)
                for name, (server, path, keys, refused) in KINDS.items() if usual or not refused}

    def run(self, servers, say):
        rows = {name: [] for name in self.kinds()}
        self.record(servers["guarded"])
        for number in range(-1, self.rounds):
            for name, kind in self.kinds().items():
                say(f"{self}: round {number + 1} of {self.rounds}, {name}")
                row = self.measure(servers[kind[0]], name, *kind[1:], 1 if number < 0 else self.seconds)
                if number >= 0:  # the one before the first warms up
                    rows[name].append(row)
        return rows

    def record(self, server):
        """The thousand keys of replays, and the one whose outcome is not known."""
        load(server.port, 1, 1, "fixed", "/on?cut", UNKNOWN, self.body)
        paths = {kind[1] for name, kind in self.kinds().items() if name == "replay"}
        connection, body = Connection(server.port), b"x" * self.body
        for path in paths:
            for number in range(1000):
                connection.ask(path, "%08x-0000-4000-8000-%012x" % (number, number), body)
        connection.close()

    def measure(self, server, name, path, keys, refused, seconds):
        before = cpu_of(server.process.pid)
        number = UNKNOWN if keys == "fixed" else self.fresh if keys == "fresh" else 0
        found = load(server.port, self.connections, seconds, keys, path, number, self.body)
        self.fresh += found["requests"] + 10000 if keys == "fresh" else 0
        wrong = found["requests"] - found["refused"] if refused else found["refused"]
        if wrong > self.connections or found["broken"] > found["requests"] // 50:
            raise RuntimeError(f"{self}: {name}: {wrong} answers of another kind, {found['broken']} broken ones")
        found["cpu"] = (cpu_of(server.process.pid) - before) / found["requests"] / 1000  # ms for 1,000 requests
        found["rate"] = found["requests"] * 1e6 / found["microseconds"]
        found["memory"] = memory_of(server.process.pid)
        return found


def load(port, connections, seconds, keys, path, number, body, others=()):
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s",
               str(HERE / "load.lua"), f"http://127.0.0.1:{port}", "--", keys, path, str(number), str(body), *others]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"wrk said: {done.stdout}{done.stderr}")
    return json.loads(lines[0][len("RESULT "):])


def tree_of(pid):
    found = [pid]
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += tree_of(int(child))
    return found


def cpu_of(pid):
    """Nanoseconds that all threads of all processes have run."""
    total = 0
    for process in tree_of(pid):
        for path in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"):
            total += int(path.read_text().split()[0])
    return total


def memory_of(pid):
    """MiB that belong to the processes and not to files."""
    total = 0
    for process in tree_of(pid):
        status = pathlib.Path(f"/proc/{process}/status").read_text().split()
        total += int(status[status.index("RssAnon:") + 1])
    return total / KIB


# ---- what came out ---------------------------------------------------------------------------------------------------

def spread(rows):
    rates = [row["rate"] for row in rows]
    return (max(rates) - min(rates)) / statistics.median(rates)


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def table(series, rows):
    lines = [f"**{series}** (the bare handler: {median(rows['bare'], 'rate'):,.0f} requests/s, spread "
             f"{spread(rows['bare']):.0%})", "",
             "| request | of the bare handler's requests/s | p50 µs | p99 µs | p99.9 µs | CPU ms per 1,000 | of its "
             "CPU | MiB |", "|---|---|---|---|---|---|---|---|"]
    for name, found in rows.items():
        ratios = [row["rate"] / bare["rate"] for row, bare in zip(found, rows["bare"])]
        cpu = [row["cpu"] / bare["cpu"] for row, bare in zip(found, rows["bare"])]
        lines.append(f"| {name} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | "
                     f"{median(found, 'p50'):,.0f} | {median(found, 'p99'):,.0f} | {median(found, 'p99.9'):,.0f} | "
                     f"{median(found, 'cpu'):.1f} | {statistics.median(cpu):.2f} | {median(found, 'memory'):.0f} |")
    return "\n".join(lines)


def write(tables):
    page = PAGE.read_text()
    before, rest = page.split(BEGIN, 1)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n\n".join(tables) + "\n\n" + END + rest.split(END, 1)[1])


def plan(options):
    rounds, seconds = (3, 2) if options.quick else (5, 5)
    usual = (200, 250)
    if options.quick:
        return [Series("lmdb sync=off", "event", 16, *usual, rounds, seconds)]
    found = [Series(store, "event", connections, *usual, rounds, seconds)
             for store in STORES for connections in (1, 16, 64)]
    found += [Series("lmdb sync=off", "event", 16, body, 250, rounds, seconds)
              for body in (16 * KIB, 256 * KIB, 16 * KIB * KIB)]
    found += [Series("lmdb sync=off", "event", 16, 200, response, rounds, seconds)
              for response in (16 * KIB, 256 * KIB)]
    found += [Series("lmdb sync=off", mpm, 16, *usual, rounds, seconds) for mpm in ("worker", "prefork")]
    return [series for series in found if options.only in str(series)]


def run(series, say):
    pinned = ["taskset", "-c", str(SERVER_CORE)]
    how = {"command": pinned, "arguments": ["-DNO_DETACH", "-DFOREGROUND"], "sizes": SIZES[series.mpm]}
    with Redis() as redis:
        store = STORES[series.store].replace("{port}", str(redis.port))
        with BenchHttpd(series.mpm, store=None, **how) as bare, BenchHttpd(series.mpm, store=store, **how) as guarded:
            return series.run({"bare": bare, "guarded": guarded}, say)


def why_not():
    if os.cpu_count() < 2:
        return "server and client need a core each, and this machine has one"
    missing = [name for name in ("wrk", "taskset", "redis-cli") if not shutil.which(name)]
    return f"{' and '.join(missing)}: not installed, run make deps" if missing else None


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    options.add_argument("--quick", action="store_true", help="one series, under three minutes")
    options.add_argument("--only", default="", help="a part of a series' name, as 'redis' or '64 connections'")
    options.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    chosen = options.parse_args()
    reason = why_not()
    if reason:
        print(f"bench: {reason}")
        return 1
    tables, noisy = [], []
    for series in plan(chosen):
        rows = run(series, lambda text: print(text, file=sys.stderr, flush=True))
        if spread(rows["bare"]) > STEADY:
            noisy.append(f"{series}: the bare handler's rounds differ by {spread(rows['bare']):.0%}")
        else:
            tables.append(table(series, rows))
            print(tables[-1], end="\n\n", flush=True)
    if noisy:
        print(f"bench: the machine was not quiet, nothing is reported of these (the bound is {STEADY:.0%}):", *noisy,
              sep="\n  ")
        return 1
    if chosen.write:
        write(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
