# SPDX-License-Identifier: Apache-2.0
"""The client leaves at any moment: the handler that it started runs to its end, once, and a retry is answered with all
of it.

The moments are gates, in the origin or in the store, so that a moment is a place in the code and not a time.
"""
import socket
import subprocess

import pytest

import env
from checks import PIECES, assert_ran_to_its_end_once, settled
from client import Api
from origins.answer import binary

STORES = ["wrap:{root}/control,lmdb:{root}/store"]
ORIGIN_MODULE = env.MODULE.parent / "mod_idem_origin.so"
CONFIG = f"""
LoadModule idem_origin_module "{ORIGIN_MODULE}"
<Location /rwrite>
    SetHandler idem-origin
</Location>
<Proxy "fcgi://fpm">
    ProxySet flushpackets=on
</Proxy>
<LocationMatch "^/[a-z]+/(long|streamed-long)">
    IdempotencyMaxResponse 1K
</LocationMatch>
<LocationMatch "^/[a-z]+/streamed">
    IdempotencyResponse stream
</LocationMatch>
<LocationMatch "^/[a-z]+/awaited">
    IdempotencyConcurrent wait
</LocationMatch>
"""
KINDS = env.KINDS + ["rwrite"]
# Nothing written; the head; each piece but the last; all of them, while the handler has not returned.
MOMENTS = ["", ".0", ".1", ".2", ".3", ".4"]


@pytest.fixture(params=KINDS)
def api(request, httpd, host):
    return Api(httpd.address, host, "/" + request.param)


@pytest.fixture(autouse=True)
def behave(httpd):
    yield
    httpd.control.behave()


# ---- reset ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sent", ["half the head", "no body", "half the body"])
def test_reset_before_the_request_is_complete(api, origin, sent):
    """Nothing runs, nothing is claimed: the retry is the first."""
    head = api.head("POST", "/pay?" + PIECES, [("Idempotency-Key", '"k1"'), ("Content-Length", "2")])
    conn = api.connect()
    conn.send({"half the head": head[:-8], "no body": head, "half the body": head + b"1"}[sent])
    conn.reset()
    first = api.post("/pay?" + PIECES, key="k1", body=b"12")
    assert first.problem == (201, None) and not first.replayed
    assert origin.executions("/pay") == 1


def test_reset_as_soon_as_the_request_was_sent(api, origin):
    """httpd may have seen it or not; whoever executes it, it is executed once."""
    for number in range(20):
        with api.post_async(f"/pay{number}?" + PIECES, key=f"k{number}", body=b"1") as conn:
            conn.reset()
        again = settled(api, f"/pay{number}?" + PIECES, key=f"k{number}")
        assert again.problem == (201, None)
        assert origin.executions(f"/pay{number}") == origin.executions(f"/pay{number}.end") == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_reset_while_the_handler_runs(api, origin, moment):
    with origin.hold("/pay" + moment) as held:
        conn = api.post_async("/pay?" + PIECES, key="k1", body=b"1")
        held.wait_until_entered()
        conn.reset()
        assert api.post("/pay?" + PIECES, key="k1", body=b"1").problem == (409, "in-progress")
    assert_ran_to_its_end_once(api, origin)


@pytest.mark.parametrize("operation", ["claim", "settle"])
def test_reset_while_the_store_is_asked(api, origin, httpd, operation):
    """Before the handler's first byte and after its last one, with the store in between."""
    before = len(httpd.control.calls())
    httpd.control.block(operation)
    conn = api.post_async("/pay?" + PIECES, key="k1", body=b"1")
    env.until(lambda: [operation, "blocked"] in httpd.control.calls()[before:], "the store is asked")
    conn.reset()
    assert origin.executions("/pay.end") == (operation == "settle")
    httpd.control.behave()
    env.until(lambda: origin.executions("/pay.end"),
              "the first one has run")  # not the retry, which might claim before it
    assert_ran_to_its_end_once(api, origin)


def test_reset_when_the_answer_is_there_and_not_read(api, origin):
    conn = api.post_async("/pay?" + PIECES, key="k1", body=b"1")
    assert conn.sock.recv(1, socket.MSG_PEEK) == b"H"
    conn.reset()
    assert_ran_to_its_end_once(api, origin)


