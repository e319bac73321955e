# SPDX-License-Identifier: Apache-2.0
"""A request that is not guarded costs nothing: the store hears nothing of it. Of a guarded request the store hears only
the necessary calls."""
import socket

import pytest


pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
<Location /cgi/off>
    IdempotencyEngine Off
</Location>
<Location /cgi/must>
    IdempotencyRequireKey On
</Location>
"""


@pytest.fixture
def calls(httpd):
    """The store's calls since the test began."""
    before = len(httpd.control.calls())
    return lambda: httpd.control.calls()[before:]


@pytest.mark.parametrize("method, path, key", [
    ("POST", "/pay", None), ("GET", "/pay", "k1"), ("HEAD", "/pay", "k1"), ("OPTIONS", "/pay", "k1"),
    ("POST", "/off", "k1"), ("PUT", "/off", "k1")])
def test_unguarded_request_makes_no_call(api, calls, origin, method, path, key):
    for _ in range(2):
        answer = api.request(method, path, key=key)
        assert answer.problem == (201, None) and not answer.replayed
    assert origin.executions(path) == 2
    assert calls() == []


def in_two_pieces(api, origin, path, key=None):
    """The second piece is written when the first has come, so that httpd cannot know the length beforehand."""
    with origin.hold(f"{path}.1") as held:
        conn = api.post_async(f"{path}?parts=2&body=firstlater", key=key)
        held.wait_until_entered()
        assert conn.sock.recv(1, socket.MSG_PEEK)
    return conn.result()


def test_unguarded_response_is_not_changed(api, calls, origin):
    """Neither buffered nor given a length: as the CGI script's answer leaves without the module."""
    unguarded, off = in_two_pieces(api, origin, "/pay"), in_two_pieces(api, origin, "/off", "k2")
    assert unguarded["Transfer-Encoding"] == off["Transfer-Encoding"] == "chunked"
    assert [name for name, _ in unguarded.headers] == [name for name, _ in off.headers]
    guarded = api.post("/pay?parts=2&body=firstlater", key="k1")
    assert guarded["Content-Length"] == str(len(guarded.body))


@pytest.mark.parametrize("path, headers", [("/pay", ["Idempotency-Key: a,b"]), ("/pay", ["Idempotency-Key:"]),
                                           ("/pay", ["Idempotency-Key: a", "Idempotency-Key: a"]), ("/must", [])])
def test_bad_key_makes_no_call(api, calls, path, headers):
    assert api.post(path, headers=headers).status == 400
    assert calls() == []


def test_broken_upload_makes_no_call(api, calls, httpd):
    conn = api.connect()
    conn.send(api.head("POST", "/pay", [("Idempotency-Key", "k1"), ("Content-Length", "100")]) + b"half")
    conn.reset()
    httpd.outcomes(api, 1)
    assert calls() == []


def test_execution_is_a_claim_and_a_settlement(api, calls):
    """lmdb reads without waiting for anybody, so it is looked at before a lease is made."""
    api.post("/pay", key="k1")
    assert calls() == [["fetch", "notfound"], ["claim", "ok"], ["settle", "ok"]]


def test_replay_is_one_call(api, calls):
    api.post("/pay", key="k1")
    for body in (b"", b"other"):
        before = len(calls())
        api.post("/pay", key="k1", body=body)
        assert calls()[before:] == [["fetch", "ok"]]


def test_released_execution_is_a_claim_and_a_release(api, calls):
    api.post("/pay?status=503", key="k1")
    assert calls() == [["fetch", "notfound"], ["claim", "ok"], ["release", "ok"]]
