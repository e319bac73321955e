#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
make scale: what the embedded store costs when it is large. COUNT live records, ten million unless said.

    scale.py COUNT [--swept N] [--write]

Two servers: the store of one holds a thousand records, that of the other COUNT. wrk writes them, as first requests of a
server, since nothing else makes the same file. Rounds ask for the bare handler, and for a replay and a first request of
each server. Then the large server starts again, N records expire while replays are measured, and one child is compared
with four. Nothing is reported where the bare handler was not steady: then the machine was not quiet, and the exit code
is 1. With --write the table goes into docs/performance.md.
"""
import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from bench import FRESH, KIB, SERVER_CORE, SIZES, STEADY, load, median, spread, why_not
from bench_httpd import BenchHttpd, Connection

import env  # noqa: E402 (bench_httpd.py has found it)

PAGE = env.REPO / "docs/performance.md"
BEGIN, END = "<!-- begin: make scale -->", "<!-- end: make scale -->"
CTL = env.MODULE.parent / "idemctl"
FEW, CONNECTIONS, ROUNDS, SECONDS = 1000, 16, 5, 2
ROOM = 2 * KIB  # bytes of the file's limit for each record
BRIEF = '<Location /brief>\nSetHandler idem-bench\nIdempotencyEngine On\nIdempotencyTTL {ttl}s\n</Location>'
CHILDREN = ("StartServers {n}\nServerLimit {n}\nThreadsPerChild {each}\nThreadLimit {each}\nMaxRequestWorkers 128\n"
            "MinSpareThreads 1\nMaxSpareThreads 128")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Large:
    """A store in a folder of its own, which outlives the servers that use it."""

    def __init__(self, folder, count, sync="off"):
        self.folder, self.fresh = folder, FRESH
        self.url = f"lmdb:{folder}/store sync={sync} size={max(1, (count * ROOM >> 30) + 1)}G"

    def server(self, more="", sizes=SIZES["event"], core=SERVER_CORE):
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        return BenchHttpd("event", store=f"{self.url}\nIdempotencyStoreTimeout 9s\n{more}", sizes=sizes, command=pinned,
                          arguments=["-DNO_DETACH", "-DFOREGROUND"])

    def first(self, port, seconds, path="/on", connections=CONNECTIONS):
        found = load(port, connections, seconds, "fresh", path, self.fresh, 200)
        if found["refused"]:
            raise RuntimeError(f"{found['refused']} first requests were refused: a full disk, or a busy machine")
        self.fresh += found["requests"] + 10000
        return found

    def fill(self, port, count, path="/on"):
        done, began = 0, time.monotonic()
        while done < count:
            left = (count - done) / (done / (time.monotonic() - began)) if done else 10
            done += self.first(port, max(1, min(10, round(left))), path, 64)["requests"]
            say(f"  {done:,} of {count:,} records, {done / (time.monotonic() - began):,.0f} a second")
        return done / (time.monotonic() - began)

    def entries(self):
        store = self.url.split()[0]
        said = subprocess.run([str(CTL), "list", "--store", store, "--timeout", "30s"], stdout=subprocess.PIPE,
                              check=True)
        return said.stdout.count(b"\n")

    def disk(self):
        return sum(path.stat().st_blocks * 512 for path in self.folder.rglob("data.mdb"))


def replay(port, seconds=SECONDS):
    return load(port, CONNECTIONS, seconds, "recorded", "/on", 0, 200)


def record_few(port):
    connection = Connection(port)
    for number in range(FEW):
        connection.ask("/on", "%08x-0000-4000-8000-%012x" % (number, number), b"x" * 200)
    connection.close()


def rate(found):
    return {**found, "rate": found["requests"] * 1e6 / found["microseconds"]}


def compare_sizes(bare, stores, ports):
    """Rows by name, of rounds in which all kinds take turns."""
    rows = {"bare": [], **{f"{kind}, {name}": [] for kind in ("replay", "first") for name in stores}}
    for number in range(-1, ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        turn = {"bare": load(bare, CONNECTIONS, SECONDS, "none", "/no", 0, 200)}
        for name, store in stores.items():
            turn[f"replay, {name}"] = replay(ports[name])
            turn[f"first, {name}"] = store.first(ports[name], 1)
        for name, found in turn.items():
            if number >= 0:  # the one before the first warms up
                rows[name].append(rate(found))
    return rows


def ratio(rows, kind, key):
    return statistics.median(large[key] / few[key] for large, few in zip(rows[f"{kind}, large"], rows[f"{kind}, few"]))


def start_time(store):
    began = time.monotonic()
    with store.server() as server:
        connection = Connection(server.port)
        connection.ask("/on", "%08x-0000-4000-8000-%012x" % (0, 0), b"x" * 200)
        took = time.monotonic() - began
        connection.close()
    return took


def sweep(store, count, speed):
    """Medians of p99 of replays before and while count records expire and are swept."""
    ttl = int(count / speed * 1.5) + 20
    with store.server(BRIEF.format(ttl=ttl)) as server:
        before = [replay(server.port) for _ in range(ROUNDS)]
        began = time.monotonic()
        store.fill(server.port, count, "/brief")
        env.until(lambda: time.monotonic() > began + ttl, "the first of them expire", ttl + 60)
        say(f"sweeping {count:,} records")
        during = [replay(server.port) for _ in range(max(ROUNDS, int((count / speed + 10) / SECONDS)))]
    return (median(during, "p99") / median(before, "p99"), max(row["p99.9"] for row in during) / 1000)


def children(folder):
    """First requests a second of four children over those of one, on all cores, each flushed."""
    rates = {}
    for n in (1, 4, 1, 4):
        store = Large(pathlib.Path(tempfile.mkdtemp(dir=folder)), 10 ** 6, "on")
        store.folder.chmod(0o755)
        with store.server(sizes=CHILDREN.format(n=n, each=128 // n), core=None) as server:
            rates.setdefault(n, []).append(rate(store.first(server.port, 5, connections=64))["rate"])
    return statistics.median(rates[4]) / statistics.median(rates[1])


def table(rows, facts):
    lines = [f"{facts['count']:,} records against {FEW:,}, {CONNECTIONS} connections (the bare handler: "
             f"{median(rows['bare'], 'rate'):,.0f} requests/s, spread {spread(rows['bare']):.0%})", "",
             "| what | found | goal |", "|---|---|---|"]
    for kind in ("replay", "first"):
        lines.append(f"| p99 of a {kind}, over that of the small store | {ratio(rows, kind, 'p99'):.2f} | "
                     "1.5 or less |")
    lines += [f"| p99 of a replay while {facts['swept']:,} records are swept, over that before | "
              f"{facts['sweep']:.2f} | 2 or less |",
              f"| p99.9 of the worst {SECONDS} seconds of the sweep | {facts['pause']:.1f} ms | 20 ms or less |",
              f"| start, to the first replay | {facts['start']:.2f} s | under 1 s |",
              f"| bytes of a record on disk | {facts['bytes']:,.0f} | |",
              f"| first requests of four children over those of one, `sync=on` | {facts['children']:.2f} | over 1 |"]
    return "\n".join(lines)


def write(text):
    page = PAGE.read_text()
    before, rest = page.split(BEGIN, 1)
    PAGE.write_text(before + BEGIN + "\n\n" + text + "\n\n" + END + rest.split(END, 1)[1])


def measure(folder, count, swept):
    few, large = (Large(folder / name, count + swept) for name in ("few", "large"))
    bare_server = BenchHttpd("event", store=None, sizes=SIZES["event"], command=["taskset", "-c", str(SERVER_CORE)],
                             arguments=["-DNO_DETACH", "-DFOREGROUND"])
    for store in (few, large):
        store.folder.mkdir(mode=0o755)
    facts = {"count": count, "swept": swept}
    with bare_server as bare, few.server() as small, large.server() as big:
        for server in (small, big):
            record_few(server.port)
        say(f"writing {count:,} records")
        speed = large.fill(big.port, count - FEW)
        facts["bytes"] = large.disk() / large.entries()
        rows = compare_sizes(bare.port, {"few": few, "large": large}, {"few": small.port, "large": big.port})
    facts["start"] = start_time(large)
    facts["sweep"], facts["pause"] = sweep(large, swept, speed)
    facts["children"] = children(folder)
    return rows, facts


def reason_not(folder, count):
    free, wanted = shutil.disk_usage(folder).free, count * ROOM * 2
    if free < wanted:
        return (f"{count:,} records need {wanted >> 30} GiB in {folder}, and {free >> 30} GiB are free: set TMPDIR, or "
                "ask for fewer (SCALE=1000000)")
    return why_not()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    options.add_argument("count", type=int, nargs="?", default=10 ** 7)
    options.add_argument("--swept", type=int, help="how many records expire; a million, or a tenth of COUNT")
    options.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    chosen = options.parse_args()
    if chosen.count < 10 * FEW:
        options.error(f"COUNT must be {10 * FEW} or more")
    swept = chosen.swept or min(10 ** 6, chosen.count // 10)
    reason = reason_not(tempfile.gettempdir(), chosen.count + swept)
    if reason:
        print(f"scale: {reason}")
        return 1
    with tempfile.TemporaryDirectory(prefix="idem-scale-") as folder:
        pathlib.Path(folder).chmod(0o755)
        try:
            rows, facts = measure(pathlib.Path(folder), chosen.count, swept)
        except (RuntimeError, TimeoutError) as error:
            print(f"scale: nothing is reported: {error}")
            return 1
    if spread(rows["bare"]) > STEADY:
        print(f"scale: the machine was not quiet, nothing is reported: the bare handler's rounds differ by "
              f"{spread(rows['bare']):.0%}, and the bound is {STEADY:.0%}")
        return 1
    text = table(rows, facts)
    print(text)
    if chosen.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
