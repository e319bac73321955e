#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
make bench-peers: what a guarded request costs with the module, and with what a user would take instead.

The servers are on one core, wrk on another one. A round asks each peer in turn: its own bare handler, a replay, a first
request. A ratio is to the bare handler of the same peer and round; what is reported is the median of the rounds. Before
that each peer shows that it replays: the same answer, and its handler did not run. Where the bare handler of httpd was
not steady nothing is reported, and the exit code is 1; where a peer's own was not, that peer has no figures.
"""
import argparse
import contextlib
import http.client
import json
import statistics
import sys
import uuid

import bench
from peer_servers import PEERS

BEGIN, END = "<!-- begin: make bench-peers -->", "<!-- end: make bench-peers -->"
CONNECTIONS = 16
BODY = "x" * 200
HOST = {"Host": "bench.test"}  # as load.lua says: the module and mod_cache keep hosts apart
KEPT = ("Content-Type", "Location", "X-Request-Id", "Cache-Control")
NO_FIGURES = "NOT TO BE PUBLISHED: --noisy lifted the bound, so these figures say that it runs, and nothing else."
KINDS = {"bare": ("/no", "none"), "replay": ("/on", "recorded"), "first": ("/on", "fresh")}


class Asking:
    """One kept connection to a peer; an answer is (status, fields, body)."""

    def __init__(self, peer, port):
        self.peer, self.connection = peer, http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path, key=None):
        if self.peer.method == "GET":
            self.connection.request("GET", f"{path}?{key or ''}", headers=HOST)
        else:
            fields = {**HOST, "Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
            self.connection.request("POST", path, BODY, fields)
        answer = self.connection.getresponse()
        body = answer.read()
        return answer.status, {name: answer.getheader(name) for name in KEPT}, body

    def run_of(self, path, key=None):
        """How often the handler had run when it answered."""
        status, _, body = self.ask(path, key)
        if status != 201 or len(body) != 250:
            raise RuntimeError(f"{self.peer.name}: {path} answers {status} with {len(body)} bytes, not 201 with 250")
        return int(json.loads(body)["run"])

    def close(self):
        self.connection.close()


def asking(peer, port):
    return contextlib.closing(Asking(peer, port))


def check(peer):
    """What a replay keeps, in words. Raises where it is another answer, or the handler ran for it."""
    key, other = str(uuid.uuid4()), str(uuid.uuid4())
    with asking(peer, peer.port) as guarded, asking(peer, peer.bare_port) as bare:
        first, again = guarded.ask("/on", key), guarded.ask("/on", key)
        if first[0] != 201 or len(first[2]) != 250:
            raise RuntimeError(f"{peer.name}: a first request was answered {first[0]}: {first[2][:200]}")
        if (again[0], again[2]) != (first[0], first[2]):
            raise RuntimeError(f"{peer.name}: a replay is another answer: {again}, {first} before")
        if guarded.run_of("/on", other) != int(json.loads(first[2])["run"]) + 1:
            raise RuntimeError(f"{peer.name}: the handler ran for a replay")
        if bare.run_of("/no") == bare.run_of("/no"):
            raise RuntimeError(f"{peer.name}: the bare handler does not run each time")
    lost = [name for name in KEPT if again[1][name] != first[1][name]]
    return f"all but {', '.join(lost)}" if lost else "the whole answer"


def record(peer):
    """The keys of replays, as load.lua has them."""
    with asking(peer, peer.port) as guarded:
        for number in range(peer.recorded):
            guarded.run_of("/on", "%08x-0000-4000-8000-%012x" % (number, number))


def runs_so_far(peer):
    with asking(peer, peer.port) as guarded:
        return guarded.run_of("/on", str(uuid.uuid4()))


class Load:
    """Keeps which keys were used: each first request is one."""

    def __init__(self):
        self.fresh = bench.FRESH

    def measure(self, peer, kind, seconds):
        path, keys = KINDS[kind]
        if kind == "replay" and peer.forgets:
            record(peer)
        before = runs_so_far(peer)
        found = bench.load(peer.bare_port if kind == "bare" else peer.port, CONNECTIONS, seconds, keys, path,
                           self.fresh if keys == "fresh" else 0, len(BODY), (peer.method, str(peer.recorded)))
        ran = runs_so_far(peer) - before - 1
        self.fresh += found["requests"] + 10000 if keys == "fresh" else 0
        if found["refused"] or found["broken"] > found["requests"] // 50:
            raise RuntimeError(f"{peer.name}: {kind}: {found['refused']} refused, {found['broken']} broken answers")
        if kind == "replay" and ran:
            raise RuntimeError(f"{peer.name}: the handler ran {ran} times in {found['requests']} replays")
        if kind == "first" and ran < found["requests"]:
            raise RuntimeError(f"{peer.name}: the handler ran {ran} times in {found['requests']} first requests")
        found["rate"] = found["requests"] * 1e6 / found["microseconds"]
        return found


def rounds(peers, count, seconds, say):
    """Rows of each peer and kind, all of a round together."""
    rows, load = {peer.name: {kind: [] for kind in KINDS} for peer in peers}, Load()
    for number in range(-1, count):
        for peer in peers:
            for kind in KINDS:
                say(f"round {number + 1} of {count}: {peer.name}, {kind}")
                row = load.measure(peer, kind, 1 if number < 0 else seconds)
                if number >= 0:  # the one before the first warms up
                    rows[peer.name][kind].append(row)
    return rows


# ---- what came out ---------------------------------------------------------------------------------------------------

def shown_ratio(found, bare):
    ratios = [row["rate"] / other["rate"] for row, other in zip(found, bare)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def line(name, kinds, kept, bound):
    apart = bench.spread(kinds["bare"])
    if bound and apart > bound:
        return f"| {name} | no figures: its own bare handler's rounds differ by {apart:.0%} | | | | |"
    ratios = [shown_ratio(kinds[kind], kinds["bare"]) for kind in ("replay", "first")]
    tails = [f"{bench.median(kinds[kind], 'p50'):,.0f} / {bench.median(kinds[kind], 'p99'):,.0f}"
             for kind in ("replay", "first")]
    return f"| {name} | {ratios[0]} | {ratios[1]} | {tails[0]} | {tails[1]} | {kept} |"


def table(rows, kept, skipped, bound):
    """Lines of Markdown; bound None is of a machine that was not asked to be quiet."""
    lines = [] if bound else [f"**{NO_FIGURES}**", ""]
    lines += [f"{CONNECTIONS} connections. A ratio is to the requests/s of the peer's own bare handler.", "",
              "| what | replay | first | replay, p50 / p99 µs | first, p50 / p99 µs | a replay keeps |",
              "|---|---|---|---|---|---|"]
    lines += [line(name, kinds, kept[name], bound) for name, kinds in rows.items()]
    lines += [f"| {name} | skipped: {reason} | | | | |" for name, reason in skipped.items()]
    return "\n".join(lines)


def noise(rows, bound):
    """A sentence about a machine that was not quiet. httpd's bare handlers are the measure."""
    worst = max((bench.spread(kinds["bare"]) for name, kinds in rows.items() if name.startswith("this module")),
                default=0)
    if bound and worst > bound:
        return (f"the machine was not quiet, nothing is reported: the rounds of httpd's bare handler differ by "
                f"{worst:.0%}, and the bound is {bound:.0%}")
    return None


