# SPDX-License-Identifier: Apache-2.0
"""A Redis that is not there, stops, or comes back: the answers to guarded requests, how soon they come, and that
nothing else suffers.
"""
import sys

import pytest

import env
from client import Api
from outage import (CONFIG, assert_others_pass, assert_recorded_once_it_is_back, assert_refused_while_away,
                    assert_used_again_soon, started_without_its_store, tolerate_trouble)

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
PASSWORD = "hunter2"


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always", password=PASSWORD)
    with redis:
        yield redis


@pytest.fixture
def server(redis, new_httpd):
    return new_httpd(CONFIG, redis.url(f":{PASSWORD}@", db=1)).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def test_server_starts_without_its_store(redis, new_httpd, host, origin):
    redis.stop()
    server = new_httpd(CONFIG, redis.url(f":{PASSWORD}@")).start()
    api = started_without_its_store(server, host)
    assert_others_pass(api)
    redis.start()
    assert_used_again_soon(api)
    env.until(lambda: api.post("/pay", key="back").replayed, "the child that serves this one uses it again, too")
    tolerate_trouble(server, PASSWORD)


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
    assert_refused_while_away(redis, api, origin, how)
    tolerate_trouble(server, PASSWORD)


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_store_that_is_gone_at_the_end_of_a_request(redis, server, api, origin, how):
    assert_recorded_once_it_is_back(redis, api, origin, how)
    tolerate_trouble(server, PASSWORD)
