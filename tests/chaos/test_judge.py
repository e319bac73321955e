# SPDX-License-Identifier: Apache-2.0
"""The judge itself: a history in which all went well breaks no rule, and each fault breaks its own rule."""
import pathlib
import sys

import pytest

sys.path[1:1] = [
    str(pathlib.Path(__file__).resolve().parents[1] / "http"),
    str(pathlib.Path(__file__).resolve().parent)
]

import schedule
from arena import BRIEF, MOST_KEPT
from evidence import time_of
from invented import FAILED, History, interrupted
from monkey import Deed


@pytest.fixture(params=["refuse", "retry"])
def history(request):
    return History(request.param)


def test_all_went_well(history):
    assert history.broken() == set()


def test_executed_twice():
    history = History()
    history.run("m", 12)
    assert history.broken() == {"executed_once"}


@pytest.mark.parametrize("later, broken", [(BRIEF + 0.2, set()), (BRIEF - 0.1, {"executed_once"})])
def test_brief_key_runs_again_when_its_life_is_over(later, broken):
    history = History(brief=True)
    history.run("m", 10 + later)
    assert history.broken() == broken


def test_two_responses():
    history = History()
    history.run("m", 12)
    history.answer(12, "real", "m")
    assert {"one_response", "executed_once"} <= history.broken()


def test_two_forms_of_one_response(history):
    history.answer(31, "real", "n", digest="other", replayed=True)
    assert "response_is_an_execution" in history.broken()


def test_the_response_of_another_key(history):
    history.answer(31, "real", "o", replayed=True)
    assert "response_is_an_execution" in history.broken()


def test_a_response_before_its_end(history):
    history.executions[0] = history.executions[0]._replace(end=None)
    assert history.broken() == {"response_is_an_execution"}


@pytest.mark.parametrize("kind", ["in-progress", "response-not-kept", "error"])
def test_an_acknowledged_record_is_lost(history, kind):
    history.answer(20, kind)
    assert "acknowledged_is_kept" in history.broken()


def test_a_record_that_the_store_did_not_take_comes_later():
    history = History()
    history.say(FAILED)
    history.answer(20, "in-progress")
    assert history.broken() == set()


def test_a_record_that_the_store_took_late_is_lost():
    history = History()
    history.answers = [answer for answer in history.answers if not answer.replayed or answer.key == "other"]
    history.say(FAILED)
    history.answer(40, "outcome-unknown")
    assert history.broken() == {"acknowledged_is_kept"}
    history.acknowledged = set()
    history.deeds.append(Deed(12, "SIGKILL", 7))
    assert history.broken() == set()


def test_a_tombstone_is_lost(history):
    assert History(size=MOST_KEPT + 1).broken() == set()
    longer = History(size=MOST_KEPT + 1)
    longer.answer(40, "real", "n")
    assert longer.broken() == {"acknowledged_is_kept"}


def test_not_kept_without_a_reason(history):
    history.forget_answers()
    history.answer(20, "response-not-kept")
    assert history.broken() == {"not_kept_has_a_reason"}
    history.say(FAILED)
    assert history.broken() == set()


def test_unknown_after_a_kill():
    history = interrupted()
    history.answer(12, "outcome-unknown")
    assert history.broken() == set()


def test_unknown_without_a_kill():
    history = interrupted()
    history.answer(12, "outcome-unknown")
    history.deeds = [Deed(1, "SIGKILL", 99)]
    assert history.broken() == {"unknown_has_a_reason"}


@pytest.mark.parametrize("stop, stopped, broken", [(9.5, 20, set()), (9.95, 10.1, set()),
                                                   (8, 9.5, {"unknown_has_a_reason"}),
                                                   (13, 20, {"unknown_has_a_reason"})])
def test_unknown_while_its_server_was_stopped(stop, stopped, broken):
    """Children end when they are told to; the server has stopped when the last of them has."""
    history = interrupted()
    history.answer(12, "outcome-unknown")
    history.deeds = [Deed(1, "SIGKILL", 99), Deed(stop, "stop", 0), Deed(stopped, "stopped", 0)]
    assert history.broken() == broken


def test_executed_after_unknown():
    history = interrupted()
    history.answer(12, "outcome-unknown")
    history.run("m", 14, owner=8)
    assert history.broken() == {"executed_once", "unknown_is_final"}


def test_the_unknown_execution_begins_late():
    history = interrupted()
    history.answer(12, "outcome-unknown")
    history.executions[-1] = history.executions[-1]._replace(begin=13)
    assert history.broken() == set()
    history.executions[-1] = history.executions[-1]._replace(owner=8)
    assert history.broken() == {"unknown_is_final"}


def test_a_response_after_unknown():
    history = interrupted()
    history.answer(12, "outcome-unknown")
    history.executions[-1] = history.executions[-1]._replace(end=10.1)
    history.answer(14, "real", "n", replayed=True)
    assert "unknown_is_final" in history.broken()


def test_taken_over_after_a_kill():
    history = interrupted("retry")
    history.run("m", 12, owner=8)
    history.answer(12, "real", "m")
    history.answer(30, "real", "m", replayed=True)
    assert history.broken() == set()


