# SPDX-License-Identifier: Apache-2.0
"""A host that dies, or loses the store, while it executes: when the others learn of it, and what becomes of its answer.
"""
import time

import pytest

import env

pytestmark = pytest.mark.mpm_independent
LEASE = 2.0
CONFIG = """
IdempotencyLease 2s
IdempotencyStoreTimeout 400ms
<Location /far/retry>
    IdempotencyInterrupted retry
</Location>
<Location /far/wait>
    IdempotencyConcurrent wait 20s
</Location>
<Location /far/wait/retry>
    IdempotencyInterrupted retry
</Location>
LogLevel idempotency:trace1
"""
CROWD, WAITERS = 8, 4
# The lines that a host may log while it is cut off: calls failed, the store is not called, leases were not renewed, and
# one was lost.
CUT_OFF = (10, 22, 90, 91)
FENCED, REFUSED_LATE, FORGETFUL = 14, 71, 62


def first_other_answer(api, path):
    """Asks until it is told something else than to come back: (answer, when it came)."""
    def ask():
        answer = api.post(path, key="k1")
        return (answer, time.monotonic()) if answer.problem != (409, "in-progress") else None
    return env.until(ask, "the lease ends")


def crowd_until_executed(api, path):
    """Sends the request many times at once, again and again, until one of them is executed: (answers, when)."""
    def round_of_requests():
        conns = [api.post_async(path, key="k1") for _ in range(CROWD)]
        answers = [conn.last_result() for conn in conns]
        return (answers, time.monotonic()) if any(answer.status == 201 for answer in answers) else None
    return env.until(round_of_requests, "one takes over")


def check_time(seconds, grain):
    """The lease was renewed at most once, a third of it after it was won, or just before its owner was lost."""
    assert LEASE <= seconds < LEASE + LEASE / 3 + grain + env.SLACK


def only_executed(answers):
    (executed,) = [answer for answer in answers if answer.problem == (201, None) and not answer.replayed]
    for answer in answers:
        assert answer is executed or answer.problem == (409, "in-progress") or answer.recorded == executed.recorded
    return executed


@pytest.fixture
def begin(apis, origin):
    """A request is executed at host 0, and held there: (its connection, when it began)."""
    def begin(path, held):
        began = time.monotonic()
        conn = apis[0].post_async(path, key="k1")
        held.wait_until_entered()
        return conn, began
    return begin


def test_killed_host_leaves_an_unknown_outcome(far_store, hosts, apis, origin, begin, tolerate, record_property):
    with origin.hold("/pay") as held:
        conn, began = begin("/pay", held)
        hosts[0].kill()
        answer, ended = first_other_answer(apis[1], "/pay")
        conn.reset()
    assert answer.problem == (409, "outcome-unknown")
    check_time(ended - began, far_store.row.grain)
    record_property("seconds_until_unknown", ended - began)
    tolerate(FORGETFUL)  # some stores have that to say when a server starts
    hosts[0].start_again()
    for api in apis:
        assert api.post("/pay", key="k1").problem == (409, "outcome-unknown")
        assert api.post("/pay", key="k1", body=b"other").problem == (422, "key-reused")
    assert origin.executions("/pay") == 1


def test_killed_host_is_succeeded_by_one(far_store, hosts, apis, origin, begin, record_property):
    with origin.hold("/retry") as held:
        conn, began = begin("/retry", held)
        held.let_others_pass()
        hosts[0].kill()
        answers, ended = crowd_until_executed(apis[1], "/retry")
        conn.reset()
    executed = only_executed(answers)
    check_time(ended - began, far_store.row.grain)
    record_property("seconds_until_taken_over", ended - began)
    again = apis[1].post("/retry", key="k1")
    assert again.replayed and again.recorded == executed.recorded
    assert origin.executions("/retry") == 2


