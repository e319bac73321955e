# SPDX-License-Identifier: Apache-2.0
"""Guards on their way that belong to another server: with the same store one decision, with another one two."""
import os
import signal
import sys

import pytest

import env
from checks import assert_replayed
from client import Api
from peer import Peer

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
FRONT = """
ProxyPass /in http://127.0.0.1:{inner}
ProxyPass /pay http://127.0.0.1:{inner}/pay
<LocationMatch "^/(in|pay)">
    ProxyPreserveHost On
</LocationMatch>
ProxyPass /own http://127.0.0.1:{inner}
<LocationMatch "retry">
    IdempotencyInterrupted retry
</LocationMatch>
"""
SHARED = "IdempotencyLease 2s\nIdempotencyStoreTimeout 400ms\n"
INNER = "ScriptAlias /pay {stage}/origins/origin.cgi/pay\n"


def two(new_httpd, first_store, second_store):
    """(the front, the server behind it); a first store of None is the second one's lmdb."""
    inner = new_httpd(INNER + SHARED, second_store).start()
    front = FRONT.replace("{inner}", str(inner.address[1])) + SHARED
    return new_httpd(front, first_store or f"lmdb:{inner.root}/store").start(), inner


@pytest.fixture(params=["lmdb", "redis"])
def servers(request, new_httpd, tmp_path):
    if request.param == "lmdb":
        yield two(new_httpd, None, "lmdb")
        return
    with Redis(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as redis:
        yield two(new_httpd, redis.url(), redis.url())


@pytest.fixture
def front(servers, host):
    return Api(servers[0].address, host, "")


@pytest.mark.parametrize("way", ["/in/cgi", "/own/cgi"])
def test_one_store(servers, front, origin, way):
    assert_replayed(front.at(way), origin, "/pay")
    for _ in range(2):
        assert not front.at(way).post("/free?header=Idempotency-Control:%20no-store", key="k2").replayed
    assert origin.executions("/free") == 2


def test_takeover(servers, front, origin):
    """The next attempt has another token, by which it is known."""
    with origin.hold("/retry") as held:
        conn = front.post_async("/in/cgi/retry", key="k1")
        held.wait_until_entered()
        held.let_others_pass()
        child = servers[0].child_of(conn)
        servers[0].kill_child(child)
        second = env.until(lambda: once_decided(front, "/in/cgi/retry"), "its lease has ended", 60)
    assert second.problem == (201, None)
    assert [run["IDEMPOTENCY_ATTEMPT"] for run in origin.runs("/retry")] == ["1", "2"]
    assert front.post("/in/cgi/retry", key="k1").recorded == second.recorded


def once_decided(api, path):
    answer = api.post(path, key="k1")
    return answer if answer.problem != (409, "in-progress") else None


# ---- an execution that is over ---------------------------------------------------------------------------------------


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


def test_request_that_comes_after_its_execution_died(new_httpd, host, origin, peer, tmp_path):
    """It was under way between the two servers when the first one's process was killed."""
    inner = new_httpd(INNER, "lmdb").start()
    front = new_httpd(f"ProxyPass /late http://127.0.0.1:{peer.port}\nProxyPreserveHost On\n",
                      f"lmdb:{inner.root}/store").start()
    api = Api(front.address, host, "")
    conn = api.post_async("/late/cgi/pay", key="k1", body=b"1")
    exchange = peer.accept()
    head = [exchange.stream.readline()]
    while head[-1].strip():
        head.append(exchange.stream.readline())
    exchange.stream.read(1)
    child = front.child_of(conn)
    os.kill(child, signal.SIGKILL)
    env.until(lambda: child not in front.children(), "the parent buries its child")
    exchange.end()
    for name in (host, "other.test"):
        late = [f"Host: {name}\r\n".encode() if line.lower().startswith(b"host:") else line for line in head]
        behind = Api(inner.address, name, "").connect()
        behind.send(b"".join(late) + b"1")
        answer = behind.last_result()
        assert answer.problem in [(409, "outcome-unknown"), (422, "key-reused")], answer
    assert origin.executions() == 0
    assert api.post("/late/cgi/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")


# ---- another store ---------------------------------------------------------------------------------------------------


def test_two_stores(new_httpd, host, origin):
    """Each guard decides, and records."""
    front, inner = two(new_httpd, "lmdb", "lmdb")
    first, _ = assert_replayed(Api(front.address, host, ""), origin, "/pay")
    assert Api(inner.address, host, "").post("/pay", key="k1").recorded == first.recorded


def test_second_guard_is_busy(new_httpd, host, origin):
    """Its "in-progress" says that nothing was done. That answer is not kept, and the retry gets the outcome."""
    front, inner = (Api(one.address, host, "") for one in two(new_httpd, "lmdb", "lmdb"))
    with origin.hold("/pay") as held:
        running = inner.post_async("/pay", key="k1")
        held.wait_until_entered()
        assert front.post("/pay", key="k1").problem == (409, "in-progress")
    done = running.last_result()
    first = front.post("/pay", key="k1")
    assert first.problem == (201, None) and not first.replayed and first.body == done.body
    assert front.post("/pay", key="k1").replayed
    assert origin.executions("/pay") == 1
