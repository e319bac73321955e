# SPDX-License-Identifier: Apache-2.0
"""A header that carries the key and is sent more than once: no key at all, for every header that may carry it.

httpd makes one line of several, with a comma and a space, before any module sees them; so one line with both between
two of its characters is refused as well.
"""
import pytest

from client_http2 import Http2

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["http2"]
CONFIG = """
Protocols h2c http/1.1
IdempotencyKey header:X-Request-Id header:Idempotency-Key
<Location /cgi/added>
    RequestHeader add X-Request-Id of-the-server
</Location>
"""
LINES = {
    "equal": ["X-Request-Id: a", "X-Request-Id: a"],
    "different": ["X-Request-Id: a", "X-Request-Id: b"],
    "three": ["X-Request-Id: a", "X-Request-Id: a", "X-Request-Id: a"],
    "case": ["X-Request-Id: a", "x-request-id: a"],
    "apart": ["X-Request-Id: a", "X-Other: b", "X-REQUEST-ID: a"],
    "first-empty": ["X-Request-Id:", "X-Request-Id: a"],
    "last-empty": ["X-Request-Id: a", "X-Request-Id:"],
    "both-empty": ["X-Request-Id:", "X-Request-Id:"],
    "quoted": ['X-Request-Id: "a"', 'X-Request-Id: "a"'],
    "folded": ["X-Request-Id: a,\r\n b"],
    "the-draft-s": ["Idempotency-Key: a", "idempotency-key: a"],
    "the-draft-s-quoted": ['Idempotency-Key: "a"', 'Idempotency-Key: "a"'],
}


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
def test_repeated_line(api, origin, lines):
    assert api.post("/pay", headers=lines).problem == (400, "key-invalid")
    once = [lines[0].split(",")[0]]
    if not lines[0].endswith(":"):
        assert api.post("/pay", headers=once).problem == (201, None)
        assert api.post("/pay", headers=lines).problem == (400, "key-invalid")
        assert api.post("/pay", headers=once).replayed
    assert origin.executions() <= 1


@pytest.mark.parametrize("fields",
                         [["x-request-id: a", "x-request-id: a"], ["x-request-id: a", "x-request-id: b"],
                          ["x-request-id: ", "x-request-id: a"], ["idempotency-key: a", "idempotency-key: a"]],
                         ids=str)
def test_repeated_field_of_http2(httpd, host, origin, fields):
    headers = [tuple(field.split(": ")) for field in fields]
    with Http2(httpd.address, host) as h2:
        assert h2.result(h2.start("/cgi/pay", None, headers=headers)).problem == (400, "key-invalid")
        assert h2.result(h2.start("/cgi/pay", None, headers=headers[1:])).status == 201
        assert h2.result(h2.start("/cgi/pay", None, headers=headers[1:])).replayed
    assert origin.executions() == 1


@pytest.mark.parametrize("key", ["a,b", "a ,b", ",", "a b", '"a"', "a;b=c"])
def test_one_line_is_taken_as_it_is(api, key):
    assert api.post("/pay", headers=[("X-Request-Id", key)]).problem == (201, None)
    assert api.post("/pay", headers=[("X-Request-Id", key)]).replayed


def test_one_line_that_looks_like_two(api, origin):
    refused = api.post("/pay", headers=[("X-Request-Id", "a, b")])
    assert refused.problem == (400, "key-invalid") and "more than once" in refused.json["detail"]
    assert origin.executions() == 0


def test_line_that_the_server_adds_is_none_of_the_client_s(api, origin):
    first = api.post("/added", headers=[("X-Request-Id", "a")])
    assert first.problem == (201, None)
    assert api.post("/added", headers=[("X-Request-Id", "a")]).recorded == first.recorded
    assert api.post("/added").problem == (201, None)  # without a key of its own it is not guarded
    assert origin.executions() == 2