@pytest.mark.parametrize("path", [pytest.param("/wait", marks=pytest.mark.long), "/wait/retry"])
def test_those_who_wait_for_a_host_that_is_killed(far_store, hosts, apis, origin, begin, path):
    """They learn of it when its lease has ended; one of them is executed, where that is allowed, and answers the
    others.
    """
    with origin.hold(path) as held:
        conn, began = begin(path, held)
        held.let_others_pass()
        waiting = [apis[1].post_async(path, key="k1") for _ in range(WAITERS)]
        log = hosts[1].server.log
        env.until(lambda: sum("-> WAITING, wait" in line for line in log.lines()) >= WAITERS, "they wait")
        hosts[0].kill()
        answers, ended = [one.last_result() for one in waiting], time.monotonic()
        conn.reset()
    check_time(ended - began, far_store.row.grain)
    if path == "/wait":
        assert {answer.problem for answer in answers} == {(409, "outcome-unknown")}
    else:
        executed = only_executed(answers)
        assert [answer.recorded for answer in answers] == [executed.recorded] * WAITERS
    assert origin.executions(path) == (1 if path == "/wait" else 2)


@pytest.fixture
def needs_cutting(far_store):
    if not far_store.farm.apart:
        pytest.skip(far_store.farm.reason)


@pytest.mark.parametrize("cut", ["cut_off", pytest.param("unplug", marks=pytest.mark.long)])
def test_host_cut_off_is_succeeded_and_fenced(far_store, hosts, apis, origin, begin, needs_cutting, tolerate, cut):
    """It runs on, learns when the line is back that it has lost its slot, and answers what its successor answered."""
    tolerate(*CUT_OFF, FENCED)
    with origin.hold("/retry") as held:
        conn, began = begin("/retry", held)
        held.let_others_pass()
        getattr(hosts[0], cut)()
        answers, ended = crowd_until_executed(apis[1], "/retry")
        hosts[0].mend()
        env.until(lambda: hosts[0].server.log.count("IDEM090"), "the owner learns that it lost its slot")
    executed = only_executed(answers)
    check_time(ended - began, far_store.row.grain)
    late = conn.last_result()
    assert late.replayed and late.recorded == executed.recorded
    rows = hosts[0].server.outcomes(apis[0], 1)
    assert rows[0][2:4] == ["executed", "lost"]
    assert hosts[0].server.log.count("IDEM014") == 1
    assert origin.executions("/retry") == 2


@pytest.mark.long
def test_host_cut_off_until_it_is_done(far_store, hosts, apis, origin, begin, needs_cutting, tolerate):
    """Its client gets the real answer; its record comes too late, and the successor's stands."""
    tolerate(*CUT_OFF, REFUSED_LATE)
    with origin.hold("/retry") as held:
        conn, _ = begin("/retry", held)
        held.let_others_pass()
        hosts[0].cut_off()
        executed = only_executed(crowd_until_executed(apis[1], "/retry")[0])
    late = conn.last_result()
    assert late.problem == (201, None) and late.body != executed.body
    hosts[0].mend()
    env.until(lambda: hosts[0].server.log.count("IDEM071"), "the late record is refused")
    for api in apis:
        again = env.until(lambda: (lambda answer: answer.replayed and answer)(api.post("/retry", key="k1")), "a replay")
        assert again.recorded == executed.recorded
    assert origin.executions("/retry") == 2


@pytest.mark.long
def test_host_cut_off_for_a_while(far_store, hosts, apis, origin, begin, needs_cutting, tolerate):
    """Where nobody takes over, the owner goes on when the line is back, and its record counts."""
    tolerate(*CUT_OFF)
    with origin.hold("/pay") as held:
        conn, began = begin("/pay", held)
        hosts[0].cut_off()
        answer, ended = first_other_answer(apis[1], "/pay")
        assert answer.problem == (409, "outcome-unknown")
        check_time(ended - began, far_store.row.grain)
        hosts[0].mend()
        if far_store.row.revives:
            env.until(lambda: apis[1].post("/pay", key="k1").problem == (409, "in-progress"), "the owner renews again")
    first = conn.last_result()
    assert first.problem == (201, None) and not first.replayed
    # Nobody has seen yet that the owner uses the store again: its record may be kept meanwhile.
    if not far_store.row.revives:
        env.until(lambda: apis[1].post("/pay", key="k1").replayed, "the record is there")
    assert apis[1].post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1