def write(text):
    before, rest = bench.PAGE.read_text().split(BEGIN, 1)
    bench.PAGE.write_text(before + BEGIN + "\n\n" + text + "\n\n" + END + rest.split(END, 1)[1])


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--peers", default="", help=f"some of {' '.join(PEERS)}; the module is always there")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="only whether each peer replays")
    parser.add_argument("--noisy", action="store_true", help="lifts the bound; the table says that it is worth nothing")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(arguments)
    names = options.peers.replace(",", " ").split()
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        parser.error(f"no such peer: {' '.join(unknown)}; there are {' '.join(PEERS)}")
    if options.write and (options.noisy or options.check):
        parser.error("--write is for the figures of a quiet machine: not with --noisy or --check")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are 1 or more")
    options.names = [name for name in PEERS if not names or name in names or name == "module"]
    return options


def started(names, stack, say):
    """Peers that answer, and why others do not: (peers, {name: reason})."""
    peers, skipped = [], {}
    for name in names:
        peer = PEERS[name]()
        reason = peer.missing()
        say(f"{peer.name}: {reason or 'starts'}")
        if reason:
            skipped[peer.name] = reason
        else:
            peers.append(stack.enter_context(peer))
    return peers, skipped


def report(rows, kept, skipped, options):
    bound = None if options.noisy else bench.STEADY
    reason = noise(rows, bound)
    if reason:
        print(f"bench-peers: {reason}")
        return 1
    text = table(rows, kept, skipped, bound)
    print(text)
    if options.write:
        write(text)
    return 0


def main(arguments=None):
    options = options_of(arguments)
    reason = bench.why_not()
    if reason:
        print(f"bench-peers: {reason}")
        return 1

    def say(text):
        print(text, file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        peers, skipped = started(options.names, stack, say)
        kept = {peer.name: check(peer) for peer in peers}
        if options.check:
            for name, what in [*kept.items(), *((name, f"skipped: {reason}") for name, reason in skipped.items())]:
                print(f"{name}: {what}")
            return 0
        for peer in peers:
            say(f"{peer.name}: records {peer.recorded} keys")
            record(peer)
        rows = rounds(peers, options.rounds, options.seconds, say)
    return report(rows, kept, skipped, options)


if __name__ == "__main__":
    sys.exit(main())