def test_reset_in_the_middle_of_the_answer(api, origin):
    """More than the sockets' buffers hold, so that the server is still writing."""
    size = 1000000
    with api.post_async(f"/pay?size={size}&" + PIECES, key="k1", body=b"1") as conn:
        assert len(conn.sock.recv(1000)) == 1000
        conn.reset()
    again = settled(api, f"/pay?size={size}&" + PIECES)
    assert again.replayed and again.body == whole(api, size)
    assert origin.executions("/pay") == origin.executions("/pay.end") == 1


def whole(api, size):
    letters = bytes(range(ord("a"), ord("z") + 1))
    return binary("", size) if api.base != "/rwrite" else (letters * (size // 26 + 1))[:size]


# ---- other ways to leave --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("moment", MOMENTS)
def test_close_while_the_handler_runs(api, origin, moment):
    with origin.hold("/pay" + moment) as held:
        with api.post_async("/pay?" + PIECES, key="k1", body=b"1"):
            held.wait_until_entered()
    assert_ran_to_its_end_once(api, origin)


@pytest.mark.parametrize("moment", ["", ".1", ".4"])
def test_curl_that_times_out(api, origin, moment):
    address = f"http://{api.address[0]}:{api.address[1]}{api.base}/pay?{PIECES}"
    with origin.hold("/pay" + moment) as held:
        curl = subprocess.run(["curl", "-s", "-m", "0.5", "-H", f"Host: {api.host}", "-H", 'Idempotency-Key: "k1"',
                               "-H", "Content-Type:", "-d", "1", address], capture_output=True)
        held.wait_until_entered()
        assert (curl.returncode, curl.stdout) == (28, b"")
    assert_ran_to_its_end_once(api, origin)


@pytest.mark.parametrize("moment", MOMENTS)
def test_half_closed_socket_gets_its_answer(api, origin, moment):
    with origin.hold("/pay" + moment) as held:
        conn = api.post_async("/pay?" + PIECES, key="k1", body=b"1")
        conn.sock.shutdown(socket.SHUT_WR)
        held.wait_until_entered()
    first = conn.last_result()
    assert first.problem == (201, None) and not first.replayed
    assert_ran_to_its_end_once(api, origin)
    assert settled(api, "/pay?" + PIECES).recorded == first.recorded


def test_half_closed_socket_that_waits_gets_its_answer(api, origin, httpd):
    with origin.hold("/awaited.2") as held:
        first = api.post_async("/awaited?" + PIECES, key="k1", body=b"1")
        held.wait_until_entered()
        before = len(httpd.control.calls())
        second = api.post_async("/awaited?" + PIECES, key="k1", body=b"1")
        second.sock.shutdown(socket.SHUT_WR)
        env.until(lambda: ["fetch", "ok"] in httpd.control.calls()[before:], "the second one waits")
    first, second = first.last_result(), second.last_result()
    assert second.replayed and second.recorded == first.recorded
    assert_ran_to_its_end_once(api, origin, "/awaited")


# ---- while the response flows ---------------------------------------------------------------------------------------

def started(conn):
    """The answer has begun to arrive, and goes on while the handler runs."""
    assert conn.sock.recv(9) == b"HTTP/1.1 "


@pytest.mark.parametrize("leave", ["reset", "close"])
@pytest.mark.parametrize("moment", [".1", ".2", ".4"])
def test_leaving_a_stream(api, origin, moment, leave):
    with origin.hold("/streamed" + moment) as held:
        with api.post_async("/streamed?" + PIECES, key="k1", body=b"1") as conn:
            held.wait_until_entered()
            started(conn)
            if leave == "reset":
                conn.reset()
    assert_ran_to_its_end_once(api, origin, "/streamed")


@pytest.mark.parametrize("path", ["/long", "/streamed-long"])
@pytest.mark.parametrize("leave", ["reset", "close"])
@pytest.mark.parametrize("moment", [".1", ".2", ".4"])
def test_leaving_a_response_too_long_to_keep(api, origin, path, moment, leave):
    request = f"{path}?size=8000&{PIECES}"
    with origin.hold(path + moment) as held:
        with api.post_async(request, key="k1", body=b"1") as conn:
            held.wait_until_entered()
            started(conn)
            if leave == "reset":
                conn.reset()
    assert settled(api, request).problem == (409, "response-not-kept")
    assert origin.executions(path) == origin.executions(path + ".end") == 1
