# SPDX-License-Identifier: Apache-2.0
"""The backend of mod_proxy_http fails: before, in and after its answer. The first client gets a clean error, never half
an answer; the retry executes nothing, unless it is certain that nothing was executed.
"""
import http.client

import pytest

from checks import assert_asked_once, assert_clean_error, assert_unknown, settled

STORES = ["lmdb"]
BASE = "/peer"
CONFIG = """
ProxyPass /slow http://127.0.0.1:{peer}/slow disablereuse=On timeout=1
ProxyPass /pinged http://127.0.0.1:{peer}/pinged disablereuse=On ping=100ms
ProxyPass /peer http://127.0.0.1:{peer}/ disablereuse=On
ProxyPass /nowhere unix:{stage}/nobody.sock|http://nobody
<Location /peer/overridden>
    ProxyErrorOverride On
</Location>
<Location /peer/again>
    IdempotencyInterrupted retry
</Location>
<Location /peer/explained>
    ErrorDocument 502 /cgi/explain?status=502&body=explained
</Location>
<Location /peer/streamed>
    IdempotencyResponse stream
</Location>
<Location /peer/long>
    IdempotencyMaxResponse 1K
</Location>
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
TEN = OK + b"Content-Length: 10\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TO_ITS_END = OK + b"Connection: close\r\n\r\n"

NO_ANSWER = {  # httpd's own 502: it says nothing about what the backend did
    "nothing": b"",
    "an interim response only": b"HTTP/1.1 100 Continue\r\n\r\n",
}
CUT = {  # a part of an answer: nobody knows
    "no byte of a declared length": TEN,
    "half of a declared length": TEN + b"HALF.",
    "all but a byte of a declared length": TEN + b"HALF.....",
    "no chunk": CHUNKED,
    "half a chunk's size": CHUNKED + b"1",
    "half a chunk": CHUNKED + b"a\r\nHALF.",
    "a chunk without its line end": CHUNKED + b"5\r\nHALF.",
    "no last chunk": CHUNKED + b"5\r\nHALF.\r\n",
}


def execute(api, peer, answer, end="close", path="/pay", conn=None):
    """One request that reaches the backend, which answers so and goes away. What the client got."""
    conn = api.post_async(path, key="k1", body=b"1", conn=conn)
    exchange = peer.accept()
    exchange.read_http()
    exchange.send(answer)
    exchange.end(end)
    return conn.last_result()


def assert_released(api, peer, path="/pay"):
    """The retry executes."""
    before = peer.requests
    again = execute(api, peer, TEN + b"0123456789", path=path)
    assert again.problem == (200, None) and again.body == b"0123456789" and not again.replayed
    assert peer.requests == before + 1


# ---- it dies --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", NO_ANSWER)
def test_dies_before_its_answer(api, peer, part, end):
    assert_clean_error(execute(api, peer, NO_ANSWER[part], end))
    assert_unknown(api, peer)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", CUT)
def test_dies_in_its_answer(api, peer, part, end):
    first = execute(api, peer, CUT[part], end)
    assert_clean_error(first)
    assert_unknown(api, peer)


def test_resets_an_answer_that_ends_with_its_connection(api, peer):
    first = execute(api, peer, TO_ITS_END + b"HALF.", "reset")
    assert_clean_error(first)
    assert_unknown(api, peer)


@pytest.mark.parametrize("answer, end", [(TEN + b"0123456789", "reset"), (TEN + b"0123456789", "close"),
                                         (CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", "reset"),
                                         (TO_ITS_END + b"0123456789", "close")])
def test_dies_after_its_answer(api, peer, answer, end):
    first = execute(api, peer, answer, end)
    assert first.problem == (200, None) and first.body == b"0123456789"
    assert_asked_once(api, peer, first)


@pytest.mark.parametrize("part", NO_ANSWER)
def test_dies_before_its_answer_on_a_connection_kept_alive(api, peer, part):
    """There mod_proxy_http asks for the connection to be closed without an answer; the client is owed one all the same.
    """
    conn = api.start("GET", "/other")
    exchange = peer.accept()
    exchange.read_http()
    exchange.send(TEN + b"0123456789")
    exchange.end()
    assert conn.result().status == 200
    peer.requests = 0
    assert_clean_error(execute(api, peer, NO_ANSWER[part], conn=conn))
    assert_unknown(api, peer)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("head", [CHUNKED + b"7d0\r\n", OK + b"Content-Length: 4000\r\n\r\n"])
@pytest.mark.parametrize("path", ["/long", "/streamed"])
def test_dies_in_an_answer_that_flows(api, peer, path, head, end):
    """The client has had the beginning: it must see that there is no end."""
    with api.post_async(path, key="k1", body=b"1") as conn:
        exchange = peer.accept()
        exchange.read_http()
        exchange.send(head + b"1" * 2000)
        raw = http.client.HTTPResponse(conn.sock, method="POST")
        raw.begin()
        assert raw.read(1) == b"1"
        exchange.end(end)
        with pytest.raises(http.client.IncompleteRead) as broken:
            raw.read()
    assert broken.value.partial == b"1" * 1999
    assert_unknown(api, peer, path)


@pytest.mark.parametrize("end", ["close", "reset"])
def test_dies_behind_an_early_hint(api, peer, end):
    """The client has the hint; the answer is an error."""
    conn = api.post_async("/pay", key="k1", body=b"1")
    exchange = peer.accept()
    exchange.read_http()
    exchange.send(HINT)
    assert conn.sock.recv(len(HINT)) == HINT
    exchange.end(end)
    assert_clean_error(conn.last_result())
    assert_unknown(api, peer)


def test_client_is_gone_when_the_hint_comes(api, peer):
    """The hint's failed write marks the connection as aborted under mod_proxy_http, which goes on all the same."""
    conn = api.post_async("/pay", key="k1", body=b"1")
    exchange = peer.accept()
    exchange.read_http()
    conn.reset()
    for _ in range(2):
        exchange.send(HINT)
        exchange.wait_until_read()
    exchange.send(TEN + b"01234")
    exchange.wait_until_read()
    exchange.send(b"56789")
    exchange.end()
    again = settled(api, "/pay")
    assert again.replayed and again.body == b"0123456789"
    assert peer.requests == 1


