# SPDX-License-Identifier: Apache-2.0
"""
Measured against allowed: what perf_check.py says of a count, and where it grew. Knows nothing of valgrind.
"""
TOO_MUCH = 0.02
WORTH_LOWERING = 0.05
# Of allocations and system calls there are few, and each has its reason: one more is too much.
SLACK = 0.6
GROWN_SHOWN = 12
KINDS = ("instructions", "allocations", "system calls")


def allowed(kind, budget):
    return budget * (1 + TOO_MUCH) + (0 if kind == "instructions" else SLACK)


def is_low(kind, count, budget):
    return count < (budget * (1 - WORTH_LOWERING) if kind == "instructions" else budget - SLACK)


def grown(now, before, more):
    """Whatever takes more than it did, by more at least, the worst first: [name, now, before]."""
    rows = [(name, count, before.get(name, 0)) for name, count in now.items() if count >= before.get(name, 0) + more]
    return sorted(rows, key=lambda row: row[2] - row[1])[:GROWN_SHOWN]


def judge(name, found, budget):
    """(what is over, what could be lowered): sentences about one kind of request."""
    over, low = [], []
    for kind in KINDS:
        count, limit = found[kind], budget[kind]
        if count > allowed(kind, limit):
            over.append(f"{name}: {count:,.1f} {kind} a request, {limit:,.1f} is the budget")
        elif is_low(kind, count, limit):
            low.append(f"{name}: {count:,.1f} {kind} a request, where the budget allows {limit:,.1f}")
    if over:
        over += [f"    {name} takes {now:,.0f} instructions, {before:,.0f} before"
                 for name, now, before in grown(found["functions"], budget["functions"], 20)]
        over += [f"    {name}: {now:,.2f} times, {before:,.2f} before"
                 for name, now, before in grown(found["calls"], budget["calls"], 0.1)]
    return over, low
