# SPDX-License-Identifier: Apache-2.0
"""The clock of a store's server is set while it is in use: what docs/stores.md says of it.

Stores that measure by the time of day: set forwards, leases and entries end early, a running request's too; set back,
they end late. Stores that measure by a clock that cannot be set: nothing changes.
"""
import time

import pytest

import env
from clocks import Clock
from farm import Farm
from farm_stores import ROWS, Store

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
LEASE = 6.0
SLACK = 1.0  # seconds beyond the lease that are watched
LITTLE, JUMP = 30, 300  # seconds: longer than a lease; longer than an entry's life
CONFIG = """
IdempotencyLease 6s
IdempotencyStoreTimeout 1s
IdempotencyTTL 2min
<Location /far/retry>
    IdempotencyInterrupted retry
</Location>
"""
BUSY, UNKNOWN, EXECUTED = (409, "in-progress"), (409, "outcome-unknown"), (201, None)


@pytest.fixture(scope="module", params=ROWS, ids=str)
def far_store(request, stage):
    clock = Clock(stage)
    with Farm(stage) as farm, Store(request.param, farm, clock.environment) as store:
        store.clock = clock
        yield store
    clock.close()


@pytest.fixture
def measures(far_store):
    """By the time of day?"""
    far_store.clock.set(0)
    return far_store.row.clock_of_day


@pytest.mark.parametrize("jump", [JUMP, -JUMP], ids=["forwards", "back"])
def test_it_is_used_as_before(measures, far_store, hosts, apis, origin, jump):
    """New requests are executed and replayed, and no child has to learn the time first."""
    far_store.clock.set(jump)
    for number in range(20):
        first = apis[number % 2].post(f"/pay{number}", key=f"k{number}")
        assert first.problem == EXECUTED
        assert apis[1 - number % 2].post(f"/pay{number}", key=f"k{number}").recorded == first.recorded
    assert origin.executions() == 20


def test_running_request_when_it_is_set_forwards(measures, far_store, hosts, apis, origin, expect_log):
    """Its lease has ended, though it is renewed in time: whoever comes before the next renewal takes its owner for
    dead.
    """
    with origin.hold("/retry") as held:
        first = apis[0].post_async("/retry", key="k1")
        held.wait_until_entered()
        held.let_others_pass()
        far_store.clock.set(LITTLE)
        second = apis[1].post("/retry", key="k1")
    first = first.last_result()
    assert second.problem == (EXECUTED if measures else BUSY)
    assert origin.executions("/retry") == (2 if measures else 1)
    if measures:
        assert first.replayed and first.recorded == second.recorded  # there is one answer, though two ran
        expect_log(14)


def test_running_request_is_its_owners_again(measures, far_store, hosts, apis, origin):
    """Where nobody may take over, the next renewal mends it."""
    with origin.hold("/pay") as held:
        first = apis[0].post_async("/pay", key="k1")
        held.wait_until_entered()
        far_store.clock.set(LITTLE)
        assert apis[1].post("/pay", key="k1").problem == (UNKNOWN if measures else BUSY)
        env.until(lambda: apis[1].post("/pay", key="k1").problem == BUSY, "the lease is renewed")
    first = first.last_result()
    assert first.problem == EXECUTED and apis[1].post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_entries_when_it_is_set_forwards(measures, far_store, hosts, apis, origin, expect_log):
    """Those that would have lived less long have ended: a record's, and a running request's."""
    record = apis[0].post("/done", key="k1")
    with origin.hold("/runs") as held:
        first = apis[0].post_async("/runs", key="k2")
        held.wait_until_entered()
        held.let_others_pass()
        far_store.clock.set(JUMP)
        again, second = apis[1].post("/done", key="k1"), apis[1].post("/runs", key="k2")
    first = first.last_result()
    assert again.problem == EXECUTED and again.replayed != measures
    assert second.problem == (EXECUTED if measures else BUSY)
    assert origin.executions("/done") == origin.executions("/runs") == (2 if measures else 1)
    if measures:
        assert first.replayed and first.recorded == second.recorded  # there is one answer, though two ran
        expect_log(14)


def test_dead_host_when_it_is_set_back(measures, far_store, hosts, apis, origin):
    """It is noticed later, by as much as the clock was set back."""
    with origin.hold("/pay") as held:
        began = time.monotonic()
        conn = apis[0].post_async("/pay", key="k1")
        held.wait_until_entered()
        far_store.clock.set(-JUMP)
        hosts[0].kill()
        while time.monotonic() - began < LEASE + far_store.row.grain + SLACK:
            answer = apis[1].post("/pay", key="k1")
            assert answer.problem in (BUSY, UNKNOWN)
        conn.reset()
    assert answer.problem == (BUSY if measures else UNKNOWN)
    far_store.clock.set(0)
    env.until(lambda: apis[1].post("/pay", key="k1").problem == UNKNOWN, "the lease has ended")
