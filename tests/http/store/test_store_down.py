# SPDX-License-Identifier: Apache-2.0
"""The store fails, is slow, or says that it failed when it did not: nobody executes twice, nobody waits for ever."""
import pytest

import env
from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
IdempotencyStoreTimeout 300ms
<Location /cgi/bypass>
    IdempotencyStoreFailure bypass
</Location>
<Location ~ "^/[a-z]+/long">
    IdempotencyMaxResponse 1K
</Location>
"""


@pytest.fixture
def server(new_httpd, store):
    return new_httpd(CONFIG, store).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def replayed(api, path="/pay"):
    answer = api.post(path, key="k1")
    return answer if answer.replayed else None


@pytest.mark.parametrize("how", ["down", "timeout", "ambiguous"])
def test_settlement_that_fails_is_repeated(server, api, origin, expect_log, how):
    """The client has its answer; duplicates are told that it is in progress; the record comes when the store does."""
    expect_log(10)
    server.control.fail("settle", how)
    first = api.post("/pay", key="k1")
    assert first.problem == (201, None)
    if how != "ambiguous":
        assert [api.post("/pay", key="k1").problem for _ in range(3)] == [(409, "in-progress")] * 3
    server.control.behave()
    again = env.until(lambda: replayed(api), "the replay")
    assert again.recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_settlement_that_fails_for_long(server, api, origin, expect_log):
    """After five failures the store is only asked whether it is back. Its readers wait for nobody and are answered all
    the while.
    """
    expect_log(10, 22)
    server.control.fail("settle", "down")
    first = api.post("/pay", key="k1")
    env.until(lambda: server.log.count("IDEM022"), "the store is given up")
    settlements = lambda: [call for call in server.control.calls() if call[0] == "settle"]
    tried, asked = len(settlements()), len(server.control.looks())
    env.until(lambda: len(server.control.looks()) >= asked + 3, "three looks whether it is back")
    assert len(settlements()) == tried
    assert api.post("/pay", key="k1").problem == (409, "in-progress")
    server.control.behave()
    assert env.until(lambda: replayed(api), "the replay").recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_release_that_fails_is_repeated(server, api, origin, expect_log):
    expect_log(10)
    server.control.fail("release", "down")
    assert api.post("/pay?status=503", key="k1").problem == (503, None)
    assert api.post("/pay?status=503", key="k1").problem == (409, "in-progress")
    server.control.behave()
    env.until(lambda: api.post("/pay?status=503", key="k1").problem == (503, None), "the release")
    assert origin.executions("/pay") == 2


@pytest.mark.parametrize("how", ["full", "toobig"])
def test_record_that_does_not_fit_becomes_a_tombstone(server, api, origin, how, expect_log):
    server.control.fail("settle", how + " once")
    expect_log(10)
    assert api.post("/pay", key="k1").problem == (201, None)
    assert api.post("/pay", key="k1").problem == (409, "response-not-kept")
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("how", ["down", "timeout", "full"])
def test_claim_that_fails_is_refused(server, api, origin, expect_log, how):
    expect_log(10)
    server.control.fail("claim", how)
    refused = api.post("/pay", key="k1")
    assert refused.problem == (503, "store-unavailable") and refused["Retry-After"] == "5"
    assert api.post("/pay").problem == (201, None)  # unguarded requests do not need it
    assert origin.executions("/pay") == 1
    server.control.behave()
    env.until(lambda: api.post("/pay", key="k1").problem == (201, None), "the store is used again")
    assert replayed(api)
    assert origin.executions("/pay") == 2


def test_bypass_executes_unguarded(server, api, origin, expect_log):
    expect_log(10, 50)
    server.control.fail("claim", "down")
    for _ in range(2):
        assert api.post("/bypass", key="k1").problem == (201, None)
    assert origin.executions("/bypass") == 2
    assert [row[2] for row in server.outcomes(api, 2)] == ["bypassed"] * 2
    server.control.behave()
    api.post("/bypass", key="k2")
    assert env.until(lambda: api.post("/bypass", key="k2").replayed, "the store is used again")


def test_claim_whose_answer_was_lost_is_repeated(server, api, origin):
    server.control.fail("claim", "ambiguous once")
    assert api.post("/pay", key="k1").problem == (201, None)
    assert [call[0] for call in server.control.calls()] == ["fetch", "claim", "claim", "settle"]
    assert replayed(api)
    assert origin.executions("/pay") == 1


def test_claim_that_stays_ambiguous_is_withdrawn(server, api, origin, expect_log):
    expect_log(10)
    server.control.fail("claim", "ambiguous")
    assert api.post("/pay", key="k1").problem == (503, "store-unavailable")
    assert origin.executions("/pay") == 0
    server.control.behave()
    first = env.until(lambda: (lambda a: a.status == 201 and a)(api.post("/pay", key="k1")), "the claim is withdrawn")
    assert not first.replayed
    assert origin.executions("/pay") == 1


def test_hung_store_is_not_waited_for(server, api, origin, expect_log):
    expect_log(10)
    server.control.block("claim", "timed")
    assert api.post("/pay", key="k1").problem == (503, "store-unavailable")
    server.control.behave()
    env.until(lambda: api.post("/pay", key="k1").problem == (201, None), "the store is used again")
    assert origin.executions("/pay") == 1


def test_store_that_cannot_be_attached_yet(new_httpd, store, host, origin):
    server = new_httpd(CONFIG, store)
    server.control.fail("attach", "down")
    server.start()
    api = Api(server.address, host)
    children = 12 if env.MPM == "prefork" else 3
    env.until(lambda: server.log.count("IDEM065") >= children, "each child says so")
    server.log.mark()
    assert api.post("/pay", key="k1").problem == (503, "store-unavailable")
    assert api.post("/pay").problem == (201, None)
    server.control.behave()
    env.until(lambda: api.post("/pay", key="k1").problem == (201, None), "the store is used without a restart")


def test_handler_runs_only_after_the_claim(server, api, origin):
    server.control.block("claim")
    conn = api.post_async("/pay", key="k1")
    env.until(lambda: ["claim", "blocked"] in server.control.calls(), "the claim waits")
    assert origin.executions() == 0
    server.control.behave()
    assert conn.result().status == 201


def test_answer_leaves_only_after_the_record(server, api, origin):
    server.control.block("settle")
    conn = api.post_async("/pay", key="k1")
    env.until(lambda: ["settle", "blocked"] in server.control.calls(), "the settlement waits")
    conn.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        conn.sock.recv(1)
    conn.sock.settimeout(env.CLIENT_TIMEOUT)
    server.control.behave()
    assert conn.result().status == 201


def whole(message):
    """Has the client the end of a response of 30,000 bytes?"""
    head, _, body = message.partition(b"\r\n\r\n")
    return body.endswith(b"\r\n0\r\n\r\n") if b"chunked" in head else bool(head) and len(body) >= 30000


@pytest.mark.parametrize("kind", env.KINDS)
def test_end_of_a_long_answer_leaves_only_after_the_tombstone(server, api, origin, kind):
    """Bytes flow before, but not the last ones, whether their number was declared or not."""
    api = api.at("/" + kind)
    server.control.block("settle")
    conn = api.post_async("/long?size=30000", key="k1")
    env.until(lambda: ["settle", "blocked"] in server.control.calls(), "the settlement waits")
    conn.sock.setblocking(False)
    seen = b""
    with pytest.raises(BlockingIOError):
        while True:
            seen += conn.sock.recv(65536)
    assert not whole(seen)
    conn.sock.settimeout(env.CLIENT_TIMEOUT)
    server.control.behave()
    while not whole(seen):
        seen += conn.sock.recv(65536)
    assert api.post("/long?size=30000", key="k1").problem == (409, "response-not-kept")
