# SPDX-License-Identifier: Apache-2.0
"""The keeper actor: renews leases on shared stores, repeats settlements, withdraws ambiguous claims.

Part of Protocol (protocol.py). One keeper a process, one process a racer; it lives, stops and dies with its racer.
Leases of tended owners do not lapse, so a renewal in time changes nothing that can be seen here. Only renewals after a
pause, after a loss, and late ones are moves.
"""
from contract import DOWN, NOTFOUND, OK, RECORD, Call
from explore import FAULT
from world import RECLAIM, RENEW, spend, with_racer


class KeeperActor:
    def keeper(self, world, i, racer):
        if racer.duty:
            return self.advance(world, i, racer.duty_call, "duty_call", f"'s keeper: {racer.duty}")
        if not self.store.shared or racer.phase not in ("HOLDING", "RUNNING") or racer.call is not None:
            return []  # settling first takes the slot off the keeper's list
        entry, renewal = self.store.view(world.store), Call("renew", racer.token)
        moves = []
        if entry is None or (entry.token == racer.token and entry.lapsed):
            renewing = with_racer(world, i, duty=RENEW, duty_call=renewal)
            moves += self.advance(renewing, i, renewal, "duty_call", "'s keeper: renew")
        delayed = spend(world, "renewal delayed")
        if delayed:
            sent = delayed._replace(delayed=delayed.delayed + (renewal,))
            moves.append((f"{racer.token}'s keeper sends a renewal that is DELAYED", FAULT, sent))
        return moves

    def duty_done(self, world, i, call, reply):
        if reply.status == DOWN and call.op != "renew":
            return with_racer(world, i, duty_call=call._replace(at="start", memo=()))
        if call.op == "renew" and reply.status == NOTFOUND:
            return with_racer(world, i, duty=RECLAIM, duty_call=Call("claim", call.token))
        if call.value == RECORD and reply.status == OK:
            world = world._replace(acked=world.acked or call.token)
        if call.op == "release" and self.habits.late_claims == "expire":
            world = world._replace(delayed=tuple(c for c in world.delayed if c.token != call.token or c.op != "claim"))
        return with_racer(world, i, duty="", duty_call=None)

    def arrival(self, world, call):
        """A delayed message reaches the store; nobody hears its answer. One message is one atomic operation there."""
        content, rest, reply = self.store.step(world.store, call, lambda token: self.is_dead(world, token))[0]
        while rest is not None:
            content, rest, reply = self.store.step(content, rest, lambda token: self.is_dead(world, token))[0]
        delayed = list(world.delayed)
        delayed.remove(call)
        arrived = self.changed(world, call.token, content)._replace(delayed=tuple(delayed))
        return f"the delayed {call.op} of {call.token} arrives: {reply.status}", FAULT, arrived
