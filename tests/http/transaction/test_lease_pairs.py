# SPDX-License-Identifier: Apache-2.0
"""The rare cells of the lease's table, each reached on purpose: the log at trace1 names phase and event."""
import pytest

import env
from checks import kill_while_it_runs
from client import Api

STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
LogLevel idempotency:trace1
IdempotencySpool 4K
<Location /proxy/wait>
    IdempotencyConcurrent wait 20s
</Location>
<Location /proxy/again>
    IdempotencyInterrupted retry
</Location>
<Location /proxy/bypass>
    IdempotencyStoreFailure bypass
</Location>
"""


@pytest.fixture
def httpd(new_httpd, store):
    """A server of each test's own: a store in trouble is a warning only once a second and process."""
    server = new_httpd(CONFIG, store).start()
    server.wait_until_attached()
    return server


@pytest.fixture
def api(httpd, host):
    return Api(httpd.address, host, "/proxy")


@pytest.fixture
def reached(httpd):
    """reached("TAKING", "WON"): has it happened since the test began?"""
    def reached(phase, event):
        return any(f",{phase}] {event} -> " in line for line in httpd.log.lines())
    yield reached
    httpd.control.behave()


@pytest.fixture
def interrupted(httpd, api, origin):
    """Leaves a key whose owner died while its handler ran."""
    def interrupt(path):
        kill_while_it_runs(httpd, api, origin, path, body=b"")
    return interrupt


def test_takeover_that_the_store_does_not_answer(httpd, api, origin, reached, interrupted, expect_log):
    interrupted("/again")
    expect_log(10)
    httpd.control.fail("takeover", "down")
    assert api.post("/again", key="k1").problem == (503, "store-unavailable")
    assert reached("CLAIMING", "UNSURE_RETRY") and reached("TAKING", "STORE_DOWN")
    httpd.control.behave()
    env.until(lambda: api.post("/again", key="k1").problem == (201, None), "the store is used again")
    assert reached("TAKING", "WON")
    assert origin.executions("/again") == 2


def test_takeover_that_another_won(httpd, api, reached, interrupted):
    interrupted("/again")
    httpd.control.fail("takeover", "lost once")
    assert api.post("/again", key="k1").problem == (201, None)
    assert reached("TAKING", "LOST")


def test_waiter_whose_slot_goes_to_another_request(httpd, api, origin, reached):
    """The first is released; who claims next asks for something else, and the waiter learns that its key was reused."""
    with origin.hold("/wait") as held:
        first = api.post_async("/wait?status=503", key="k1", body=b"1")
        held.wait_until_entered()
        waiting = api.post_async("/wait?status=503", key="k1", body=b"1")
        env.until(lambda: reached("CLAIMING", "BUSY_WAIT"), "a duplicate waits")
        httpd.control.block("fetch", "one")
        env.until(lambda: ["fetch", "blocked"] in httpd.control.calls(), "the waiter's look is held up")
        held.let_go()
        assert first.result().status == 503
        with origin.hold("/other") as other:
            second = api.post_async("/other", key="k1", body=b"2")
            other.wait_until_entered()
            httpd.control.behave()
            assert waiting.result().problem == (422, "key-reused")
    assert second.result().status == 201
    assert reached("WAITING", "BUSY")


def test_waiter_whose_store_fails(httpd, api, origin, reached, expect_log):
    expect_log(15)
    with origin.hold("/wait") as held:
        first = api.post_async("/wait", key="k1")
        held.wait_until_entered()
        httpd.control.fail("fetch", "down")
        assert api.post("/wait", key="k1").problem == (503, "store-unavailable")
        assert reached("WAITING", "STORE_DOWN")
        httpd.control.behave()
    assert first.result().status == 201


def test_claim_that_fails_where_that_is_passed_over(httpd, api, origin, reached, expect_log):
    expect_log(10, 50)
    httpd.control.fail("claim", "down")
    assert api.post("/bypass", key="k1").problem == (201, None)
    assert reached("CLAIMING", "STORE_BYPASS")


def test_comparison_whose_body_breaks_off(api, origin, reached):
    """A body beyond the spool is read on to be compared with the record's."""
    body = b"x" * 20000
    assert api.post("/pay", key="k1", body=body).problem == (201, None)
    conn = api.connect()
    conn.send(api.head("POST", "/pay", [("Idempotency-Key", '"k1"'), ("Content-Length", "20000")]) + body[:9000])
    conn.sock.shutdown(1)
    assert conn.last_result().status == 400
    assert reached("COMPARING", "BODY_CUT")
    assert api.post("/pay", key="k1", body=body).replayed
    assert origin.executions("/pay") == 1


def test_owner_that_lost_its_slot(httpd, api, origin, reached, expect_log):
    """Fenced off: it answers from what the slot holds, which here is its own lease, still alive."""
    expect_log(14)
    httpd.control.fail("settle", "lost once")
    assert api.post("/pay", key="k1").problem == (409, "in-progress")
    assert reached("SETTLING", "LOST")
    assert origin.executions("/pay") == 1


def test_record_that_finds_no_room(httpd, api, origin, reached, expect_log):
    expect_log(10)
    httpd.control.fail("settle", "full once")
    assert api.post("/pay", key="k1").problem == (201, None)
    assert reached("SETTLING", "STORE_FULL")
    assert api.post("/pay", key="k1").problem == (409, "response-not-kept")


def test_record_larger_than_the_store_takes(httpd, api, origin, reached, expect_log):
    expect_log(10)
    httpd.control.fail("settle", "toobig once")
    assert api.post("/pay", key="k1").problem == (201, None)
    assert reached("SETTLING", "TOO_BIG")
    assert api.post("/pay", key="k1").problem == (409, "response-not-kept")


def test_waiter_that_has_won_and_whose_client_has_left(httpd, api, origin, reached):
    """Nothing has run for it: the key is given back."""
    with origin.hold("/wait") as held:
        first = api.post_async("/wait?status=503", key="k1")
        held.wait_until_entered()
        waiting = api.post_async("/wait?status=503", key="k1")
        env.until(lambda: reached("CLAIMING", "BUSY_WAIT"), "a duplicate waits")
        httpd.control.block("claim")
        held.let_go()
        env.until(lambda: ["claim", "blocked"] in httpd.control.calls(), "its claim is held up")
        waiting.reset()
        assert first.result().status == 503
        httpd.control.behave()
        env.until(lambda: reached("HOLDING", "GONE"), "the key is given back")
    assert origin.executions("/wait") == 1
    env.until(lambda: api.post("/wait", key="k1").problem == (201, None), "the key is free")