@pytest.mark.parametrize("when", [12.5, None])
def test_taken_over_from_the_living(when):
    history = interrupted("retry")
    history.deeds = [Deed(1, "SIGKILL", 99)] + ([Deed(when, "SIGKILL", 7)] if when else [])
    history.run("m", 12, owner=8)
    history.answer(12, "real", "m")
    assert history.broken() == {"again_only_after_death"}


def test_a_server_that_is_stopped_dies_when_it_has_stopped():
    history = interrupted("retry")
    history.deeds = [Deed(1, "SIGKILL", 99), Deed(9.5, "stop", 0), Deed(11, "stopped", 0)]
    history.run("m", 12, owner=8)
    history.answer(12, "real", "m")
    assert history.broken() == set()


def test_two_replays():
    history = History("retry")
    history.run("m", 12)
    history.answer(12, "real", "m", replayed=True)
    assert "one_replay" in history.broken()


def test_unknown_where_a_retry_may_execute():
    history = interrupted("retry")
    history.answer(12, "outcome-unknown")
    assert history.broken() == {"known_kinds"}


def test_one_token_for_two(history):
    history.executions[1] = history.executions[1]._replace(token="n")
    assert history.broken() == {"tokens_differ"}


@pytest.mark.parametrize("kind", ["mangled", "strange 404", "key-reused"])
def test_an_answer_nobody_earned(history, kind):
    history.answer(5, kind)
    assert history.broken() == {"known_kinds"}


def test_never_told(history):
    history.answer(50, "store-unavailable")
    assert history.broken() == {"everybody_knows"}


@pytest.mark.parametrize("line", [
    "child pid 98 exit signal Segmentation fault (11)", "child pid 99 exit signal Bus error (7)",
    "child pid 99 exit signal Segmentation fault (11)"
])
def test_a_child_died_by_itself(history, line):
    history.say(line)
    assert history.broken() == {"only_killed_by_the_monkey"}


@pytest.mark.parametrize("mpm, at, broken", [("event", 11, set()), ("event", 12, {"only_killed_by_the_monkey"}),
                                             ("prefork", 11, {"only_killed_by_the_monkey"})])
def test_the_event_mpm_crashes_while_it_is_stopped(history, mpm, at, broken):
    history.mpm = mpm
    history.deeds += [Deed(10.5, "stop", 0), Deed(11.5, "stopped", 0)]
    history.say("child pid 98 exit signal Segmentation fault (11)", at)
    assert history.broken() == broken


def test_a_child_was_killed(history):
    history.say("child pid 99 exit signal Killed (9)")
    assert history.broken() == set()


@pytest.mark.parametrize("line",
                         ["IDEM014: [0000000a,SETTLING] the store gave this request's slot to another",
                          "IDEM002: impossible event"])
def test_a_line_that_must_not_be(history, line):
    history.say(line)
    assert history.broken() == {"nothing_terrible_logged"}


@pytest.mark.parametrize("line", ["IDEM074: store x did not take a settlement",
                                  "AH00046: child process 9 still did not exit"])
def test_a_stop_that_loses_or_hangs(history, line):
    history.say(line)
    assert history.broken() == {"stops_in_time"}


def test_a_stop_that_may_lose(history):
    history.deeds += [Deed(10.5, "stop", 0), Deed(11.5, "stopped", 0)]
    history.say("IDEM074: store x did not take a settlement")
    history.say("AH00046: child process 9 still did not exit")
    history.waiting = {9}
    assert history.broken() == set()


def test_a_late_settlement_is_refused(history):
    history.say("[pid 9:tid 9] IDEM071: store x refused a late settlement")
    assert history.broken() == {"late_settlements_are_due"}
    history.log = []
    history.say("[pid 9:tid 9] IDEM010: [0000000a,TAKING] store lmdb:x: takeover failed: down")
    history.say("[pid 9:tid 9] IDEM071: store x refused a late settlement")
    assert history.broken() == set()


def test_nothing_happened(history):
    history.deeds = []
    assert history.broken() == {"something_happened"}


def test_a_schedule_is_its_seeds():
    assert schedule.make(5, 60) == schedule.make(5, 60) != schedule.make(6, 60)
    assert {action for _, action, _ in schedule.make(5, 10)} == set(schedule.WEIGHTS)
    assert {action for _, action, _ in schedule.make(5, 10, served=True)} == set(schedule.SERVED_WEIGHTS)
    assert "fill" not in {action for _, action, _ in schedule.make(5, 60, without=["fill"])}
    assert {"-".join(schedule.failure_of(n / 1000))
            for n in range(1000)} == {row.replace(" ", "-", 1)
                                      for row in schedule.FAILURES}


def test_times_in_the_log():
    later = time_of("[Sat Nov 21 04:23:46.250000 2026] [core:notice] x") - time_of(
        "[Sat Nov 21 04:23:45.000000 2026] x")
    assert later == 1.25 and time_of("no stamp") == 0.0
