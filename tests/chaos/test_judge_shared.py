# SPDX-License-Identifier: Apache-2.0
"""The judge over a store that hosts share. A server may lose what the action on it explains, and no more. An owner may
lose its lease while it is out of reach, and at no other time.
"""
import pathlib
import sys

import pytest

sys.path[1:1] = [
    str(pathlib.Path(__file__).resolve().parents[1] / "http"),
    str(pathlib.Path(__file__).resolve().parent)
]

from invented import History, under_way
from monkey import Deed
from promises import LEASE, PROMISES

SHARED = [name for name, promise in PROMISES.items() if promise.shared]
STOPPED = ("SIGSTOP", "SIGCONT", {"pid": 7})
CUT = ("cut off", "joined", {"host": 0})
PAUSED = ("store paused", "store back", {"server": 0})
FAILING = ("store: fail-all down", "store: no more fail-all", {"host": 0})


@pytest.mark.parametrize("policy", ["refuse", "retry"])
@pytest.mark.parametrize("store", SHARED)
def test_all_went_well(store, policy):
    assert History(policy, store=store).broken() == set()


def test_a_store_to_which_nothing_happened():
    history = History(store="redis")
    history.deeds = history.deeds[:1]
    assert history.broken() == {"something_happened"}


# ---- what is lost ----------------------------------------------------------------------------------------------------

LOSSES = [("redis", "killed", 12, False), ("redis", "stopped", 12, False), ("redis-wait", "killed", 10.5, False),
          ("redis-memory", "killed", 12, True), ("redis-memory", "stopped", 12, True),
          ("redis-memory", "paused", 12, False), ("redis-memory", "killed", 9.5, False),
          ("redis-memory", "killed", 16, False), ("redis-everysec", "killed", 11, True),
          ("redis-everysec", "killed", 13, False), ("redis-everysec", "stopped", 11, False),
          ("pgsql", "killed", 10.5, False), ("pgsql-async", "killed", 10.8, True),
          ("pgsql-async", "killed", 11.3, False), ("pgsql-async", "stopped", 10.5, False),
          ("mariadb", "killed", 10.5, False)]


def executed_again(policy, store, what, when):
    """At 15 s; the key's owner of 10 s had ended, and its response was given."""
    history = History(policy, store=store)
    history.answers = [answer for answer in history.answers if answer.sent < 30 or answer.key == "other"]
    history.damage(f"store {what}", when, "store back", when + 0.1, server=0)
    history.run("m", 15, owner=8)
    history.answer(15, "real", "m")
    history.answer(30, "real", "m", replayed=True)
    return history


@pytest.mark.parametrize("store, what, when, excused", LOSSES)
def test_executed_again(store, what, when, excused):
    broken = {"executed_once", "one_response"}
    assert executed_again("refuse", store, what, when).broken() == (set() if excused else broken)


@pytest.mark.parametrize("store, what, when, excused", LOSSES)
def test_taken_over_again(store, what, when, excused):
    broken = {"again_only_after_death", "one_replay"}
    assert executed_again("retry", store, what, when).broken() == (set() if excused else broken)


@pytest.mark.parametrize("store, what, when, excused", LOSSES)
def test_an_acknowledged_record_is_lost(store, what, when, excused):
    history = History(store=store)
    history.damage(f"store {what}", when, "store back", when + 0.1, server=0)
    history.answer(15, "in-progress")
    assert history.broken() == (set() if excused else {"acknowledged_is_kept"})


@pytest.mark.parametrize("store, excused", [("redis", False), ("redis-memory", True)])
def test_a_server_acknowledges_until_it_is_gone(store, excused):
    """Told to stop just before the request came; the claim was acknowledged, and lost."""
    history = executed_again("refuse", store, "paused", 9)
    history.damage("store stopped", 9.99, "store back", 11, server=0)
    history.deeds[-1] = history.deeds[-1]._replace(at=10.2)
    assert (history.broken() == set()) == excused


