"""memcached: two ways to keep a slot where only single keys are atomic (apr_memcache has no cas).

WriteOnceStore is the protocol for the driver: keys made by `add` and never changed, so each decision has one winner.
For attempt n = 0, 1, 2… of a slot:
  C:slot:n        the claim: whose attempt this is
  H:slot:n:token  its heartbeat, with its own short expiry; made before the claim, afterwards only prolonged by
                  `replace`, which fails once it has expired. So a heart that has stopped stays stopped, and "dead"
                  cannot become untrue between seeing it and acting on it.
  R:slot:n        its result: record, unknown, or released. A takeover makes it too (unknown, in the dead owner's name),
                  so that settlement and takeover compete for one key; only then is attempt n + 1 claimed.
Attempt n + 1 may be claimed once R:slot:n says released, or unknown in a takeover.

GuardedStore is the obvious other way, a lock made by `add`, and must fail: the lock can expire under its holder.
"""
from typing import NamedTuple, Optional

from contract import (ALIVE, EXISTS, LEASE, LOST, NOTFOUND, OK, RECORD, UNKNOWN, Broken, Entry, Reply, decide)
from explore import BoundReached
from stores import lapse_in

RELEASED = "released"
MOST_ATTEMPTS = 5


class Keys(NamedTuple):
    claims: tuple = ()               # C: token by attempt
    results: tuple = ()              # R: (state, token) by attempt
    hearts: frozenset = frozenset()  # H: (attempt, token); those that nobody can read any more are left out


def at(column, n):
    return column[n] if n < len(column) else None


def put(column, n, value):
    if n >= MOST_ATTEMPTS:
        raise BoundReached(f"more than {MOST_ATTEMPTS} attempts")
    padded = column + (None,) * (n + 1 - len(column))
    return padded[:n] + (value,) + padded[n + 1:]


def without_heart(keys, n, token):
    return keys._replace(hearts=keys.hearts - {(n, token)})


