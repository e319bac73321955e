# SPDX-License-Identifier: Apache-2.0
"""memcached: two ways to keep a slot where only single keys are atomic (add and replace, no cas).

WriteOnceStore is the driver's protocol: keys made by `add`, so each decision has one winner.
For attempt n = 0, 1, 2… of a slot:
  C:slot:n        the claim: whose attempt this is
  H:slot:n:token  its heartbeat, with its own short expiry; made before the claim, afterwards only prolonged by
                  `replace`, which fails once it has expired. So a heart that has stopped stays stopped, and "dead"
                  cannot become untrue between seeing it and acting on it.
  R:slot:n:token its result: record, unknown, released, or closed. A takeover makes "closed", in the dead owner's name:
  settlement and takeover compete for one key. Only then is attempt n + 1 claimed.
                  Named by the claim's token, or what was made before the store lost all would count after it.
Attempt n + 1 counts once attempt n's result says released, unknown or closed. Only the administrator changes a key that
decided something: a result into "released".

Each step reads or makes one key, as the driver does it (src/store/memcache/slot.c has an operation's steps under the
same names, as far as they are not its reading). Prolonging keys is not here: all keys of a slot expire together.

GuardedStore is the obvious other way, a lock made by `add`, and must fail: the lock can expire under its holder.
"""
from typing import NamedTuple, Optional

from contract import (ALIVE, DOWN, EXISTS, LEASE, LOST, NOTFOUND, OK, RECORD, UNKNOWN, Broken, Entry, Reply, decide)
from explore import BoundReached
from stores import lapse_in

RELEASED, CLOSED = "released", "closed"
MOST_ATTEMPTS = 5
LOOKS_AT_HEARTS = ("claim", "takeover", "fetch")


class Keys(NamedTuple):
    claims: tuple = ()                # C: token by attempt
    results: frozenset = frozenset()  # R: (attempt, token, state)
    hearts: frozenset = frozenset()   # H: (attempt, token); those that nobody can read any more are left out


def at(column, n):
    return column[n] if n < len(column) else None


def put(column, n, value):
    if n >= MOST_ATTEMPTS:
        raise BoundReached(f"more than {MOST_ATTEMPTS} attempts")
    padded = column + (None,) * (n + 1 - len(column))
    return padded[:n] + (value,) + padded[n + 1:]


def result_of(keys, n, token):
    return next((state for m, whose, state in keys.results if (m, whose) == (n, token)), None)


def with_result(keys, n, token, state):
    others = frozenset(r for r in keys.results if r[:2] != (n, token))
    return without_heart(keys._replace(results=others | {(n, token, state)}), n, token)


def without_heart(keys, n, token):
    return keys._replace(hearts=keys.hearts - {(n, token)})


class Rules(NamedTuple):
    """What may be left out; each False breaks a promise."""
    hearts_stay_stopped: bool = True    # the owner never makes its heartbeat anew, it prolongs it
    takeover_closes: bool = True        # … the dead owner's attempt, before it claims the next one
    release_is_a_result: bool = True    # instead of the claim's removal
    confirms: bool = True               # … that the claim is still there, after it has made the result