@pytest.mark.parametrize("store, excused", [("redis", False), ("redis-memory", True)])
def test_a_slot_is_given_to_another(store, excused):
    history = History(store=store)
    history.damage("store killed", 10.05, "store back", 10.1, server=0)
    history.say("IDEM014: [0000000a,SETTLING] the store gave this request's slot to another")
    history.say("[pid 9:tid 9] IDEM071: store x refused a late settlement: another request holds the slot 0000000a")
    broken = {"nothing_terrible_logged", "late_settlements_are_due"}
    assert history.broken() == (set() if excused else broken)


@pytest.mark.parametrize("stopped, excused", [(11, False), (10.5, True)])
def test_a_server_that_is_stopped_writes_nothing(stopped, excused):
    history = executed_again("refuse", "redis-everysec", "killed", 13)
    history.damage("store paused", stopped, "store back", 11.8, server=0)
    assert (history.broken() == set()) == excused


def two_keys_of(store):
    """Of which each server has one."""
    names = [f"key {number}" for number in range(20)]
    return [next(name for name in names if PROMISES[store].server_of(name) == server) for server in (0, 1)]


@pytest.mark.parametrize("server", [0, 1])
def test_a_server_loses_only_what_it_had(server):
    ours, other = two_keys_of("memcache")
    for key, excused in ((ours, server == 0), (other, server == 1)):
        history = executed_again("refuse", "memcache", "paused", 12)
        history.rename("k", key)
        history.damage("store killed", 12.5, "store back", 12.6, server=server)
        assert (history.broken() == set()) == excused


@pytest.mark.parametrize("store, damage, broken", [("memcache", PAUSED, set()), ("memcache", CUT, set()),
                                                   ("redis", PAUSED, {"stops_in_time"}),
                                                   ("memcache", FAILING, {"stops_in_time"})])
def test_a_child_that_does_not_stop(store, damage, broken):
    what, over, whom = damage
    history = History(store=store)
    history.damage(what, 19, over, 21, **(whom if damage != FAILING else {"host": 1}))
    history.deeds += [Deed(20, "stop"), Deed(30, "stopped")]
    history.say("AH00046: child process 7 still did not exit", 29)
    assert history.broken() == broken


# ---- whose lease lapsed ----------------------------------------------------------------------------------------------


def told_unknown(damage, seconds=LEASE, store="redis"):
    what, over, whom = damage
    history = under_way(store=store)
    history.damage(what, 10.05, over, 10.05 + seconds, **whom)
    history.answer(14.5, "outcome-unknown")
    return history


OUT_OF_REACH = [STOPPED, CUT, PAUSED, FAILING]
WITHIN_REACH = [("SIGSTOP", "SIGCONT", {
    "pid": 8
}), ("cut off", "joined", {
    "host": 1
}), ("store: fail-all down", "store: no more fail-all", {
    "host": 1
}), ("graceful restart", "none", {
    "host": 0
})]


@pytest.mark.parametrize("damage", OUT_OF_REACH)
def test_unknown_when_the_lease_has_lapsed(damage):
    assert told_unknown(damage).broken() == set()
    assert told_unknown(damage, 0.3).broken() == {"unknown_has_a_reason"}


@pytest.mark.parametrize("damage", WITHIN_REACH)
def test_unknown_although_the_owner_was_within_reach(damage):
    assert told_unknown(damage).broken() == {"unknown_has_a_reason"}


def test_a_lease_of_one_host_does_not_lapse():
    assert told_unknown(STOPPED, store="lmdb").broken() == {"unknown_has_a_reason"}


@pytest.mark.parametrize("damage, broken", [(PAUSED, set()),
                                            (WITHIN_REACH[0], {"unknown_has_a_reason", "unknown_is_final"})])
def test_the_owner_goes_on(damage, broken):
    history = told_unknown(damage)
    history.executions[-1] = history.executions[-1]._replace(end=15)
    history.answer(16, "real", "n", replayed=True)
    assert history.broken() == broken


@pytest.mark.parametrize("damage, broken", [(CUT, set()), (WITHIN_REACH[1], {"again_only_after_death"})])
def test_taken_over_from_an_owner_out_of_reach(damage, broken):
    what, over, whom = damage
    history = under_way("retry", "redis")
    history.damage(what, 10.05, over, 14, **whom)
    history.run("m", 14.5, owner=8)
    history.answer(14.5, "real", "m")
    assert history.broken() == broken


