# SPDX-License-Identifier: Apache-2.0
"""Leases on a store that hosts share: renewed while their owner lives, and what is said when that fails."""
import os
import signal
import sys
import time

import pytest

import env
from client import Api

sys.path.insert(0, str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402

pytestmark = pytest.mark.mpm_independent
CONFIG = "IdempotencyLease 2s\nIdempotencyStoreTimeout 200ms\nLogLevel idempotency:info\n"


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path / "redis", "--maxmemory-policy", "noeviction").start()
    yield server
    os.kill(server.process.pid, signal.SIGCONT)
    server.process.kill()
    server.process.wait(env.CLIENT_TIMEOUT)


@pytest.fixture
def server(redis, new_httpd):
    return new_httpd(CONFIG, f"redis://127.0.0.1:{redis.port}").start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host, "/proxy")


def scripts_run(redis):
    rows = [row for row in redis.cli("INFO", "commandstats").splitlines() if row.startswith("cmdstat_evalsha")]
    return sum(int(row.split("calls=")[1].split(",")[0]) for row in rows)


def test_handler_that_outlives_the_lease_is_still_the_owner(api, redis, origin):
    """Four renewals, each a third of the lease after the last: the lease has ended without them."""
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        before, began = scripts_run(redis), time.monotonic()
        env.until(lambda: scripts_run(redis) >= before + 4, "four renewals")
        assert time.monotonic() - began > 2
        assert api.post("/pay", key="k1").problem == (409, "in-progress")
    first = first.result()
    assert first.problem == (201, None)
    assert api.post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1


@pytest.mark.skipif(env.MPM == "prefork", reason="there a child ends with its handler")
def test_handler_of_a_server_that_is_stopped_is_still_the_owner(server, api, redis, origin, expect_log):
    """httpd gives it some seconds more, and it acts in them."""
    expect_log(62)
    with origin.hold("/pay") as held:
        api.post_async("/pay", key="k1")
        held.wait_until_entered()
        os.kill(server.pid, signal.SIGTERM)
        before = scripts_run(redis)
        env.until(lambda: scripts_run(redis) >= before + 4, "four renewals")
    server.process.wait(env.CLIENT_TIMEOUT)
    server.start()
    assert env.until(lambda: api.post("/pay", key="k1").replayed, "the record")
    assert origin.executions("/pay") == 1


def test_store_that_does_not_answer_renewals(server, api, redis, origin, expect_log):
    expect_log(91)
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        os.kill(redis.process.pid, signal.SIGSTOP)
        env.until(lambda: server.log.count("IDEM091"), "the renewal fails")
        os.kill(redis.process.pid, signal.SIGCONT)
        env.until(lambda: api.post("/other", key="k2").problem == (201, None), "the store is used again")
    assert first.result().problem == (201, None)
    assert api.post("/pay", key="k1").replayed


def test_slot_that_went_to_another(server, api, redis, origin, expect_log):
    """The store forgets the lease, and another request claims the slot before its owner's next renewal."""
    expect_log(14, 90)
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        redis.cli("FLUSHALL")
        second = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        env.until(lambda: server.log.count("IDEM090"), "the owner learns that it has lost its slot")
    answers = [first.result(), second.result()]
    assert [answer.problem for answer in answers].count((201, None)) >= 1
