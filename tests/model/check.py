#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Explores every variant and prints one line for each; `make check` runs it. Exits 1 unless all come out as expected.

  check.py            everything
  check.py -v WORD    the variants whose name contains WORD, with the trace of each counterexample
"""
import gc
import sys
import time

import lease
import rotation
from explore import BoundReached, explore
from protocol import Protocol
from variants import COUNTEREXAMPLES, DRIVERS
from world import ENDS, MOVE_PROMISES, STATE_PROMISES


def faults_of(text):
    """"die 1, answer lost 2" as (("die", 1), ("answer lost", 2))"""
    return tuple((part.rsplit(" ", 1)[0].strip(), int(part.rsplit(" ", 1)[1])) for part in text.split(",") if part)


def watch(promise, store):
    """(promise, predicate on a world)"""
    if promise in MOVE_PROMISES:
        return promise, lambda world: world.alarm == promise
    return promise, lambda world: STATE_PROMISES[promise](world, store)


def run(variant):
    faults = faults_of(variant.faults)
    protocol = Protocol(variant.store, variant.habits, faults, variant.promises, variant.loses_anything)
    promises = [watch(promise, variant.store) for promise in variant.promises if promise != ENDS]
    final = protocol.final if ENDS in variant.promises else None
    return explore(protocol.initial(), protocol.moves, promises, final)


def report(name, promises, expected, explored, verbose):
    """Prints the variant's line; returns whether it came out as expected."""
    began = time.monotonic()
    try:
        result = explored()
    except (BoundReached, lease.Impossible) as problem:
        print(f"{name:54} FAILED: {type(problem).__name__}: {problem}")
        return False
    good = result.broken == expected
    if result.broken is None:
        verdict = "holds: " + ", ".join(promises) if good else f"HOLDS, BUT SHOULD BREAK: {expected}"
    else:
        verdict = f"breaks as expected: {expected}" if good else f"BREAKS: {result.broken}"
    took = f" {time.monotonic() - began:6.2f} s" if verbose else ""
    print(f"{name:54} {result.states:7} states{took}  {verdict}")
    if result.broken and (verbose or not good):
        for number, label in enumerate(result.trace, 1):
            print(f"    {number:2}  {label}")
    return good


def main(arguments):
    gc.disable()  # states are tuples in tuples: nothing here refers to itself, and the collector would look at them all
    verbose = arguments[:1] == ["-v"]
    word = (arguments[1:] or [""])[0] if verbose else ""
    jobs = [(v.name, v.promises, v.breaks, lambda v=v: run(v)) for v in DRIVERS + COUNTEREXAMPLES]
    jobs += rotation.jobs()
    outcomes = [report(*job, verbose) for job in jobs if word in job[0]]
    if verbose:
        print("pairs of the lease table not reached:", *sorted(f"{p}/{e}" for p, e in set(lease.TABLE) - lease.reached))
    passed = sum(outcomes)
    print(f"{passed} passed, {len(outcomes) - passed} failed")
    return 0 if outcomes and passed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
