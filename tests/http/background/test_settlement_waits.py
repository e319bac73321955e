# SPDX-License-Identifier: Apache-2.0
"""A shared store does not take a settlement, but answers other calls. The owner lives and reaches the store, so nobody
is told that the outcome is unknown.
"""
import os
import signal
import sys
import time

import pytest

import env
from client import Api

sys.path.insert(0, str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402

pytestmark = pytest.mark.mpm
LEASE = 2
CONFIG = f"IdempotencyLease {LEASE}s\nIdempotencyStoreTimeout 500ms\n"


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = Redis(tmp_path_factory.mktemp("settlements") / "redis", "--maxmemory-policy", "noeviction").start()
    yield server
    os.kill(server.process.pid, signal.SIGTERM)
    server.process.wait(env.CLIENT_TIMEOUT)


@pytest.fixture
def server(new_httpd, redis):
    return new_httpd(CONFIG, "wrap:{root}/control,redis://127.0.0.1:%d" % redis.port).start()


@pytest.mark.parametrize("how", ["full", "timeout", "down"])
def test_lease_is_kept(server, host, origin, expect_log, how):
    expect_log(10)
    server.wait_until_attached()
    api = Api(server.address, host, "/proxy")
    server.control.fail("settle", how)
    first = api.post("/pay", key="k1")
    assert first.problem == (201, None)
    began = time.monotonic()
    while time.monotonic() < began + 2.5 * LEASE:  # as long as two leases, asked all the time
        assert api.post("/pay", key="k1").problem == (409, "in-progress")
        time.sleep(0.05)
    server.control.behave()
    again = env.until(lambda: (answer := api.post("/pay", key="k1")).problem != (409, "in-progress") and answer,
                      "the settlement")
    if how == "full":
        assert again.problem == (409, "response-not-kept")
    else:
        assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1
