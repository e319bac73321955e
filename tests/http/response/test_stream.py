# SPDX-License-Identifier: Apache-2.0
"""IdempotencyResponse stream: the client sees the response as it is written, and its end when the record stands."""
import pytest

import env
from client import Api

CONFIG = "IdempotencyResponse stream\nIdempotencyMaxResponse 64K\n"
STORES = ["wrap:{root}/control,lmdb:{root}/store"]


def read_some(conn, ending):
    """Reads until this has come: nothing more is there yet."""
    data = b""
    while ending not in data:
        piece = conn.sock.recv(65536)
        assert piece, f"the server closed after {data!r}"
        data += piece
    return data


@pytest.fixture(params=["/cgi", "/fpm", "/proxy"])
def api(request, httpd, host):
    return Api(httpd.address, host, request.param)


def test_pieces_arrive_as_they_are_written(api, origin):
    with origin.hold("/pay.1") as second, origin.hold("/pay.2") as end:
        conn = api.post_async("/pay?parts=2&body=firstlater", key="k1")
        second.wait_until_entered()
        assert b"first" in read_some(conn, b"first")
        second.let_go()
        end.wait_until_entered()
        assert b"later" in read_some(conn, b"later")
        end.let_go()
    conn.sock.close()


def test_replay_is_the_whole_response(api, origin):
    first = api.post("/pay?parts=3&body=abcdefghi&header=X-A:%201", key="k1")
    again = api.post("/pay?parts=3&body=abcdefghi&header=X-A:%201", key="k1")
    assert first.body == b"abcdefghi" and not first.replayed
    assert again.replayed and again.recorded == first.recorded
    assert again["Content-Length"] == "9"
    assert origin.executions("/pay") == 1


def test_the_end_waits_for_the_record(api, httpd, origin, expect_log):
    """While the store does not take the record, the body is there and the response has not ended."""
    httpd.control.block("settle")
    conn = api.post_async("/pay?parts=2&body=firstlater", key="k1")
    env.until(lambda: any(call[1:2] == ["blocked"] for call in httpd.control.calls()), "the settlement waits")
    seen = read_some(conn, b"later")
    assert not seen.endswith(b"0\r\n\r\n"), "the end has left before the record stood"
    httpd.control.behave()
    conn.sock.settimeout(env.CLIENT_TIMEOUT)
    rest = conn.sock.recv(65536)
    assert rest, "the end comes once the record stands"
    assert api.post("/pay?parts=2&body=firstlater", key="k1").replayed
    conn.sock.close()


def test_client_leaves_in_the_middle(api, origin):
    with origin.hold("/pay.1") as second:
        conn = api.post_async("/pay?parts=2&body=firstlater", key="k1")
        second.wait_until_entered()
        read_some(conn, b"first")
        conn.reset()
    again = env.until(lambda: (lambda answer: answer if answer.replayed else None)(
        api.post("/pay?parts=2&body=firstlater", key="k1")), "the record of what nobody read")
    assert again.body == b"firstlater"
    assert origin.executions("/pay") == 1 and origin.executions("/pay.end") == 1


def test_too_long_for_a_record(api, origin):
    first = api.post("/pay?parts=4&size=200000&seed=s", key="k1")
    assert len(first.body) == 200000
    assert api.post("/pay?parts=4&size=200000&seed=s", key="k1").problem == (409, "response-not-kept")
    assert origin.executions("/pay") == 1


def test_released_status(api, origin):
    assert api.post("/pay?status=503&body=busy", key="k1").problem == (503, None)
    assert api.post("/pay?status=503&body=busy", key="k1").problem == (503, None)
    assert origin.executions("/pay") == 2


def test_control_header_is_obeyed_and_removed(api, origin):
    for _ in range(2):
        answer = api.post("/pay?header=Idempotency-Control:%20no-store&body=x", key="k1")
        assert answer.problem == (201, None) and answer["Idempotency-Control"] is None
    assert origin.executions("/pay") == 2
