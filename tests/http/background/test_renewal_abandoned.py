# SPDX-License-Identifier: Apache-2.0
"""A renewal that is inside the store when its request has given the key back: the key stays free."""
import contextlib
import sys

import pytest

import env
from checks import tolerate
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyLease 7s
IdempotencyStoreTimeout 2s
"""
NOT_DONE = (503, None)
SLOW = ("IDEM010", "IDEM022", "IDEM091")  # a call that is inside for so long may count as a store that hangs


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as redis:
        yield redis


@pytest.fixture
def server(redis, new_httpd):
    server = new_httpd(CONFIG, f"wrap:{{root}}/control,{redis.url()}").start()
    server.wait_until_attached()
    yield server
    server.control.behave()


def test_claim_that_comes_after_the_release(server, redis, api, origin):
    """The store lost the lease and is slow: its owner claims it again for as long as the request waits for that, and a
    little longer.
    """
    with origin.hold("/pay") as held:
        conn = api.post_async("/pay?status=503", key="k1")
        held.wait_until_entered()
        redis.cli("FLUSHALL")
        for operation, milliseconds in (("renew", 1000), ("claim", 1700)):
            server.control.delay(operation, milliseconds)
        server.control.block("renew")
        env.until(lambda: ["renew", "blocked"] in server.control.calls(), "the renewal is inside the store")
    server.control.go_on("renew")
    assert conn.last_result().problem == NOT_DONE
    with contextlib.suppress(TimeoutError):  # a test that stood still for a second came too late for it
        env.until(lambda: server.control.calls().count(["claim", "ok"]) == 2, "the store has claimed it again")
    server.control.behave()
    env.until(lambda: executed_again(api, origin), "the key is free")
    tolerate(server, *SLOW)


def executed_again(api, origin):
    api.post("/pay?status=503", key="k1")
    return origin.executions("/pay") == 2


@pytest.fixture
def api(server, host):
    return Api(server.address, host, "/proxy")
