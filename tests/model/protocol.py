# SPDX-License-Identifier: Apache-2.0
"""The protocol: requests and keepers on a store, the administrator, and everything that can fail around them.

Every move contains at most one step of a store operation, and actors share nothing but the store. Consequences that
only the actor itself can see (a reply received, an answer sent) belong to the move that caused them.
"""
from typing import NamedTuple

from contract import DOWN, LEASE, Reply
from explore import FAULT, STEP
from keeper import KeeperActor
from request import RequestActor
from world import DEAD, LIVE_OWNER_STAYS, PAUSED, UP, Racer, World, racer_of, spend, tended, with_racer


class Habits(NamedTuple):
    """What a configuration chooses, and habits of the module that a variant may leave out."""
    policy: tuple = ("refuse", "refuse", "refuse")  # IdempotencyInterrupted, by racer
    waits: bool = False                             # IdempotencyConcurrent wait
    outcomes: tuple = ("RECORDED",)                 # events a handler may end with
    gives_up: bool = False                          # a request may end between claim and start
    limits: bool = False                            # IdempotencyMaxKeys: its scope may have had its share of new keys
    late_claims: str = ""                           # "arrive", or "expire" where a claim carries a last moment
    cells: tuple = ()                               # cells of the lease table written otherwise, see lease.step
    # left out, each of these breaks a promise:
    renews_before_start: bool = True     # where it was stopped since it sent its claim
    waits_for_keeper: bool = True        # before it settles or gives back what its keeper is renewing
    withdraws: bool = True               # gives an ambiguous claim back
    asks_again_when_absent: bool = True  # fenced off, and then the slot is empty: settle once more
    marks_takeover: bool = True          # gives back what it took over as unknown, not as never used


class Protocol(RequestActor, KeeperActor):
    def __init__(self, store, habits=Habits(), faults=(), watched=(), loses_anything=False):
        self.store = store
        self.habits = habits
        self.faults = faults
        self.watched = watched  # promises that moves can break
        self.loses_anything = loses_anything

    def initial(self):
        racers = tuple(Racer(token) for token in "ABC"[:len(self.habits.policy)])
        return World(self.store.initial(), racers, tuple(self.faults))

    def final(self, world):
        return all(r.process == DEAD or (r.phase == "DONE" and r.call is None and not r.duty) for r in world.racers)

    def moves(self, world):
        moves = self.nature(world)
        for i, racer in enumerate(world.racers):
            if racer.process == UP:
                moves += self.request(world, i, racer)
                moves += self.keeper(world, i, racer)
            elif racer.process == PAUSED:
                resumed = with_racer(world, i, process=UP, stale=racer.phase in ("CLAIMING", "TAKING", "HOLDING"))
                moves.append((f"{racer.token} goes on", STEP, resumed))
            moves += self.failures(world, i, racer)
        return moves

    # ---- what actors share -----------------------------------------------------------------------------------------

    def advance(self, world, i, call, field, label=""):
        """One step of a store operation, and each way to lose its answer. field: whose it is, "call" or "duty_call"."""
        on_reply = self.replied if field == "call" else self.duty_done
        who = world.racers[i].token
        label = f"{who}{label or ' ' + call.op}" + ("" if call.at == "start" else f" ({call.at})")
        moves = []
        for content, rest, reply in self.store.step(world.store, call, lambda token: self.is_dead(world, token)):
            stepped = self.changed(world, who, content)
            if rest is not None:
                moves.append((label, STEP, with_racer(stepped, i, **{field: rest})))
            else:
                moves.append((f"{label}: {reply.status}", STEP, on_reply(stepped, i, call, reply)))
            unheard = spend(stepped, "answer lost")
            if unheard:
                moves.append((f"{label}, done, ANSWER LOST", FAULT, on_reply(unheard, i, call, Reply(DOWN))))
        undone = spend(world, "answer lost")
        if undone:
            moves.append((f"{label}, not done, NO ANSWER", FAULT, on_reply(undone, i, call, Reply(DOWN))))
            if call.op == "claim" and self.habits.late_claims:
                late = undone._replace(delayed=undone.delayed + (call,))
                moves.append((f"{label}, DELAYED, no answer", FAULT, on_reply(late, i, call, Reply(DOWN))))
        return moves

    def is_dead(self, world, token):
        return racer_of(world, token).process == DEAD

    def changed(self, world, who, content):
        """The world with this content. who: whose doing it is."""
        before, after = self.store.view(world.store), self.store.view(content)
        world = world._replace(store=content)
        if before is None or before == after or before.state != LEASE or before.token == who:
            return world
        out_of_reach = self.store.shared and before.lapsed
        return world if out_of_reach or self.is_dead(world, before.token) else self.alarm(world, LIVE_OWNER_STAYS)

    def alarm(self, world, promise):
        return world._replace(alarm=promise) if promise in self.watched and not world.alarm else world

    # ---- failures, time, the administrator -------------------------------------------------------------------------

    def failures(self, world, i, racer):
        busy = racer.phase not in ("IDLE", "DONE") or racer.call is not None or racer.duty
        if not busy or racer.process == DEAD:
            return []
        moves = []
        dying, pausing = spend(world, "die"), spend(world, "pause")
        if dying:
            corpse = Racer(racer.token, "DONE", DEAD, ran=racer.ran, answer=racer.answer, told=racer.told,
                           kept=racer.kept)
            moves.append((f"{racer.token} DIES", FAULT, with_racer(dying, i, **corpse._asdict())))
        if pausing and racer.process == UP:
            moves.append((f"{racer.token} is STOPPED", FAULT, with_racer(pausing, i, process=PAUSED)))
        return moves

    def nature(self, world):
        moves = [self.arrival(world, call) for call in world.delayed]
        for label, fault, content in self.store.nature(world.store, lambda token: tended(world, token)):
            spent = spend(world, fault) if fault else world
            if spent:
                moves.append((label, FAULT if fault else STEP, spent._replace(store=content)))
        return moves + self.end(world) + self.loss(world)

    def end(self, world):
        """Time to live over, or the administrator's word; neither touches a lease whose owner lives."""
        entry = self.store.view(world.store)
        ended = spend(world, "end") if entry is not None else None
        if not ended:
            return []
        if entry.state == LEASE and not (entry.lapsed if self.store.shared else self.is_dead(world, entry.token)):
            return []
        over, moves = ended._replace(period=world.period + 1, acked=""), []
        calls = [c for r in world.racers for c in (r.call, r.duty_call) if c]
        if self.store.expires_in_calls or not any(c.memo for c in calls):
            moves.append(("the entry expires", FAULT, over._replace(store=self.store.clear(world.store))))
        if not any(c.at == "confirm" for c in calls):  # it has settled what is forgotten here, and would be told later
            forgotten = over._replace(store=self.store.forgotten(world.store))
            moves.append(("the administrator forgets the entry", FAULT, forgotten))
        return moves

    def loss(self, world):
        """The store loses the slot. Unless the variant says otherwise only while nobody has been told an outcome."""
        told = any(r.answer for r in world.racers)
        lossy = spend(world, "loss") if self.store.view(world.store) is not None else None
        if not lossy or (told and not self.loses_anything):
            return []
        return [("the store LOSES the slot", FAULT, lossy._replace(store=self.store.clear(world.store), acked=""))]
