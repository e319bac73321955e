# SPDX-License-Identifier: Apache-2.0
"""Hosts whose clocks differ by minutes, or are set while requests run: leases and entries end when the store says so.
"""
import email.utils
import time

import pytest

import env
from clocks import Clock

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
LEASE = TTL = 2.0
WATCH = 2.5 * LEASE  # seconds: no lease lasts so long unless it is renewed
CONFIG = """
IdempotencyLease 2s
IdempotencyStoreTimeout 400ms
LogLevel idempotency:trace1
<Location /far/retry>
    IdempotencyInterrupted retry
</Location>
<Location /far/brief>
    IdempotencyTTL 2s
</Location>
<Location /far/wait>
    IdempotencyConcurrent wait 2s
</Location>
"""
ALWAYS_WRONG = pytest.mark.parametrize("wrong", [300, -300], ids=["ahead", "behind"])
SET_MEANWHILE = pytest.mark.parametrize("shift", [300, -300], ids=["ahead", "behind"])


@pytest.fixture
def clocks(request, stage, far_store):
    """A clock for each host: the first is right until it is set, the second may be wrong from the beginning."""
    clocks = [Clock(stage), Clock(stage, request.node.callspec.params.get("wrong", 0))]
    for one, clock in zip(far_store.farm.hosts, clocks):
        one.environment = clock.environment
    yield clocks
    for one, clock in zip(far_store.farm.hosts, clocks):
        one.environment = {}
        clock.close()


@pytest.fixture
def hosts(clocks, hosts):
    """Started with those clocks."""
    return hosts


def date(api):
    return email.utils.parsedate_to_datetime(api.get("/date")["Date"]).timestamp()


def taken_over(api, path, key):
    """Asks until it is executed: when that was."""
    env.until(lambda: api.post(path, key=key).problem == (201, None), "the slot is free")
    return time.monotonic()


def check_busy(apis, paths):
    """However long one watches, no other request gets the slot of one that runs."""
    ends = time.monotonic() + WATCH
    while time.monotonic() < ends:
        for api in apis:
            for path in paths:
                assert api.post(path, key=path).problem == (409, "in-progress")


@ALWAYS_WRONG
def test_clocks_that_differ(far_store, hosts, clocks, apis, origin, wrong):
    assert abs(date(apis[1]) - date(apis[0]) - wrong) < 5
    with origin.hold("/retry/0") as first, origin.hold("/retry/1") as second:
        runs = [api.post_async(f"/retry/{i}", key=f"/retry/{i}") for i, api in enumerate(apis)]
        first.wait_until_entered()
        second.wait_until_entered()
        check_busy(apis, ["/retry/0", "/retry/1"])
    for number, run in enumerate(runs):
        answer = run.last_result()
        assert answer.problem == (201, None)
        again = [api.post(f"/retry/{number}", key=f"/retry/{number}") for api in apis]
        assert [one.replayed and one.recorded == answer.recorded for one in again] == [True, True]
    assert origin.executions("/retry/0") == origin.executions("/retry/1") == 1


@ALWAYS_WRONG
def test_successor_whose_clock_differs(far_store, hosts, clocks, apis, origin, wrong):
    """It takes over when the lease has ended, no earlier and no later."""
    with origin.hold("/retry") as held:
        began = time.monotonic()
        conn = apis[0].post_async("/retry", key="k1")
        held.wait_until_entered()
        held.let_others_pass()
        hosts[0].kill()
        seconds = taken_over(apis[1], "/retry", "k1") - began
        conn.reset()
    assert LEASE <= seconds < LEASE * 4 / 3 + far_store.row.grain + env.SLACK
    assert origin.executions("/retry") == 2


@ALWAYS_WRONG
def test_entries_end_in_time(far_store, hosts, clocks, apis, origin, wrong):
    for number, (here, there) in enumerate([apis, apis[::-1]]):
        path, began = f"/brief/{number}", time.monotonic()
        first = here.post(path, key=path)
        assert there.post(path, key=path).recorded == first.recorded
        env.until(lambda: not there.post(path, key=path).replayed, "the record ends")
        assert TTL <= time.monotonic() - began < TTL + far_store.row.grain + env.SLACK
        assert origin.executions(path) == 2


@SET_MEANWHILE
def test_clock_is_set_while_a_request_runs(far_store, hosts, clocks, apis, origin, shift):
    """Its lease is renewed as before."""
    with origin.hold("/retry") as held:
        first = apis[0].post_async("/retry", key="/retry")
        held.wait_until_entered()
        clocks[0].set(shift)
        check_busy(apis, ["/retry"])
    first = first.last_result()
    assert first.problem == (201, None) and not first.replayed
    assert [api.post("/retry", key="/retry").recorded == first.recorded for api in apis] == [True, True]
    assert origin.executions("/retry") == 1


@SET_MEANWHILE
def test_clock_is_set_while_a_request_waits(far_store, hosts, clocks, apis, origin, shift):
    """It waits as long as it would have."""
    with origin.hold("/wait") as held:
        first = apis[0].post_async("/wait", key="k1")
        held.wait_until_entered()
        began = time.monotonic()
        second = apis[1].post_async("/wait", key="k1")
        env.until(lambda: any("-> WAITING, wait" in line for line in hosts[1].server.log.lines()), "it waits")
        clocks[1].set(shift)
        assert second.last_result().problem == (409, "in-progress")
        assert 2 <= time.monotonic() - began < 2 + env.SLACK
    assert first.last_result().problem == (201, None)


@SET_MEANWHILE
def test_clock_is_set_while_a_record_waits_for_the_store(far_store, hosts, clocks, apis, origin, shift, tolerate):
    """The record is kept until the store is back, and is there soon after."""
    tolerate(10, 22)  # a call failed; the store is not called
    with origin.hold("/pay") as held:
        first = apis[0].post_async("/pay", key="k1")
        held.wait_until_entered()
        far_store.pause() if far_store.row.bounds else far_store.kill()
    first = first.last_result()
    assert first.problem == (201, None)
    clocks[0].set(shift)
    far_store.mend()
    began = time.monotonic()
    env.until(lambda: hosts[0].server.log.count("IDEM072"), "the record is there")
    assert time.monotonic() - began < 2 + env.SLACK
    assert apis[1].post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1