class WriteOnceStore:
    """Each step reads or makes one key. call.at names the next step, call.memo begins with the attempt it is about."""
    shared = True

    def __init__(self, heart_returns=False, expires_in_calls=False):
        # An operation looks at its deadline before each key it makes; a stop longer than the time to live, between this
        # look and the `add`, cannot be excluded.
        self.expires_in_calls = expires_in_calls
        self.heart_returns = heart_returns  # broken: the owner makes its heartbeat anew instead of prolonging it

    def initial(self):
        return Keys()

    def view(self, keys):
        found, n = None, 0
        while at(keys.claims, n):
            token, result = keys.claims[n], at(keys.results, n)
            if result is None:
                return Entry(LEASE, token, (n, token) not in keys.hearts)
            found, n = (None if result[0] == RELEASED else Entry(*result)), n + 1
            if found and found.state == RECORD:
                break
        return found

    def clear(self, keys):
        return Keys()

    def nature(self, keys, tended):
        return [(f"the heart of {token} stops", None, keys._replace(hearts=keys.hearts - {(n, token)}))
                for n, token in sorted(keys.hearts) if not tended(token)]

    def step(self, keys, call, dead):
        if call.op == "renew":
            return [self.prolong(keys, call)]
        if call.at == "start":
            call = call._replace(at="look", memo=(0,))
        return [getattr(self, call.at)(keys, call, *call.memo)]

    def prolong(self, keys, call):
        for n, token in enumerate(keys.claims):
            if token == call.token and at(keys.results, n) is None:
                if (n, token) in keys.hearts or self.heart_returns:
                    return keys._replace(hearts=keys.hearts | {(n, token)}), None, Reply(OK)
                return keys, None, Reply(LOST)
        return keys, None, Reply(LOST if at(keys.claims, 0) else NOTFOUND)

    # -- reading: claim, then heart, then result. In this order a stopped heart and no result mean: dead, and no record.

    def look(self, keys, call, n):
        token = at(keys.claims, n)
        if token:
            return keys, call._replace(at="heart", memo=(n, token)), None
        if call.op == "claim":
            return keys, call._replace(at="beat"), None
        if call.op == "settle":  # the store lost the slot: its owner makes it again
            return keys, call._replace(at="own"), None
        return keys, None, Reply(NOTFOUND)

    def heart(self, keys, call, n, token):
        return keys, call._replace(at="result", memo=(n, token, (n, token) in keys.hearts)), None

    def result(self, keys, call, n, token, beats):
        state, whose = at(keys.results, n) or (LEASE, token)
        over = state == RELEASED and (call.op, call.token) != ("release", whose)
        if over or (state == UNKNOWN and at(keys.claims, n + 1)):
            return keys, call._replace(at="look", memo=(n + 1,)), None
        return getattr(self, "on_" + call.op)(keys, call, n, Entry(state, whose), beats)

    # -- what each operation makes of the last attempt

    def on_fetch(self, keys, call, n, entry, beats):
        return keys, None, Reply(EXISTS, entry, entry.state == LEASE and not beats)

    def on_claim(self, keys, call, n, entry, beats):
        if entry == Entry(LEASE, call.token):
            return keys, None, Reply(OK)
        return self.on_fetch(keys, call, n, entry, beats)

    def on_takeover(self, keys, call, n, entry, beats):
        if entry == Entry(LEASE, call.token):
            return keys, None, Reply(OK)
        if entry.token != call.seen or entry.state == RECORD:
            return keys, None, Reply(LOST)
        if entry.state == UNKNOWN:
            return keys, call._replace(at="beat", memo=(n + 1,)), None
        if beats:
            return keys, None, Reply(ALIVE)
        return keys, call._replace(at="close", memo=(n,)), None

    def on_settle(self, keys, call, n, entry, beats):
        if entry.token != call.token:
            return keys, None, Reply(LOST)
        return keys, call._replace(at="finish", memo=(n,)), None

    on_release = on_settle

    # -- making: one `add` each, and a look at what it may have met

    def beat(self, keys, call, n):
        return keys._replace(hearts=keys.hearts | {(n, call.token)}), call._replace(at="own"), None

    def own(self, keys, call, n):
        if at(keys.claims, n) not in (None, call.token):
            keys = without_heart(keys, n, call.token)
            if call.op == "takeover":
                return keys, None, Reply(LOST)
            return keys, call._replace(at="look"), None
        claimed = keys._replace(claims=put(keys.claims, n, call.token))
        return claimed, call._replace(at="finish" if call.op == "settle" else "check"), None

    def check(self, keys, call, n):
        """A result under a fresh claim: its owner settled while the store had lost the claim."""
        if at(keys.results, n) is None:
            return keys, None, Reply(OK)
        return keys, call._replace(at="look"), None

    def close(self, keys, call, n):
        if at(keys.results, n):
            return keys, None, Reply(LOST)
        closed = keys._replace(results=put(keys.results, n, (UNKNOWN, call.seen)))
        return without_heart(closed, n, call.seen), call._replace(at="beat", memo=(n + 1,)), None

    def finish(self, keys, call, n):
        mine = (RELEASED if call.op == "release" else call.value, call.token)
        there = at(keys.results, n) or mine
        if there != mine:
            return keys, None, Reply(LOST)
        finished = without_heart(keys._replace(results=put(keys.results, n, mine)), n, call.token)
        return finished, call._replace(at="confirm"), None

    def confirm(self, keys, call, n):
        """A record counts where it is found: under a claim. The store may have lost that since we saw it."""
        token = at(keys.claims, n)
        if token is None and call.op == "settle":
            return keys, call._replace(at="own"), None
        return keys, None, Reply(OK if token == call.token else LOST)


class Guarded(NamedTuple):
    entry: Optional[Entry]
    guard: str = ""


class GuardedStore:
    """add guard, get, decide, set, delete guard; memcached drops the guard when its expiry has come, holder or not."""
    shared = True
    expires_in_calls = True

    def initial(self):
        return Guarded(None)

    def view(self, content):
        return content.entry

    def clear(self, content):
        return content._replace(entry=None)

    def nature(self, content, tended):
        moves = lapse_in(content, "entry", tended)
        if content.guard:
            moves.append((f"the guard of {content.guard} expires", "guard", content._replace(guard="")))
        return moves

    def step(self, content, call, dead):
        if call.at == "start":
            if content.guard:
                return []
            return [(content._replace(guard=call.token), call._replace(at="get"), None)]
        if call.at == "get":
            before = content.entry
            after = decide(before, call, before is not None and before.lapsed, Broken())
            return [(content, call._replace(at="set", memo=after), None)]
        if call.at == "set":
            return [(content._replace(entry=call.memo[0]), call._replace(at="unguard"), None)]
        return [(content._replace(guard="" if content.guard == call.token else content.guard), None, call.memo[1])]