# ---- it is slow, or away --------------------------------------------------------------------------------------------

def time_out(api, peer, answer):
    conn = api.post_async("/pay", key="k1", body=b"1")
    exchange = peer.accept()
    exchange.read_http()
    exchange.send(answer)
    first = conn.last_result()
    exchange.end()
    return first


@pytest.mark.parametrize("part", NO_ANSWER)
def test_times_out_before_its_answer(api, peer, part):
    api = api.at("/slow")
    assert_clean_error(time_out(api, peer, NO_ANSWER[part]), 502)
    assert_unknown(api, peer)


@pytest.mark.parametrize("part",
                         ["no byte of a declared length", "half of a declared length", "half a chunk", "no last chunk"])
def test_times_out_in_its_answer(api, peer, part):
    api = api.at("/slow")
    assert_clean_error(time_out(api, peer, CUT[part]))
    assert_unknown(api, peer)


def test_ping_that_is_not_answered(api, peer):
    """mod_proxy_http's other 503: the backend has had the request's head, and may take it for the request."""
    api = api.at("/pinged")
    conn = api.post_async("/pay", key="k1", body=b"1")
    exchange = peer.accept()
    assert_clean_error(conn.last_result(), 503)
    assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert not peer.came()
    exchange.end()


@pytest.mark.parametrize("part", ["nothing", "half of a declared length"])
def test_retry_while_it_is_away(api, peer, part):
    """What is not known stays so: nobody asks the backend again."""
    answer = {**NO_ANSWER, **CUT}[part]
    assert_clean_error(execute(api, peer, answer))
    peer.refuse()
    again = api.post("/pay", key="k1", body=b"1")
    peer.listen()
    assert again.problem == (409, "outcome-unknown")


def test_retry_where_that_is_allowed(api, peer):
    """It is the second attempt, and no longer released by whatever it says."""
    assert_clean_error(execute(api, peer, b"", path="/again"))
    assert_released(api, peer, "/again")
    assert peer.requests == 2
    assert api.post("/again", key="k1", body=b"1").replayed


def test_error_document_runs_and_is_no_answer(api, peer, origin):
    first = execute(api, peer, b"", path="/explained")
    assert (first.status, first.body) == (502, b"explained")
    assert_unknown(api, peer, "/explained")
    assert origin.executions("/explain") == 1


# ---- nothing was executed -------------------------------------------------------------------------------------------

def test_backend_that_could_not_be_reached(api, peer):
    peer.refuse()
    first = api.post("/pay", key="k1", body=b"1")
    assert_clean_error(first, 503)
    peer.listen()
    assert_released(api, peer)
    assert peer.requests == 1


def test_socket_that_is_not_there(api, peer):
    answers = [api.at("/nowhere").post("/pay", key="k1", body=b"1") for _ in range(2)]
    assert [answer.problem for answer in answers] == [(503, None)] * 2
    assert not answers[1].replayed


def test_application_that_says_503(api, peer):
    first = execute(api, peer, b"HTTP/1.1 503 Not Now\r\nContent-Length: 4\r\n\r\nbusy")
    assert first.problem == (503, None) and first.body == b"busy"
    assert_released(api, peer)


def test_application_that_says_503_and_dies(api, peer):
    """Half of "not now" is not "not now"."""
    first = execute(api, peer, b"HTTP/1.1 503 Not Now\r\nContent-Length: 40\r\n\r\nHALF")
    assert_clean_error(first)
    assert_unknown(api, peer)


@pytest.mark.parametrize("status", [429, 425, 503])
def test_application_that_says_not_now_behind_an_override(api, peer, status):
    """mod_proxy_http returns the status instead of a response, and leaves a note that says whose it is."""
    first = execute(api, peer, b"HTTP/1.1 %d Not Now\r\nContent-Length: 4\r\n\r\nHALF" % status, path="/overridden")
    assert_clean_error(first, status)
    assert_released(api, peer, "/overridden")


@pytest.mark.parametrize("status", [404, 500, 502, 504])
def test_application_that_says_no_behind_an_override(api, peer, status):
    """Its own error is an answer; what the client got of it was the page."""
    first = execute(api, peer, b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nHALF" % status, path="/overridden")
    assert_clean_error(first, status)
    assert_asked_once(api, peer, first, "/overridden")


@pytest.mark.parametrize("status", [404, 500])
def test_control_header_behind_an_override(api, peer, status):
    answer = b"HTTP/1.1 %d No\r\nIdempotency-Control: no-store\r\nContent-Length: 4\r\n\r\nHALF" % status
    first = execute(api, peer, answer, path="/overridden")
    assert_clean_error(first, status)
    assert first["Idempotency-Control"] is None
    assert_released(api, peer, "/overridden")


def test_failure_behind_an_override(api, peer):
    """mod_proxy's note of the status is there too, but its answer broke off in the head: httpd's own 502."""
    first = execute(api, peer, b"HTTP/1.1 503 Not Now\r\n" + b"x" * 9000 + b"\r\n\r\n", path="/overridden")
    assert_clean_error(first, 502)
    assert_unknown(api, peer, "/overridden")
