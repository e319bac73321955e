# SPDX-License-Identifier: Apache-2.0
"""
When the monkey does what: a pure function of the seed.

A schedule is a list of (seconds since the start, action, choice). The choice, a number from 0 up to 1, is all that an
action needs to decide which child, how long, which failure.
"""
import random

# How often each comes, relative to the others. The first word of a store failure is its control file
# (tests/store/mod_idem_test.c). Actions are the monkey's methods.
WEIGHTS = {"kill": 8, "segv": 3, "pause": 6, "graceful": 3, "restart": 1, "fill": 3, "store": 8}
SERVED_WEIGHTS = {
    "kill": 6,
    "segv": 2,
    "pause": 4,
    "graceful": 2,
    "restart": 1,
    "store": 4,
    "fell": 3,
    "bounce": 1,
    "hang": 3,
    "cut": 4
}
FAILURES = ("fail-claim down", "fail-claim ambiguous", "fail-claim ambiguous once", "fail-claim full",
            "fail-claim timeout", "fail-settle down", "fail-settle ambiguous", "fail-settle full",
            "fail-settle timeout", "fail-takeover ambiguous", "fail-release down", "fail-fetch down", "fail-all down",
            "fail-all ambiguous", "fail-attach down", "block-claim timed", "block-settle timed", "block-takeover timed",
            "delay-all 100")
FIRST = ("kill", "fell")  # the last one comes first; a restart alone can take a short round's whole time
MEAN_PAUSE, SERVED_MEAN_PAUSE = 0.45, 0.8  # seconds between two actions; a store that is down takes both hosts' time
# Seconds that an action may last; a stop is longer than a client waits, and than a lease.
LONGEST = {"pause": 5.0, "fill": 2.5, "store": 2.0, "fell": 4.0, "hang": 5.0, "cut": 6.0}


def make(seed, seconds, served=False, without=()):
    """Every action comes once at first, in an order of the seed's, so a short run lacks few of them. The actions that
    each round needs come first of all.
    """
    rng = random.Random(f"monkey {seed}")
    weights = {
        action: weight
        for action, weight in (SERVED_WEIGHTS if served else WEIGHTS).items() if action not in without
    }
    others = sorted(set(weights) - set(FIRST))
    first = rng.sample(others, len(others)) + [action for action in FIRST if action in weights]
    schedule, at = [], 0.3
    while at < seconds:
        action = first.pop() if first else rng.choices(list(weights), list(weights.values()))[0]
        schedule.append((round(at, 3), action, round(rng.random(), 6)))
        at += rng.expovariate(1 / (SERVED_MEAN_PAUSE if served else MEAN_PAUSE))
    return schedule


def failure_of(choice):
    """Which store failure a choice means: control file and contents."""
    return FAILURES[int(choice * len(FAILURES))].split(" ", 1)


def lasts(action, choice):
    """Another digit of the choice than the one that picks: half a second to LONGEST."""
    return 0.5 + (LONGEST[action] - 0.5) * (choice * 1000 % 1)
