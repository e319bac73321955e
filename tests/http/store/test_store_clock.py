# SPDX-License-Identifier: Apache-2.0
"""The store's clock is set while the store is in use. No operation runs twice at that moment, and life spans change as
documented.
"""
import email.utils
import re
import sys
import time

import pytest

import env
from client import Api
from clocks import Clock
from httpd import Here

sys.path.append(str(env.REPO / "tests/store/servers"))
from setups import Setup  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyLease 2s
"""
HOUR = 3600
TTL = 24 * HOUR  # the default
TROUBLE = re.compile(r"IDEM(010|02[0-9]|065|09[01])")  # a call came too late
# They follow their host's clock at a walking pace, or (memcached) count seconds from their start.
IMMUNE = {"lmdb sync=on", "socache:shmcb", "socache:dbm", "memcache, -M"}
TRIED = [*sorted(IMMUNE), "redis, AOF always", "dbd:pgsql", "dbd:mysql", "dbd:sqlite3"]


@pytest.fixture
def clock(stage):
    clock = Clock(stage)
    yield clock
    clock.close()


@pytest.fixture(params=TRIED)
def row(request):
    return request.param


@pytest.fixture
def server(row, clock, tmp_path, new_httpd):
    """The clock is that of the store's server, or the host's where there is none."""
    with Setup(row, tmp_path / "store", clock.environment) as setup:
        server = new_httpd(CONFIG, setup.url)
        setup.prepare(server.root, env.USER)
        if not setup.servers:
            server.place = type("Place", (Here,), {"environment": clock.environment})
        yield server.start()
        server.stop()
        assert [line for line in server.log.faults() if not TROUBLE.search(line)] == []
        server.log.mark()


@pytest.fixture
def api(server, host):
    return Api(server.address, host, "/proxy")


@pytest.mark.parametrize("shift", [HOUR, -HOUR, -2 * TTL])
def test_set_while_a_request_runs(clock, api, origin, shift):
    """A lease may lapse at that moment, and its holder renews it. A call under way may find that its time is over.
    Duplicates are refused throughout.
    """
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        clock.set(shift)
        problems = {api.post("/pay", key="k1").problem for _ in range(20)}
        assert problems <= {(409, "in-progress"), (409, "outcome-unknown"), (503, "store-unavailable")}
        env.until(lambda: api.post("/pay", key="k1").problem == (409, "in-progress"), "the lease is renewed")
    assert first.result().problem == (201, None)
    assert api.post("/pay", key="k1").replayed
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("shift", [TTL - HOUR, -2 * TTL])
def test_set_within_the_life_of_a_record(clock, api, origin, shift):
    api.post("/pay", key="k1")
    clock.set(shift)
    assert api.post("/pay", key="k1").replayed
    assert origin.executions("/pay") == 1


def test_set_beyond_the_life_of_a_record(row, clock, api, origin):
    """Where the clock of the store jumps, what would have expired meanwhile has expired."""
    api.post("/pay", key="k1")
    clock.set(TTL + HOUR)
    if row in IMMUNE and row != "memcache, -M":
        said = email.utils.parsedate_to_datetime(api.get("/date")["Date"]).timestamp()
        assert abs(said - time.time() - TTL - HOUR) < 60  # it is their host's clock that was set
    assert api.post("/pay", key="k1").replayed == (row in IMMUNE)
    assert origin.executions("/pay") == (1 if row in IMMUNE else 2)
