# SPDX-License-Identifier: Apache-2.0
"""The request actor: fires events into the module's own lease table (lease.py) and carries out the actions it gets.

Part of Protocol (protocol.py), which has the store, the habits and the moves both actors share. Each do_… is one action
of the table, each after_… the reply to one store operation, turned into an event as src/http does.
"""
import lease
from contract import DOWN, EXISTS, LOST, NOTFOUND, OK, RECORD, UNKNOWN, Call
from explore import STEP
from world import (FENCED_NEVER_STARTS, NO_WIN_AFTER_ANSWER, RECLAIM, REFUSE_MEANS_REFUSE, RENEW, SETTLE, WITHDRAW,
                   racer_of, with_racer)

RELEASE = "release"


class RequestActor:
    def request(self, world, i, racer):
        if racer.call is not None:
            return self.advance(world, i, racer.call, "call") + self.looks_first(world, i, racer)
        if racer.phase == "IDLE":
            # Racers with one policy are alike: it is enough that they come in order.
            alike = i == 0 or self.habits.policy[i] != self.habits.policy[i - 1]
            return self.fire_and_call(world, i, "GUARDED") if alike or world.racers[i - 1].phase != "IDLE" else []
        if racer.phase == "WAITING":
            looks = self.advance(world, i, Call("fetch", racer.token), "call")
            return looks + [(f"{racer.token} has waited long enough", STEP, self.fire(world, i, "TIMEOUT"))]
        if racer.phase == "HOLDING":
            return self.before_start(world, i, racer)
        if racer.phase == "RUNNING" and not self.keeper_has_slot(racer):
            return [move for event in self.habits.outcomes for move in self.fire_and_call(world, i, event)]
        return []

    def looks_first(self, world, i, racer):
        """Its scope has had its share, and the store does not know the key: refused without a claim."""
        new = racer.phase == "CLAIMING" and racer.call.op == "claim" and racer.call.at == "start" and not racer.tries
        if not (self.habits.limits and new and self.store.view(world.store) is None):
            return []
        return [(f"{racer.token} finds nothing, and may bring no new key", STEP, self.fire(world, i, "OVER_LIMIT"))]

    def before_start(self, world, i, racer):
        moves = []
        if not (racer.stale and self.store.shared and self.habits.renews_before_start):
            moves.append((f"{racer.token} enters its handler", STEP, self.fire(world, i, "STARTED")))
        elif not self.keeper_has_slot(racer):
            moves += self.advance(world, i, Call("renew", racer.token), "call")
        if self.habits.gives_up and not self.keeper_has_slot(racer):
            moves += self.fire_and_call(world, i, "GONE")
        if self.habits.limits and not racer.took_over and not self.keeper_has_slot(racer):
            moves += self.fire_and_call(world, i, "OVER_LIMIT")
        return moves

    def keeper_has_slot(self, racer):
        """The keeper's renewal, or new claim, is under way: settling and giving back wait for it."""
        return self.habits.waits_for_keeper and racer.duty in (RENEW, RECLAIM)

    def fire_and_call(self, world, i, event):
        """Fires the event and takes the first step of the operation its action begins, where it begins one."""
        fired = self.fire(world, i, event)
        call = fired.racers[i].call
        if call is None:
            return [(f"{fired.racers[i].token} {event}", STEP, fired)]
        return self.advance(fired, i, call, "call", " " + event)

    def fire(self, world, i, event, entry=None):
        phase, action = lease.step(world.racers[i].phase, event, self.habits.cells)
        if event in ("RETRYABLE", "DECLINED"):  # the application says that it has not acted
            world = with_racer(world, i, ran=None)
        stale = world.racers[i].stale and phase == "HOLDING"
        world = with_racer(world, i, phase=phase, call=None, stale=stale)
        return getattr(self, "do_" + action.lower())(world, i, world.racers[i], entry)

    def do_nothing(self, world, i, racer, entry):
        return with_racer(world, i, seen="")

    do_refuse = do_wait = do_nothing

    def do_run(self, world, i, racer, entry):
        told = any(r.answer and not r.kept and racer_of(world, r.answer).ran == world.period for r in world.racers)
        world = self.do_nothing(world, i, racer, entry)
        return self.alarm(world, NO_WIN_AFTER_ANSWER) if told else world

    def do_claim(self, world, i, racer, entry):
        return with_racer(world, i, call=Call("claim", racer.token), seen="", tries=0, took_over=False)

    def do_take_over(self, world, i, racer, entry):
        return with_racer(world, i, call=Call("takeover", racer.token, seen=entry.token), seen=entry.token, tries=0)

    def do_compare(self, world, i, racer, entry):
        return self.fire(world, i, "SAME", entry)  # racers repeat one request; a different one would only be refused

    def do_replay(self, world, i, racer, entry):
        return with_racer(world, i, answer=entry.token, told=world.period, kept=False, seen="")

    def do_enter(self, world, i, racer, entry):
        started = with_racer(world, i, ran=world.period)
        others = world.racers[:i] + world.racers[i + 1:]
        entry = self.store.view(world.store)
        if self.habits.policy[i] == "refuse" and any(r.ran == world.period for r in others):
            started = self.alarm(started, REFUSE_MEANS_REFUSE)
        if entry is not None and entry.token != racer.token:
            started = self.alarm(started, FENCED_NEVER_STARTS)
        return started

    def do_release(self, world, i, racer, entry):
        call = self.giving_back(racer)
        return with_racer(world, i, call=call, plan=call.value or RELEASE)

    do_settle_release = do_release_refuse = do_release

    def giving_back(self, racer):
        """We have not acted; but an owner before us may have, and that must not be forgotten."""
        if racer.took_over and self.habits.marks_takeover:
            return Call("settle", racer.token, value=UNKNOWN)
        return Call("release", racer.token)

    def do_settle_record(self, world, i, racer, entry):
        return with_racer(world, i, call=Call("settle", racer.token, value=RECORD), plan=RECORD)

    do_settle_tombstone = do_settle_record

    def do_settle_unknown(self, world, i, racer, entry):
        return with_racer(world, i, call=Call("settle", racer.token, value=UNKNOWN), plan=UNKNOWN)

    def do_answer(self, world, i, racer, entry):
        if racer.plan != RECORD:
            return with_racer(world, i, plan="")
        return with_racer(world, i, answer=racer.token, told=world.period, plan="")

    def do_keep(self, world, i, racer, entry):
        call = Call("release", racer.token)
        if racer.plan != RELEASE:
            call = Call("settle", racer.token, value=racer.plan)
        kept = self.do_answer(world, i, racer, entry)
        return with_racer(kept, i, kept=racer.plan == RECORD, duty=SETTLE, duty_call=call)

    def do_answer_from_slot(self, world, i, racer, entry):
        return with_racer(world, i, call=Call("fetch", racer.token))

    # ---- replies: the operation is over, world already has what it did to the store

    def replied(self, world, i, call, reply):
        world = with_racer(world, i, call=None)
        return getattr(self, "after_" + call.op)(world, i, world.racers[i], call, reply)

    def after_claim(self, world, i, racer, call, reply):
        if reply.status == DOWN:
            return self.repeat_or_withdraw(world, i, racer, call)
        if reply.status == OK:
            return self.fire(world, i, "WON")
        return self.fire(world, i, self.event_of(i, reply), reply.entry)

    def after_takeover(self, world, i, racer, call, reply):
        if reply.status == DOWN:
            return self.repeat_or_withdraw(with_racer(world, i, took_over=True), i, racer, call)
        if reply.status == OK:
            return with_racer(self.fire(world, i, "WON"), i, took_over=True)
        return self.fire(world, i, "LOST")

    def repeat_or_withdraw(self, world, i, racer, call):
        if racer.tries == 0:
            return with_racer(world, i, tries=1, call=call._replace(at="start", memo=()))
        giving_back = self.giving_back(world.racers[i])
        world = with_racer(self.fire(world, i, "STORE_DOWN"), i, tries=0, took_over=False)
        return with_racer(world, i, duty=WITHDRAW, duty_call=giving_back) if self.habits.withdraws else world

    def event_of(self, i, reply):
        if reply.status == NOTFOUND:
            return "RELEASED"
        if reply.entry.state == RECORD:
            return "FOUND"
        if reply.entry.state == UNKNOWN or reply.dead:
            return "UNSURE_RETRY" if self.habits.policy[i] == "retry" else "UNSURE"
        return "BUSY_WAIT" if self.habits.waits else "BUSY"

    def after_fetch(self, world, i, racer, call, reply):
        if racer.phase == "WAITING":
            event = "STORE_DOWN" if reply.status == DOWN else self.event_of(i, reply)
            return world if event == "BUSY_WAIT" else self.fire(world, i, event, reply.entry)
        if reply.status == EXISTS and reply.entry.state == RECORD:
            return with_racer(self.do_replay(world, i, racer, reply.entry), i, plan="")
        if reply.status == NOTFOUND and racer.plan == RECORD:
            if self.habits.asks_again_when_absent:
                return self.do_settle_record(world, i, racer, None)
            return self.do_answer(world, i, racer, None)
        return with_racer(world, i, plan="")  # 409, or 503

    def after_renew(self, world, i, racer, call, reply):
        if reply.status == OK:
            return with_racer(world, i, stale=False)
        return self.fire(world, i, "GONE")  # no longer ours: giving it back changes nothing, the client is refused

    def after_settle(self, world, i, racer, call, reply):
        if reply.status == OK and call.value == RECORD:
            world = world._replace(acked=world.acked or racer.token)
        return self.settled(world, i, racer, call, reply)

    def after_release(self, world, i, racer, call, reply):
        return self.settled(world, i, racer, call, reply)

    def settled(self, world, i, racer, call, reply):
        if racer.phase == "SETTLING":
            event = {DOWN: "STORE_DOWN", LOST: "LOST"}.get(reply.status, "ACKED")
            return self.fire(world, i, event)
        if reply.status == DOWN:  # given back before the start, or settled once more after being fenced off
            return self.do_keep(world, i, racer, None)
        if racer.plan == RECORD and reply.status == LOST:
            return self.do_answer_from_slot(world, i, racer, None)
        return self.do_answer(world, i, racer, None)
