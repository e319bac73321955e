# SPDX-License-Identifier: Apache-2.0
"""Breadth-first exploration of a state space, to the last state.

Used by every variant (check.py). A model gives its initial state and, for a state, the list of its moves; a move is
(label, kind, next state). Kind STEP happens when nothing fails. FAULT is a failure, or the end of a time that nobody
may count on. Breadth first, so the trace to a broken promise is a shortest one.

The space must be exhausted: more states than the bound is an error, never a pass. Memory is the limit: 1 KB a state.
"""
from collections import deque
from typing import NamedTuple, Optional

STEP, FAULT = "step", "fault"


class BoundReached(Exception):
    """The space is larger than the bound: nothing has been shown."""


class Result(NamedTuple):
    states: int
    broken: Optional[str]  # name of the promise, None if all hold
    trace: tuple           # labels from the initial state to the state that breaks it


def explore(initial, moves, promises, final=None, bound=200_000):
    """promises: list of (name, predicate true where the promise is broken). final: see stuck()."""
    number = {initial: 0}
    came_from = [None]
    steps_back = [[]]  # for each state, the states that lead to it by a STEP
    final_states = []
    queue = deque([initial])
    while queue:
        state = queue.popleft()
        here = number[state]
        for name, is_broken in promises:
            if is_broken(state):
                return Result(len(number), name, trace_to(here, came_from))
        if final and final(state):
            final_states.append(here)
        for label, kind, following in moves(state):
            there = number.get(following)
            if there is None:
                there = number[following] = len(number)
                if there >= bound:
                    raise BoundReached(f"more than {bound} states")
                came_from.append((here, label))
                steps_back.append([])
                queue.append(following)
            if kind is STEP:
                steps_back[there].append(here)
    if final:
        lost = stuck(len(number), steps_back, final_states)
        if lost is not None:
            return Result(len(number), "comes to an end", trace_to(lost, came_from))
    return Result(len(number), None, ())


def stuck(count, steps_back, final_states):
    """The first state from which no final state can be reached although nothing more fails; None if there is none."""
    ends_well = bytearray(count)
    pending = list(final_states)
    for state in pending:
        ends_well[state] = 1
    while pending:
        for before in steps_back[pending.pop()]:
            if not ends_well[before]:
                ends_well[before] = 1
                pending.append(before)
    first = ends_well.find(0)
    return None if first < 0 else first


def trace_to(state, came_from):
    labels = []
    while came_from[state] is not None:
        state, label = came_from[state]
        labels.append(label)
    return tuple(reversed(labels))
