# SPDX-License-Identifier: Apache-2.0
"""A store in memcached, as its administrator meets it: two servers of httpd, a server that ends, records that do not
fit.
"""
import sys

import pytest

import env
from checks import tolerate
from client import Api
from outage import assert_used_again_soon, started_without_its_store

sys.path.append(str(env.REPO / "tests/store/servers"))
from memcached_server import Memcached, url  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
CONFIG = "IdempotencyStoreTimeout 3s\n"
FORGETS = "memcached keeps everything in memory: after a restart of a server its operations can run again"


@pytest.fixture
def pair(tmp_path):
    with Memcached(tmp_path / "one", "-M", "-I", "512k") as one, Memcached(tmp_path / "two", "-M", "-I", "512k") as two:
        yield one, two


@pytest.fixture
def server(pair, new_httpd):
    return new_httpd(CONFIG, url(*pair)).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def test_executed_here_and_replayed_there(pair, api, new_httpd, host, origin):
    """The other one names the servers the other way round."""
    other = Api(new_httpd(CONFIG, url(*pair[::-1])).start().address, host)
    for key in map(str, range(8)):
        first = api.post("/pay?status=207&header=X-A:+1", key=key, body=b"1")
        assert not first.replayed
        again = other.post("/pay?status=207&header=X-A:+1", key=key, body=b"1")
        assert again.replayed and again.recorded == first.recorded
        assert other.post("/pay?status=207&header=X-A:+1", key=key, body=b"2").problem == (422, "key-reused")
    assert origin.executions("/pay") == 8
    assert all(server.stats()["curr_items"] != "0" for server in pair)
    with origin.hold("/slow") as held:
        running = api.post_async("/slow", key="k")
        held.wait_until_entered()
        assert other.post("/slow", key="k").problem == (409, "in-progress")
    assert running.result().problem == (201, None)
    assert other.post("/slow", key="k").replayed


def test_released_by_one_and_executed_by_the_other(pair, api, new_httpd, host, origin):
    other = Api(new_httpd(CONFIG, url(*pair)).start().address, host)
    for _ in range(3):
        assert api.post("/busy?status=503", key="k").problem == (503, None)
        assert other.post("/busy?status=503", key="k").problem == (503, None)
    assert origin.executions("/busy") == 6


def test_setup_is_said_at_start(tmp_path, new_httpd, pair):
    with Memcached(tmp_path / "lax") as lax:
        server = new_httpd(CONFIG, url(pair[0], lax)).start()
        server.stop()
        said = [line for line in server.startup if "IDEM062" in line]
        assert FORGETS in said[0] and f"{lax.place()} drops live entries when it is full" in said[0]


def test_server_starts_without_its_store(pair, new_httpd, host):
    for one in pair:
        one.stop()
    server = new_httpd(CONFIG, url(*pair)).start()
    api = started_without_its_store(server, host)
    for one in pair:
        one.start()
    assert_used_again_soon(api)
    tolerate(server, "IDEM010", "IDEM064", "IDEM065")


def test_response_larger_than_an_item(api, origin, server):
    for _ in range(2):
        answer = api.post("/pay?size=600000", key="k1")
    assert answer.problem == (409, "response-not-kept")
    assert origin.executions("/pay") == 1


def test_restart_costs_no_request(pair, api, server, origin):
    """Every connection that waits is stale then, and one try on a fresh one is enough."""
    with origin.hold("/pay") as held:
        running = [api.post_async("/pay", key=f"k{number}") for number in range(12)]
        held.wait_until_entered(12)
    assert {one.result().problem for one in running} == {(201, None)}
    for one in pair:
        one.restart()
    running = [api.post_async("/pay", key=f"new{number}") for number in range(24)]
    assert {one.result().problem for one in running} == {(201, None)}
    assert origin.executions("/pay") == 36


def test_what_was_under_way_when_the_server_restarted_is_recorded(pair, api, server, origin):
    """Its lease is lost with everything else; its owner makes the slot again."""
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        for one in pair:
            one.restart()
    assert first.result().problem == (201, None)
    env.until(lambda: api.post("/pay", key="k1").replayed, "the record is there")
    assert origin.executions("/pay") == 1
    tolerate(server, "IDEM010", "IDEM022", "IDEM090")
