# SPDX-License-Identifier: Apache-2.0
"""Why a slot secret cannot be rotated while servers run: two names for one key, and nodes that know one or both.

During a rotation the key's slot is called "old" by nodes that put the old secret first, "new" by the others. Two nodes
get the same request. Looking before claiming executes twice; claiming before looking does so as soon as one node knows
only the old name. Claiming the old name first, everywhere, holds, but then the old secret can never go: nothing has
been rotated. Hence there is one slot secret, and changing it forgets every key.
"""
from typing import NamedTuple

from explore import STEP, explore
from world import RUNS_ONCE


class Node(NamedTuple):
    name: str
    program: tuple  # what it still has to do: ("look" | "claim" | "check", slot name) or ("run", "")
    ran: bool = False


class Pair(NamedTuple):
    slots: tuple  # (name, holder) of those taken
    nodes: tuple


ORDERS = {
    "check, then claim": lambda own, other: (("look", other), ("claim", own), ("run", "")),
    "claim, then check": lambda own, other: (("claim", own), ("check", other), ("run", "")),
    "claim old, then new": lambda own, other: (("claim", "old"), ("claim", "new"), ("run", "")),
}


def initial(order, x_knows):
    plan = ORDERS[order]
    x = tuple(step for step in plan("old", "new") if step[1] in x_knows or step[0] == "run")
    return Pair((), (Node("X", x), Node("Y", plan("new", "old"))))


def moves(pair):
    return [move(pair, i, node) for i, node in enumerate(pair.nodes) if node.program]


def move(pair, i, node):
    (what, slot), rest = node.program[0], node.program[1:]
    taken = dict(pair.slots)
    if what == "run":
        return f"{node.name} executes", STEP, after(pair, i, node._replace(program=(), ran=True), taken)
    if slot in taken:
        freed = {name: holder for name, holder in taken.items() if holder != node.name}
        return f"{node.name}: {slot} is taken, 409", STEP, after(pair, i, node._replace(program=()), freed)
    if what == "claim":
        taken[slot] = node.name
    return f"{node.name}: {what} {slot}", STEP, after(pair, i, node._replace(program=rest), taken)


def after(pair, i, node, taken):
    return Pair(tuple(sorted(taken.items())), pair.nodes[:i] + (node,) + pair.nodes[i + 1:])


def jobs():
    """As check.py runs them: (name, promises, the one that breaks, exploration)."""
    cases = [
        ("check, then claim", ("old", "new"), RUNS_ONCE),
        ("check, then claim", ("old",), RUNS_ONCE),
        ("claim, then check", ("old", "new"), None),
        ("claim, then check", ("old",), RUNS_ONCE),
        ("claim old, then new", ("old", "new"), None),
        ("claim old, then new", ("old",), None),
    ]
    return [(f"rotation: {order}; X knows {' and '.join(knows)}", (RUNS_ONCE,), breaks, exploration(order, knows))
            for order, knows, breaks in cases]


def exploration(order, x_knows):
    def twice(pair):
        return all(node.ran for node in pair.nodes)
    return lambda: explore(initial(order, x_knows), moves, [(RUNS_ONCE, twice)])
