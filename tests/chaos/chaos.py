#!/usr/bin/python3
"""
Clients that retry until they know, a monkey that breaks what they talk to, and a judge. README.md explains.

Each round has its own server, store, seed and verdict. The last line counts the rules that held and those that did not; so
does the exit code.
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
import schedule
from arena import Arena
from clients import Crowd
from judge import judge
from monkey import Monkey

# One cycle, and what each round of it gets of its time.
CYCLE = (("event", "refuse", 2), ("prefork", "refuse", 2), ("event", "retry", 1), ("prefork", "retry", 1))
LONGEST_CYCLE = 360  # seconds
CLIENTS = 8
TO_KNOW = 30  # seconds that all clients have to come to know, once all is well
SHOWN = 3  # breaches of a rule that are told in full


class Round:
    def __init__(self, mpm, policy, seconds, seed, more=""):
        self.mpm, self.policy, self.seconds, self.seed, self.more = mpm, policy, seconds, seed, more
        self.name = f"{mpm} {policy} seed {seed}"

    def run(self):
        """Returns rule -> breaches. What keeps the round from its end is a breach, too."""
        self.say(f"{self.seconds:.0f} s")
        arena = Arena(self.mpm, self.policy, self.more)
        try:
            for what in arena.missing():
                self.say(f"skipped: {what}")
            without = [action for action, missing in (("fill", arena.disk.missing), ("store", not arena.httpd.control)) if missing]
            return self.fight(arena, schedule.make(self.seed, self.seconds, without))
        finally:
            arena.close()

    def fight(self, arena, plan):
        arena.httpd.start()
        crowd, monkey = Crowd(arena.httpd.address, self.seed, CLIENTS), Monkey(arena, plan)
        crowd.start()
        monkey.start()
        self.watch(crowd, monkey)
        monkey.join()
        if not monkey.error:
            crowd.finish(TO_KNOW)
            monkey.restart()
            crowd.ask_all(TO_KNOW)
        crowd.board.over.set()
        arena.httpd.stop()
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
            self.say(f"{time.monotonic() - begin:4.0f} s  {crowd.requests()} requests, {len(crowd.board.operations)} keys, "
                     f"{sum(monkey.counts.values())} of {len(monkey.plan)} deeds")

    def count(self, crowd, case, monkey):
        kinds = collections.Counter(answer.kind for answer in crowd.board.answers)
        replays = sum(answer.replayed for answer in crowd.board.answers)
        runs = sum(map(len, case.executions.values()))
        unfinished = sum(not run.end for runs_of in case.executions.values() for run in runs_of)
        self.say(f"{crowd.requests()} requests, {len(case.operations)} keys, {runs} executions ({unfinished} never ended), {replays} replays")
        self.say("answers: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
        self.say("monkey: " + ", ".join(f"{count} {what}" for what, count in sorted(monkey.counts.items())))

    def report(self, arena, case, breaches):
        if not any(breaches.values()):
            return
        folder = env.REPO / "build" / "chaos" / self.name.replace(" ", "-")
        arena.keep_evidence(folder)
        for rule, found in breaches.items():
            for key, sentence in found[:SHOWN]:
                self.say(f"FAILED {rule}: {sentence}")
                for line in history.of(case, key) if key else ():
                    print("    " + line)
            if len(found) > SHOWN:
                self.say(f"FAILED {rule}: {len(found) - SHOWN} more")
        self.say(f"logs and ledger are kept in {folder}")

    def say(self, what):
        print(f"[{self.name}] {what}", flush=True)


def rounds(options):
    cycle = [row for row in CYCLE if row[0] in options.mpm.split(",") and row[1] in options.policy.split(",")]
    cycles = -(-options.seconds // LONGEST_CYCLE)
    share = options.seconds / cycles / sum(row[2] for row in cycle)
    for number in range(cycles * len(cycle)):
        mpm, policy, weight = cycle[number % len(cycle)]
        yield Round(mpm, policy, share * weight, options.seed + number, options.config)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long the monkey works, all rounds together (60)")
    parser.add_argument("--seed", type=int, default=None, help="of the first round; each next one has the next number")
    parser.add_argument("--mpm", default="event,prefork")
    parser.add_argument("--policy", default="refuse,retry", help="of IdempotencyInterrupted")
    parser.add_argument("--config", default="", help="more configuration, to see the judge find something: 'IdempotencyEngine Off'")
    parser.add_argument("--plan", action="store_true", help="print the monkey's schedules, and do nothing")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers and file systems do not stay behind
    print(f"chaos: --seconds {options.seconds} --seed {options.seed}", flush=True)
    passed, failed = 0, 0
    for fight in rounds(options):
        if options.plan:
            for row in schedule.make(fight.seed, fight.seconds):
                fight.say(" ".join(map(str, row)))
            continue
        breaches = fight.run()
        failed += sum(map(bool, breaches.values()))
        passed += sum(not found for found in breaches.values())
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not (passed or options.plan) else 0


if __name__ == "__main__":
    sys.exit(main())
