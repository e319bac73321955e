# SPDX-License-Identifier: Apache-2.0
"""A Redis that is not there, stops, or comes back: what guarded requests get, how soon, and that nothing else suffers.
"""
import sys

import pytest

import env
from checks import timed, tolerate
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
TIMEOUT = 0.4
CONFIG = """
IdempotencyStoreTimeout 400ms
<Location /cgi/bypass>
    IdempotencyStoreFailure bypass
</Location>
"""
TROUBLE = ["IDEM010", "IDEM022", "IDEM050", "IDEM064", "IDEM065"]


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always", password="hunter2")
    with redis:
        yield redis


@pytest.fixture
def server(redis, new_httpd):
    return new_httpd(CONFIG, redis.url(":hunter2@", db=1)).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def tolerate_trouble(server):
    """…, which names the store without its password."""
    assert server.log.count("hunter2") == 0
    tolerate(server, *TROUBLE)


def used_again(api, path):
    return env.until(lambda: api.post(path, key="back").problem == (201, None), "the store is used again")


def test_server_starts_without_its_store(redis, new_httpd, host, origin):
    redis.stop()
    server = new_httpd(CONFIG, redis.url(":hunter2@")).start()
    api = Api(server.address, host)
    assert any("IDEM064" in line and "cannot be reached" in line for line in server.startup)
    assert api.post("/pay", key="k1").problem == (503, "store-unavailable")
    assert api.post("/bypass", key="k1").problem == (201, None)
    assert api.post("/pay").problem == (201, None)
    redis.start()
    _, seconds = timed(lambda: used_again(api, "/pay"))
    assert seconds < 2 + env.SLACK
    env.until(lambda: api.post("/pay", key="back").replayed, "the child that serves this one uses it again, too")
    tolerate_trouble(server)


def test_setup_is_said_at_start(tmp_path, new_httpd):
    with Redis(tmp_path / "forgetful", "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as forgetful:
        server = new_httpd(CONFIG, forgetful.url()).start()
        server.stop()
        said = [line for line in server.startup if "IDEM062" in line]
        assert said and "allkeys-lru" in said[0] and "it keeps nothing on disk" in said[0]


def test_right_setup_is_not_complained_of(server):
    assert [line for line in server.startup if "IDEM0" in line and "IDEM066" not in line] == []


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_store_that_goes_away(redis, server, api, origin, how):
    assert api.post("/pay", key="k1").problem == (201, None)
    redis.stop() if how == "stopped" else redis.pause()
    for number in range(3):
        answer, seconds = timed(lambda: api.post("/pay", key=f"new{number}"))
        assert answer.problem == (503, "store-unavailable") and seconds < 2 * TIMEOUT + env.SLACK
    assert api.post("/bypass", key="k1").problem == (201, None)
    assert api.post("/pay").problem == (201, None)
    redis.start() if how == "stopped" else redis.resume()
    _, seconds = timed(lambda: used_again(api, "/pay"))
    assert seconds < 2 + env.SLACK
    env.until(lambda: api.post("/pay", key="k1").replayed, "the child that serves this one uses it again, too")
    assert origin.executions("/pay") == 3
    tolerate_trouble(server)


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_store_that_is_gone_at_the_end_of_a_request(redis, server, api, origin, how):
    """The client gets its answer, and the record is there once the store is."""
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        redis.stop() if how == "stopped" else redis.pause()
    assert first.result().problem == (201, None)
    redis.start() if how == "stopped" else redis.resume()
    env.until(lambda: api.post("/pay", key="k1").replayed, "the record is there")
    assert origin.executions("/pay") == 1
    tolerate_trouble(server)