@pytest.mark.parametrize("killed, broken", [(8, set()), (9, {"again_only_after_death"})])
def test_successor_of_an_owner_out_of_reach_is_succeeded(killed, broken):
    """What comes third concerns the second one only, who must have died."""
    what, over, whom = CUT
    history = under_way("retry", "redis")
    history.damage(what, 10.05, over, 14, **whom)
    history.run("m", 14.5, owner=8, end=None)
    history.deeds.append(Deed(15, "SIGKILL", killed))
    history.run("p", 25, owner=6)
    history.answer(25, "real", "p")
    assert history.broken() == broken


@pytest.mark.parametrize("policy, broken", [("retry", set()), ("refuse", {"nothing_terrible_logged"})])
def test_who_was_out_of_reach_lost_the_slot(policy, broken):
    history = under_way(policy, "redis")
    history.damage("SIGSTOP", 10.05, "SIGCONT", 14, pid=7)
    history.executions[-1] = history.executions[-1]._replace(end=14.5)
    history.answer(20, "real", "n", replayed=True)
    history.say("IDEM014: [0000000a,SETTLING] the store gave this request's slot to another", 14.5)
    assert history.broken() == broken


@pytest.mark.parametrize("policy, owner, broken", [("retry", 7, set()), ("retry", 8, {"nothing_terrible_logged"})])
def test_a_lease_that_its_own_thread_misses(policy, owner, broken):
    history = under_way(policy, "redis")
    history.damage("SIGSTOP", 10.05, "SIGCONT", 14, pid=owner)
    history.answer(20, "real", "n", replayed=True)
    history.executions[-1] = history.executions[-1]._replace(end=14.5)
    history.say("IDEM090: store x: a running request lost its lease 0000000a", 14.2)
    assert history.broken() == broken


# ---- who gives up ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [STOPPED, CUT, PAUSED, FAILING, WITHIN_REACH[0], WITHIN_REACH[1]])
@pytest.mark.parametrize("seconds, long_enough", [(31, True), (25, False)])
def test_last_tries_of_a_child_out_of_reach(damage, seconds, long_enough):
    """It ended gracefully at 50 s, and repeated a settlement for half a minute."""
    what, over, whom = damage
    history = History(store="redis")
    history.damage(what, 80.5 - seconds, over, 80.5, **whom)
    history.say("[pid 7:tid 7] IDEM074: store x did not take a settlement before this process ended", 80.1)
    assert history.broken() == (set() if long_enough and damage in OUT_OF_REACH else {"stops_in_time"})


def test_last_tries_between_two_outages():
    """Less than it takes to notice that the store is back is no chance, more is one."""
    for gap, broken in ((1, set()), (3, {"stops_in_time"})):
        history = History(store="redis")
        history.damage("store paused", 49, "store back", 60, server=0)
        history.damage("store paused", 60 + gap, "store back", 80.5, server=0)
        history.say("[pid 7:tid 7] IDEM074: store x did not take a settlement before this process ended", 80.1)
        assert history.broken() == broken


@pytest.mark.parametrize("line, broken", [(None, {"executed_once"}), ("[pid 7:tid 7]", set()),
                                          ("[pid 8:tid 8]", {"executed_once"})])
def test_brief_key_whose_record_came_late(line, broken):
    """Its lease was not renewed while the store was out of reach, and neither was its settlement taken: its life ended
    TTL after it was claimed.
    """
    history = History(brief=True, store="redis")
    history.executions[0] = history.executions[0]._replace(end=12.5)
    history.answers = [
        answer._replace(got=12.6) if (answer.key, answer.sent) == ("k", 10) else answer for answer in history.answers
    ]
    history.run("m", 13.8, owner=8)
    if line:
        history.say(f"{line} IDEM010: [0000000a,SETTLING] store x: settle failed: down", 12.6)
    assert history.broken() == broken
