# SPDX-License-Identifier: Apache-2.0
"""What a store does with one entry: the operations of include/idem_store.h as one pure function.

Every store of stores.py is this function behind its own way of keeping things. Each rule can be left out by name; the
variants that do so must fail, which is why the rule is in the contract.
"""
from typing import NamedTuple, Optional

LEASE, RECORD, UNKNOWN = "lease", "record", "unknown"  # a tombstone takes part in the protocol as a record does

OK, EXISTS, NOTFOUND, LOST, ALIVE = "ok", "exists", "not found", "lost", "alive"
DOWN = "down"  # no answer: done or not, the caller cannot know


class Entry(NamedTuple):
    state: str
    token: str
    lapsed: bool = False  # on stores shared by hosts: its deadline has passed without a renewal


class Call(NamedTuple):
    op: str
    token: str
    seen: str = ""      # takeover: whose entry is to be replaced
    value: str = ""     # settle: RECORD or UNKNOWN
    at: str = "start"   # stores that need several steps: which comes next
    memo: tuple = ()    # … and what the earlier ones learned


class Reply(NamedTuple):
    status: str
    entry: Optional[Entry] = None
    dead: bool = False  # entry is a lease whose owner is dead


class Broken(NamedTuple):
    """Rules left out on purpose. All False is the contract."""
    claim_takes_dead: bool = False         # claim replaces a lease whose owner is dead
    takeover_by_token_alone: bool = False  # takeover does not ask again whether the owner is dead
    renew_any_state: bool = False          # renew looks at the token, not at the state
    renew_creates: bool = False            # renew inserts a lease where none is
    settle_any_token: bool = False         # settle replaces another's lease or record: owners are not fenced
    settle_never_inserts: bool = False     # settle refuses where the slot is absent


def decide(entry, call, dead, broken):
    """What stands afterwards, and the reply. dead: entry is a lease and its owner is dead."""
    return OPERATIONS[call.op](entry, call, dead, broken)


def claim(entry, call, dead, broken):
    mine = Entry(LEASE, call.token)
    if entry is None or (broken.claim_takes_dead and dead):
        return mine, Reply(OK)
    if entry.state == LEASE and entry.token == call.token:
        return entry, Reply(OK)
    return entry, Reply(EXISTS, entry, dead)


def takeover(entry, call, dead, broken):
    mine = Entry(LEASE, call.token)
    if entry is None:
        return None, Reply(NOTFOUND)
    if entry.state == LEASE and entry.token == call.token:
        return entry, Reply(OK)
    if entry.token != call.seen or entry.state == RECORD:
        return entry, Reply(LOST)
    if entry.state == UNKNOWN or dead or broken.takeover_by_token_alone:
        return mine, Reply(OK)
    return entry, Reply(ALIVE)


def renew(entry, call, dead, broken):
    if entry is None:
        return (Entry(LEASE, call.token), Reply(OK)) if broken.renew_creates else (None, Reply(NOTFOUND))
    if entry.token != call.token or (entry.state != LEASE and not broken.renew_any_state):
        return entry, Reply(LOST)
    return Entry(LEASE, call.token), Reply(OK)


def settle(entry, call, dead, broken):
    settled = Entry(call.value, call.token)
    if entry is None:
        return (None, Reply(LOST)) if broken.settle_never_inserts else (settled, Reply(OK))
    if broken.settle_any_token:
        return settled, Reply(OK)
    if entry.token != call.token:
        return entry, Reply(LOST)
    return (settled if entry.state == LEASE else entry), Reply(OK)


def release(entry, call, dead, broken):
    if entry is None:
        return None, Reply(NOTFOUND)
    if entry.state == LEASE and entry.token == call.token:
        return None, Reply(OK)
    return entry, Reply(LOST)


def fetch(entry, call, dead, broken):
    return entry, Reply(EXISTS, entry, dead) if entry else Reply(NOTFOUND)


OPERATIONS = {f.__name__: f for f in (claim, takeover, renew, settle, release, fetch)}
