# SPDX-License-Identifier: Apache-2.0
"""One state of the whole: the store, the racers (a request, its process, that process's keeper), and what went before.

All values are immutable, so that a state can be compared, kept and branched from. Some fields take part in no decision
of the protocol: ran, period, answer, acked, alarm. The promises at the end of this file look at them.
"""
from typing import NamedTuple, Optional

from contract import LEASE, RECORD, Call

UP, PAUSED, DEAD = "up", "paused", "dead"

# The keeper's duties: repeat a settlement, withdraw what an ambiguous claim may have left, renew, reclaim a lost slot.
SETTLE, WITHDRAW, RENEW, RECLAIM = "settle", "withdraw", "renew", "reclaim"


class Racer(NamedTuple):
    token: str
    phase: str = "IDLE"
    process: str = UP
    call: Optional[Call] = None       # the request's store operation under way
    tries: int = 0                    # an ambiguous claim or takeover is repeated once
    seen: str = ""                    # the token a takeover is aimed at
    plan: str = ""                    # what is being settled: RECORD, UNKNOWN or "release"
    took_over: bool = False
    stale: bool = False               # was stopped since it sent its claim: renews before it starts
    duty: str = ""                    # the keeper's
    duty_call: Optional[Call] = None
    ran: Optional[int] = None         # the TTL period its handler was entered in; None again if it says "not done"
    answer: str = ""                  # whose response its client got as the operation's outcome
    told: int = 0                     # … in which period
    kept: bool = False                # … before the store acknowledged it


class World(NamedTuple):
    store: tuple
    racers: tuple
    left: tuple                  # (fault, how often it may still happen), in the variant's order
    delayed: tuple = ()          # messages that may arrive at any later time
    period: int = 0              # raised when an entry expires or is forgotten
    acked: str = ""              # whose record was acknowledged in this period
    alarm: str = ""              # the promise a move has broken, if a single state cannot show it


def with_racer(world, i, **changes):
    racers = world.racers
    changed = racers[i]._replace(**changes)
    return world._replace(racers=racers[:i] + (changed,) + racers[i + 1:])


def spend(world, fault):
    """The world with one fault of this kind fewer to come; None if there is none left."""
    for at, (name, count) in enumerate(world.left):
        if name == fault and count:
            return world._replace(left=world.left[:at] + ((name, count - 1),) + world.left[at + 1:])
    return None


def racer_of(world, token):
    return next(r for r in world.racers if r.token == token)


def tended(world, token):
    """Whether somebody renews this token's lease. A call ends well within a lease: StoreTimeout < lease / 3."""
    racer = racer_of(world, token)
    return racer.process == UP and (racer.phase not in ("IDLE", "DONE") or bool(racer.duty) or racer.call is not None)


# ---- promises: each says when it is broken; names are what check.py prints ------------------------------------------

def runs_twice(world, store):
    ran = [r.ran for r in world.racers if r.ran is not None]
    return len(ran) != len(set(ran))


def answers_differ(world, store, kept_too=False):
    """In one period, two clients got the responses of two executions that both began in one period."""
    answers = {(r.told, racer_of(world, r.answer).ran, r.answer)
               for r in world.racers if r.answer and (kept_too or not r.kept)}
    return len({(told, ran) for told, ran, whose in answers}) != len(answers)


def record_lost(world, store):
    if not world.acked:
        return False
    entry = store.view(world.store)
    return entry is None or entry.state != RECORD or entry.token != world.acked


def has_orphan(world, store):
    """A lease of a request that is over, in a living process whose keeper has nothing left to do about it."""
    entry = store.view(world.store)
    if entry is None or entry.state != LEASE:
        return False
    owner = racer_of(world, entry.token)
    return (owner.process == UP and owner.phase == "DONE" and not owner.duty and owner.call is None
            and not any(call.token == entry.token for call in world.delayed))


RUNS_ONCE = "runs once"
ONE_ANSWER = "one answer"
ONE_ANSWER_EVER = "one answer ever"  # … also where the store was down and the owner answered from its hand
RECORD_STAYS = "record stays"
NO_ORPHAN = "no orphan"
STATE_PROMISES = {
    RUNS_ONCE: runs_twice,
    ONE_ANSWER: answers_differ,
    ONE_ANSWER_EVER: lambda world, store: answers_differ(world, store, kept_too=True),
    RECORD_STAYS: record_lost,
    NO_ORPHAN: has_orphan,
}

# Seen by the move that breaks them, see protocol.py.
LIVE_OWNER_STAYS = "live owner stays"        # nobody replaces the lease of a living, tended owner
NO_WIN_AFTER_ANSWER = "no win after answer"  # once a client was told an acknowledged outcome, nobody wins the slot
REFUSE_MEANS_REFUSE = "refuse means refuse"  # where policy says refuse, no handler starts after another has run
FENCED_NEVER_STARTS = "fenced never starts"  # no handler starts on a slot that another has taken over
MOVE_PROMISES = (LIVE_OWNER_STAYS, NO_WIN_AFTER_ANSWER, REFUSE_MEANS_REFUSE, FENCED_NEVER_STARTS)

ENDS = "comes to an end"  # without further failures every request is answered and every keeper is done (explore.stuck)
