#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that retry until they know, a monkey that breaks what they talk to, and a judge. README.md explains.

Each round has its own server, store, seed and verdict. The last line counts the rules that held and those that did not;
so does the exit code.
"""
import argparse
import collections
import pathlib
import random
import signal
import sys
import time

sys.path[1:1] = [str(pathlib.Path(__file__).resolve().parents[1] / "http")]

import env
import evidence
import history
import network
import schedule
from arena import Arena
from clients import Crowd
from judge import judge
from monkey import Monkey
from promises import PROMISES

# What each round gets of a cycle's time: with the time that chaos-short has, seconds.
SHORT = (("lmdb", "event", "refuse", 20), ("lmdb", "prefork", "refuse", 20), ("lmdb", "event", "retry", 10),
         ("lmdb", "prefork", "retry", 10), ("redis", "prefork", "refuse", 10), ("redis-wait", "event", "refuse", 12),
         ("memcache", "event", "refuse", 10), ("pgsql", "event", "refuse", 9), ("mariadb", "prefork", "retry",
                                                                                9), ("sqlite", "event", "refuse", 10))
EACH = (("event", "refuse", 2), ("prefork", "refuse", 2), ("event", "retry", 1), ("prefork", "retry", 1))
LONG = tuple((store, *row) for store in PROMISES for row in EACH)
SHORT_RUN, LONGEST_CYCLE = 180, 1800  # seconds
TO_KNOW = 30  # seconds that all clients have to come to know, once all is well
SHOWN, LINES_SHOWN = 3, 60  # breaches of a rule that are told, and lines of the history of each


class Round:
    def __init__(self, row, seconds, seed, more=""):
        self.store, self.mpm, self.policy, _ = row
        self.seconds, self.seed, self.more = seconds, seed, more
        self.name = f"{self.store} {self.mpm} {self.policy} seed {seed}"

    def run(self, hub):
        """Returns rule -> breaches. What keeps the round from its end is a breach, too."""
        self.say(f"{self.seconds:.0f} s")
        arena = Arena(self.store, self.mpm, self.policy, hub, self.more)
        try:
            missing = arena.missing()
            for why in missing.values():
                self.say(f"skipped: {why}")
            return self.fight(arena, self.plan(missing))
        finally:
            arena.close()

    def plan(self, without=()):
        return schedule.make(self.seed, self.seconds, PROMISES[self.store].served, without)

    def fight(self, arena, plan):
        hosts = range(len(arena.httpds))
        for host in hosts:
            arena.start(host)
        crowd, monkey = Crowd([httpd.address for httpd in arena.httpds], self.seed,
                              arena.promise.shared), Monkey(arena, plan)
        crowd.start()
        monkey.start()
        self.watch(crowd, monkey)
        monkey.join()
        if not monkey.error:
            crowd.finish(TO_KNOW)
            for host in hosts:
                monkey.start_again(host)
            crowd.ask_all(TO_KNOW)
        crowd.board.over.set()
        for httpd in arena.httpds:
            httpd.stop()
        case = evidence.collect(arena, self.policy, crowd.board, monkey.deeds)
        breaches = judge(case)
        errors = [error for error in (monkey.error, *crowd.errors()) if error]
        breaches["the_harness_came_to_its_end"] = [(None, f"{type(error).__name__}: {error}") for error in errors]
        self.count(crowd, case, monkey)
        self.report(arena, case, breaches)
        return breaches

    def watch(self, crowd, monkey):
        begin = time.monotonic()
        while monkey.is_alive():
            monkey.join(5)
            self.say(
                f"{time.monotonic() - begin:4.0f} s  {crowd.requests()} requests, {len(crowd.board.operations)} keys, "
                f"{sum(monkey.counts.values())} of {len(monkey.plan)} deeds")

    def count(self, crowd, case, monkey):
        kinds = collections.Counter(answer.kind for answer in crowd.board.answers)
        replays = sum(answer.replayed for answer in crowd.board.answers)
        runs = sum(map(len, case.executions.values()))
        unfinished = sum(not run.end for runs_of in case.executions.values() for run in runs_of)
        self.say(
            f"{crowd.requests()} requests, {len(case.operations)} keys, {runs} executions ({unfinished} never ended), "
            f"{replays} replays"
        )
        self.say("answers: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
        self.say("monkey: " + ", ".join(f"{count} {what}" for what, count in sorted(monkey.counts.items())))

    def report(self, arena, case, breaches):
        if not any(breaches.values()):
            return
        folder = env.REPO / "build" / "chaos" / self.name.replace(" ", "-")
        arena.keep_evidence(folder)
        (folder / "deeds").write_text("".join(f"{deed.at:.6f} {deed.what} {history.whom(deed)}\n"
                                              for deed in case.deeds))
        for rule, found in breaches.items():
            for number, (key, sentence) in enumerate(found[:SHOWN]):
                self.say(f"FAILED {rule}: {sentence}")
                lines = ["    " + line for line in (history.of(case, key) if key else ())]
                (folder / f"{rule}-{number}").write_text("\n".join([sentence, *lines, ""]))
                print("\n".join([*lines[:LINES_SHOWN], "    …"][:len(lines)]))
            if len(found) > SHOWN:
                self.say(f"FAILED {rule}: {len(found) - SHOWN} more")
        self.say(f"logs, ledger and whole histories are kept in {folder}")

    def say(self, what):
        print(f"[{self.name}] {what}", flush=True)


def rounds(options):
    rows = SHORT if options.seconds <= SHORT_RUN and not options.store else LONG
    wanted = (options.store or ",".join(PROMISES)).split(","), options.mpm.split(","), options.policy.split(",")
    cycle = [row for row in rows if all(word in words for word, words in zip(row, wanted))]
    cycles = -(-options.seconds // LONGEST_CYCLE)
    share = options.seconds / cycles / sum(row[-1] for row in cycle)
    for number in range(cycles * len(cycle)):
        row = cycle[number % len(cycle)]
        yield Round(row, share * row[-1], options.seed + number, options.config)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long the monkey works, all rounds together (60)")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; each next one has the next number")
    parser.add_argument("--store", default="", help=f"some of {','.join(PROMISES)}; all of them if the time is long")
    parser.add_argument("--mpm", default="event,prefork")
    parser.add_argument("--policy", default="refuse,retry", help="of IdempotencyInterrupted")
    parser.add_argument("--config",
                        default="",
                        help="more configuration, to see the judge find something: 'IdempotencyEngine Off'")
    parser.add_argument("--plan", action="store_true", help="print the monkey's schedules, and do nothing")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers and file systems do not stay behind
    print(f"chaos: --seconds {options.seconds} --seed {options.seed}" +
          f" --store {options.store}" * bool(options.store),
          flush=True)
    hub = None if options.plan else network.enter()
    passed, failed = 0, 0
    for fight in rounds(options):
        if options.plan:
            for row in fight.plan():
                fight.say(" ".join(map(str, row)))
            continue
        breaches = fight.run(hub)
        failed += sum(map(bool, breaches.values()))
        passed += sum(not found for found in breaches.values())
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not (passed or options.plan) else 0


if __name__ == "__main__":
    sys.exit(main())
