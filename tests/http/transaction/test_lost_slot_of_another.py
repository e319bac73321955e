# SPDX-License-Identifier: Apache-2.0
"""An owner's slot went to another client while it ran. Its request is compared like any other before it gets the answer
that stands there.
"""
import sys

import pytest

import env
from client import Api
from httpd import Httpd

sys.path.append(str(env.REPO / "tests/store/servers"))
from memcached_server import Memcached  # noqa: E402 (found by the line above)
from redis_server import Redis  # noqa: E402

pytestmark = pytest.mark.mpm_independent
LOST = 14
CONFIG = """
IdempotencySpool 4K
IdempotencyMaxResponse 8K
<Location /cgi/any>
    IdempotencyFingerprint method path body
</Location>
<Location /cgi/stream>
    IdempotencyResponse stream
</Location>
"""
LONG = b"x" * 20000  # beyond the spool: hashed while the handler reads it
TOKEN, OTHER_TOKEN = [("Authorization", "Bearer one")], [("Authorization", "Bearer two")]


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("lost") / "redis", "--appendonly", "yes", "--appendfsync", "always") as redis:
        yield redis


@pytest.fixture(scope="module")
def server(stage, redis):
    server = Httpd(stage, CONFIG, redis.url())
    yield server.start()
    server.stop()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


@pytest.fixture
def taken(api, origin, redis):
    """taken(first, second): while a request runs its slot is forgotten, and another takes it and ends first. Their
    answers.
    """
    def taken(first, second, path="/pay", forget=lambda: redis.cli("FLUSHALL")):
        with origin.hold(path.partition("?")[0]) as held:
            running = api.post_async(**{"path": path, "key": "k1", **first})
            held.wait_until_entered()
            held.let_others_pass()
            forget()
            winner = api.post(**{"path": path, "key": "k1", **second})
        return running.last_result(), winner
    return taken


OTHERS = {
    "body": ({"body": b"1"}, {"body": b"2"}),
    "query": ({"body": b"1", "path": "/pay?who=1"}, {"body": b"1", "path": "/pay?who=2"}),
    "credentials": ({"body": b"1", "headers": TOKEN}, {"body": b"1", "headers": OTHER_TOKEN}),
    "cookie": ({"headers": [("Cookie", "PHPSESSID=1")]}, {"headers": [("Cookie", "PHPSESSID=2")]}),
    "body beyond the spool": ({"body": LONG}, {"body": LONG[:-1] + b"y"}),
    "length beyond the spool": ({"body": LONG}, {"body": LONG + b"x"}),
    "a short body": ({"body": LONG}, {"body": b"x"}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_record_of_a_request_that_differs(api, origin, taken, expect_log, what):
    """422 says "send a new key", which is wrong for who has acted."""
    expect_log(LOST)
    first, second = OTHERS[what]
    loser, winner = taken(first, second)
    assert loser.problem == (409, "outcome-unknown") and not loser.replayed
    assert winner.problem == (201, None)
    assert winner.json["execution"].encode() not in loser.body
    assert "differs" not in loser.json["detail"]
    assert origin.executions("/pay") == 2
    again = api.post(**{"path": "/pay", "key": "k1", **second})
    assert again.replayed and again.recorded == winner.recorded
    assert api.post(**{"path": "/pay", "key": "k1", **first}).problem == (422, "key-reused")


@pytest.mark.parametrize("body", [b"1", LONG], ids=["short", "beyond the spool"])
def test_record_of_the_same_request(taken, expect_log, body):
    expect_log(LOST)
    loser, winner = taken({"body": body}, {"body": body})
    assert loser.replayed and loser.recorded == winner.recorded


@pytest.mark.parametrize("other, problem", [(b"1", "response-not-kept"), (b"2", "outcome-unknown")],
                         ids=["same", "other"])
def test_tombstone(taken, expect_log, other, problem):
    expect_log(LOST)
    loser, winner = taken({"body": b"1"}, {"body": other, "path": "/any?size=9000"}, path="/any?body=mine")
    assert len(winner.body) == 9000
    assert loser.problem == (409, problem)


def test_lease_of_another(api, origin, redis, expect_log):
    expect_log(LOST)
    with origin.hold("/pay") as mine, origin.hold("/other") as other:
        first = api.post_async("/pay", key="k1")
        mine.wait_until_entered()
        redis.cli("FLUSHALL")
        second = api.post_async("/other", key="k1")
        other.wait_until_entered()
        mine.let_go()
        assert first.last_result().problem == (409, "outcome-unknown")
    assert second.last_result().problem == (201, None)


def test_application_that_says_not_done(taken, expect_log):
    """Its lease was to be given back; what stands there is another's all the same."""
    expect_log(LOST)
    loser, winner = taken({"path": "/pay?status=503"}, {"path": "/pay?status=201"})
    assert loser.problem == (409, "outcome-unknown") and winner.problem == (201, None)


def test_response_that_flows_is_its_own(api, origin, redis, expect_log):
    """Its client has had the beginning: it gets the rest of it, and nothing of another's."""
    expect_log(LOST)
    with origin.hold("/stream.1") as held:
        first = api.post_async("/stream?parts=2", key="k1", body=b"1")
        held.wait_until_entered()
        held.let_others_pass()
        redis.cli("FLUSHALL")
        second = api.post("/stream?parts=2", key="k1", body=b"2")
    first = first.last_result()
    mine, other = origin.runs("/stream")
    assert first.problem == (201, None) and first.json == {"execution": mine["id"]}
    assert second.problem == (201, None) and second.json == {"execution": other["id"]}


def test_slot_that_nobody_took(api, origin, redis):
    """It is its owner's again, and its record is compared as ever."""
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        redis.cli("FLUSHALL")
    first = first.last_result()
    assert first.problem == (201, None)
    assert api.post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    assert api.post("/pay", key="k1", body=b"1").recorded == first.recorded
    assert origin.executions("/pay") == 1


def served(api, path):
    answer = api.post(path, key="k1", headers=OTHER_TOKEN)
    return answer if answer.status == 201 else None


def test_memcached_that_was_started_anew(new_httpd, host, origin, tmp_path, expect_log):
    expect_log(LOST)
    with Memcached(tmp_path / "memcached", "-M") as memcached:
        api = Api(new_httpd(CONFIG, memcached.url()).start().address, host)
        with origin.hold("/pay") as held:
            first = api.post_async("/pay", key="k1", headers=TOKEN)
            held.wait_until_entered()
            held.let_others_pass()
            memcached.stop()
            memcached.start()
            second = env.until(lambda: served(api, "/pay"), "the store is used again")
        assert first.last_result().problem == (409, "outcome-unknown")
        assert second.problem == (201, None)


def test_store_that_does_not_say_what_it_holds(new_httpd, host, origin, expect_log):
    """503 would say that nothing was done."""
    expect_log(LOST)
    server = new_httpd(CONFIG, "wrap:{root}/control,lmdb:{root}/store").start()
    server.wait_until_attached()
    server.control.fail("settle", "lost once")
    server.control.fail("fetch", "down")
    api = Api(server.address, host)
    assert api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    server.control.behave()
    assert origin.executions("/pay") == 1
