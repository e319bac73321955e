# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL with a synchronous standby fails over while two hosts are under load. The primary is killed with its disk,
the standby is promoted, and no acknowledged entry is lost.
"""
import re
import shutil
import sys

import pytest

import env
from client import Api
from test_redis_failover import Load, executions

sys.path.append(str(env.REPO / "tests/store/servers"))
from private_server import until  # noqa: E402 (found by the line above)
from setups import Setup  # noqa: E402

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyStoreTimeout 500ms
IdempotencyLease 10s
"""
EXPECTED = re.compile(r"IDEM(010|02[0-9]|06[2-9]|09[0-9])")  # a store in trouble, leases that cannot be renewed


@pytest.fixture
def pair(tmp_path):
    with Setup("dbd:pgsql, synchronous standby", tmp_path / "store") as setup:
        yield setup


@pytest.fixture
def httpds(pair, new_httpd):
    return [new_httpd(CONFIG, pair.url).start() for _ in range(2)]


def check_logs(servers):
    for server in servers:
        assert [line for line in server.log.faults() if not EXPECTED.search(line)] == []
        server.log.mark()


def test_standby_that_hangs_holds_claims_back(pair, httpds, host, origin):
    """What the standby has not confirmed is not acknowledged, and does not run."""
    api = Api(httpds[0].address, host, "/proxy")
    assert api.post("/pay", key="k1").problem == (201, None)
    pair.servers[1].pause()
    assert api.post("/pay", key="k2").problem == (503, "store-unavailable")
    assert origin.executions("/pay") == 1
    pair.servers[1].resume()
    env.until(lambda: api.post("/pay", key="k3").problem == (201, None), "the store is used again")
    check_logs(httpds)


def test_promoted_standby_has_all_that_was_acknowledged(pair, httpds, host, origin, record_property):
    primary, standby = pair.servers
    with Load([Api(httpd.address, host, "/proxy") for httpd in httpds]) as load:
        until(lambda: load.done() > 40, "the load runs")
        primary.kill()
        shutil.rmtree(primary.data)
        standby.sql("SELECT pg_promote()", database="postgres")
        before = load.done()
        until(lambda: load.done() > before + 40, "the store is used again")
    load.repeat_all()
    runs = executions(origin, load)
    record_property("keys", len(load.answers))
    print(f"{len(load.answers)} keys, {len(runs)} executed")
    assert max(runs.values()) == 1
    assert all(answers[-1][0] in (201, 409) for answers in load.answers.values())
    answered = [answers for answers in load.answers.values() if any(status == 201 for status, _, _ in answers)]
    assert len(answered) > 80 and all(
        len({body
             for status, _, body in answers if status == 201}) == 1 for answers in answered)
    check_logs(httpds)
