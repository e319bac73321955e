# SPDX-License-Identifier: Apache-2.0
"""Stores that keep one entry and change it in one atomic step, or in a read and a conditional write.

A store class knows how its entry is kept (`content`), and offers:
  initial()                    the empty content
  view(content)                the Entry that stands for the slot, or None: what a fetch would say, in no time
  step(content, call, dead)    one step of an operation: list of (content, call still to go on or None, Reply or None);
                               dead(token) says whether that owner's process is gone, for stores of one host
  nature(content, tended)      what happens by itself: list of (label, fault it costs or None, content)
  clear(content)               the content without the entry: its time is over, or the store has lost it
  forgotten(content)           … by the administrator's word
  expires_in_calls             whether an entry may expire while an operation of several steps is under way
  shared                       stores shared by hosts: an owner is dead when its lease has lapsed, and keepers renew
"""
from typing import NamedTuple, Optional

from contract import DOWN, LEASE, Broken, Entry, Reply, decide


def lapse(entry, tended):
    """The entry with its lease lapsed, where that can happen; None elsewhere."""
    if entry is not None and entry.state == LEASE and not entry.lapsed and not tended(entry.token):
        return entry._replace(lapsed=True)
    return None


def lapse_in(content, field, tended):
    """As a list of moves, for contents that keep their entry in this field."""
    lapsed = lapse(getattr(content, field), tended)
    return [(f"the lease of {lapsed.token} lapses", None, content._replace(**{field: lapsed}))] if lapsed else []


class LocalStore:
    """lmdb, socache: linearizable, in the process; an owner's death is the operating system's word; no renewals.

    That lmdb groups the writes of threads into one transaction changes nothing here: a group is a sequence.
    """
    shared = False
    expires_in_calls = True

    def __init__(self, broken=Broken()):
        self.broken = broken

    def initial(self):
        return None

    def view(self, content):
        return content

    def step(self, content, call, dead):
        owner_dead = content is not None and content.state == LEASE and dead(content.token)
        entry, reply = decide(content, call, owner_dead, self.broken)
        return [(entry, None, reply)]

    def nature(self, content, tended):
        return []

    def clear(self, content):
        return None

    forgotten = clear


class AgeStore(LocalStore):
    """As LocalStore, but takes an owner for dead when its lease is old, whatever the process does."""

    def step(self, content, call, dead):
        entry, reply = decide(content, call, content is not None and content.lapsed, self.broken)
        return [(entry, None, reply)]

    def nature(self, content, tended):
        if content is None or content.state != LEASE or content.lapsed:
            return []
        return [(f"the lease of {content.token} grows old", None, content._replace(lapsed=True))]


class LeaseStore(LocalStore):
    """Linearizable and shared by hosts: the plain case of redis (one server) and of any store with scripts."""
    shared = True

    def step(self, content, call, dead):
        entry, reply = decide(content, call, content is not None and content.lapsed, self.broken)
        return [(entry, None, reply)]

    def nature(self, content, tended):
        lapsed = lapse(content, tended)
        return [(f"the lease of {content.token} lapses", None, lapsed)] if lapsed else []


class Row(NamedTuple):
    entry: Optional[Entry]
    counter: int


class DbdStore:
    """dbd: reads the row, decides, writes `WHERE counter = what was read`; reads again if that changed no row."""
    shared = True
    expires_in_calls = True

    def __init__(self, broken=Broken(), counts_renewals=True):
        self.broken = broken
        self.counts_renewals = counts_renewals

    def initial(self):
        return Row(None, 0)

    def view(self, content):
        return content.entry

    def step(self, content, call, dead):
        if call.at == "start":
            return self.read(content, call)
        entry, counter, reply = call.memo
        if counter != content.counter:
            return [(content, call._replace(at="start", memo=()), None)]
        raised = counter + (1 if self.counts_renewals or call.op != "renew" else 0)
        return [(Row(entry, raised), None, reply)]

    def read(self, content, call):
        before = content.entry
        entry, reply = decide(before, call, before is not None and before.lapsed, self.broken)
        if entry == before and call.op != "renew":
            return [(content, None, reply)]
        return [(content, call._replace(at="write", memo=(entry, content.counter, reply)), None)]

    def nature(self, content, tended):
        return lapse_in(content, "entry", tended)

    def clear(self, content):
        return Row(None, content.counter + 1)

    forgotten = clear


class Nodes(NamedTuple):
    primary: Optional[Entry]
    replica: Optional[Entry]
    failed_over: bool = False       # the replica has been promoted
    moved: frozenset = frozenset()  # who has reached the new primary since; with split, others may ask the old one


class RedisStore:
    """redis: scripts on the primary, asynchronous replication, one failover; WAIT behind the operations named.

    After the failover the new primary has replicas of its own that keep up, and the old one has none. A WAIT that is
    not satisfied counts as no answer: the claim is repeated, then withdrawn by the keeper.
    """
    shared = True
    expires_in_calls = True

    def __init__(self, wait_for=(), split=False, always_writes=True):
        self.wait_for = wait_for
        self.always_writes = always_writes  # scripts rewrite what they found: WAIT sees its own connection's writes
        self.split = split  # after the failover clients go on asking the old primary, until each has found the new one

    def initial(self):
        return Nodes(None, None)

    def view(self, content):
        return content.replica if content.failed_over else content.primary

    def step(self, content, call, dead):
        if call.at == "wait":
            return self.wait(content, call)
        if not content.failed_over:
            return [self.script(content, call, "primary")]
        if not self.split:
            return [self.script(content, call, "replica")]
        moved = content._replace(moved=content.moved | {call.token})
        new = [self.script(moved, call, "replica")]
        return new if call.token in content.moved else new + [self.script(content, call, "primary")]

    def script(self, content, call, node):
        before = getattr(content, node)
        entry, reply = decide(before, call, before is not None and before.lapsed, Broken())
        after = content._replace(**{node: entry})
        if call.op in self.wait_for and node == "primary":
            written = self.always_writes or entry != before
            return after, call._replace(at="wait", memo=(written, reply)), None
        return after, None, reply

    def wait(self, content, call):
        """Also behind a refusal: a primary without replicas, or with changes of its own, must not be believed."""
        written, reply = call.memo
        satisfied = not content.failed_over and (content.primary == content.replica or not written)
        return [(content, None, reply if satisfied else Reply(DOWN))]

    def nature(self, content, tended):
        moves = lapse_in(content, "replica" if content.failed_over else "primary", tended)
        if not content.failed_over:
            if content.primary != content.replica:
                moves.append(("the replica catches up", None, content._replace(replica=content.primary)))
            moves.append(("FAILOVER to the replica", "failover", content._replace(failed_over=True)))
        return moves

    def clear(self, content):
        return content._replace(primary=None, replica=None)

    forgotten = clear