class WriteOnceStore:
    """call.at names the next step, call.memo begins with the attempt it is about."""
    shared = True

    def __init__(self, rules=Rules(), expires_in_calls=False):
        # An operation looks at its deadline before each key it makes; a stop longer than the time to live, between this
        # look and the `add`, cannot be excluded.
        self.expires_in_calls = expires_in_calls
        self.rules = rules

    def initial(self):
        return Keys()

    def view(self, keys):
        found, n = None, 0
        while at(keys.claims, n):
            token = keys.claims[n]
            state = result_of(keys, n, token)
            if state is None and (self.rules.takeover_closes or not at(keys.claims, n + 1)):
                return Entry(LEASE, token, (n, token) not in keys.hearts)
            found, n = self.shown(state, token), n + 1
            if state == RECORD:
                break
        return found

    @staticmethod
    def shown(state, token):
        """The driver shows a closed attempt as the lease of a dead owner, which is answered as "unknown" is."""
        return None if state == RELEASED else Entry(state if state in (LEASE, RECORD) else UNKNOWN, token)

    def clear(self, keys):
        return Keys()

    def forgotten(self, keys):
        """The administrator's word: the last attempt's result becomes "released"."""
        n = max(i for i, token in enumerate(keys.claims) if token)
        return with_result(keys, n, keys.claims[n], RELEASED)

    def nature(self, keys, tended):
        return [(f"the heart of {token} stops", None, keys._replace(hearts=keys.hearts - {(n, token)}))
                for n, token in sorted(keys.hearts) if not tended(token)]

    def step(self, keys, call, dead):
        if call.at == "start":
            call = call._replace(at="look", memo=(0,))
        return [getattr(self, call.at)(keys, call, *call.memo)]

    # -- reading: claim, result, and where there is none and it matters: heart, and the result again. In this order a
    # stopped heart and no result mean: dead, and no record.

    def look(self, keys, call, n):
        token = at(keys.claims, n)
        if token:
            return keys, call._replace(at="result", memo=(n, token)), None
        return self.on_nothing(keys, call, n)

    def on_nothing(self, keys, call, n):
        if call.op == "claim":
            return keys, call._replace(at="beat", memo=(n,)), None
        if call.op == "settle":  # the store lost the slot: its owner makes it again
            return keys, call._replace(at="own", memo=(n,)), None
        return keys, None, Reply(NOTFOUND)

    def result(self, keys, call, n, token):
        if result_of(keys, n, token) is None and call.op in LOOKS_AT_HEARTS:
            return keys, call._replace(at="heart", memo=(n, token)), None
        return self.conclude(keys, call, n, token, True)

    def heart(self, keys, call, n, token):
        if (n, token) in keys.hearts:
            return getattr(self, "on_" + call.op)(keys, call, n, (LEASE, token), True)
        return keys, call._replace(at="conclude", memo=(n, token, False)), None

    def conclude(self, keys, call, n, token, beats):
        state = result_of(keys, n, token) or LEASE
        may_be_followed = state in (UNKNOWN, CLOSED) or (state == LEASE and not self.rules.takeover_closes)
        if state == RELEASED or (may_be_followed and at(keys.claims, n + 1)):
            return keys, call._replace(at="look", memo=(n + 1,)), None
        return getattr(self, "on_" + call.op)(keys, call, n, (state, token), beats)

    # -- what each operation makes of the last attempt

    def on_fetch(self, keys, call, n, result, beats):
        return keys, None, Reply(EXISTS, self.shown(*result), result[0] == LEASE and not beats)

    def on_claim(self, keys, call, n, result, beats):
        if result == (LEASE, call.token):
            return keys, call._replace(at="prolong", memo=(n,)), None
        return self.on_fetch(keys, call, n, result, beats)

    def on_takeover(self, keys, call, n, result, beats):
        state, whose = result
        if result == (LEASE, call.token):
            return keys, call._replace(at="prolong", memo=(n,)), None
        if whose != call.seen or state == RECORD:
            return keys, None, Reply(LOST)
        if state == LEASE and beats:
            return keys, None, Reply(ALIVE)
        if state == LEASE and self.rules.takeover_closes:
            return keys, call._replace(at="close", memo=(n,)), None
        return keys, call._replace(at="beat", memo=(n + 1,)), None

    def on_renew(self, keys, call, n, result, beats):
        if result != (LEASE, call.token):
            return keys, None, Reply(LOST)
        return keys, call._replace(at="prolong", memo=(n,)), None

    def on_settle(self, keys, call, n, result, beats):
        state, whose = result
        if whose != call.token or state == CLOSED:
            return keys, None, Reply(LOST)
        if state == LEASE:
            return keys, call._replace(at="finish", memo=(n,)), None
        return keys, None, Reply(OK)  # settled before: it stays as it is

    def on_release(self, keys, call, n, result, beats):
        if result != (LEASE, call.token):
            return keys, None, Reply(LOST)
        return keys, call._replace(at="finish" if self.rules.release_is_a_result else "remove", memo=(n,)), None

    # -- making: one key each; what another has made first is looked at again

    def again(self, keys, call):
        return keys, call._replace(at="look", memo=(0,)), None

    def beat(self, keys, call, n):
        return keys._replace(hearts=keys.hearts | {(n, call.token)}), call._replace(at="own"), None

    def own(self, keys, call, n):
        if at(keys.claims, n) not in (None, call.token):
            return self.again(without_heart(keys, n, call.token), call)
        claimed = keys._replace(claims=put(keys.claims, n, call.token))
        return self.again(claimed, call) if call.op == "settle" else (claimed, None, Reply(OK))

    def close(self, keys, call, n):
        if result_of(keys, n, call.seen):
            return self.again(keys, call)
        return self.again(with_result(keys, n, call.seen, CLOSED), call)

    def prolong(self, keys, call, n):
        """The heart last: where it can be prolonged it has never stopped. A claim without one is withdrawn."""
        if (n, call.token) in keys.hearts:
            return keys, None, Reply(OK)
        if call.op != "renew":
            return keys, None, Reply(DOWN)
        if self.rules.hearts_stay_stopped or result_of(keys, n, call.token):
            return keys, None, Reply(LOST)
        return keys._replace(hearts=keys.hearts | {(n, call.token)}), None, Reply(OK)

    def finish(self, keys, call, n):
        mine = RELEASED if call.op == "release" else call.value
        if result_of(keys, n, call.token) not in (None, mine):
            return self.again(keys, call)
        finished = with_result(keys, n, call.token, mine)
        return (finished, call._replace(at="confirm"), None) if self.rules.confirms else (finished, None, Reply(OK))

    def confirm(self, keys, call, n):
        """A result counts where it is found: under its claim. The store may have lost that since we saw it."""
        return (keys, None, Reply(OK)) if at(keys.claims, n) == call.token else self.again(keys, call)

    def remove(self, keys, call, n):
        return without_heart(keys._replace(claims=put(keys.claims, n, None)), n, call.token), None, Reply(OK)


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

    forgotten = clear

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
