# SPDX-License-Identifier: Apache-2.0
"""Applications that answer what breaks a header, a record, or a server's memory: nothing is smuggled into a record, or
out of it.

Answers are looked at as they came over the wire.
"""
import http.client
import threading

import pytest

from raw_store import RawStore

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = ""
CONFIG = """
ScriptAlias /raw "{stage}/origins/raw.cgi"
ProxyPass /peer http://127.0.0.1:{peer}/ disablereuse=On
<Location /raw/short>
    IdempotencyMaxResponse 64K
</Location>
<Location /raw/sealed>
    IdempotencyReplayedHeader X-Again
</Location>
"""
PLAIN = b"Content-Type: text/plain\r\n"

# Header lines that try to be, or to become, another one: X-Evil is what must not come out.
SMUGGLED = {
    "carriage return in a value": b"X-A: a\rX-Evil: 1\r\n",
    "bare line feed": b"X-A: a\rX-Evil: 1\n",
    "folded line": b"X-A: a\r\n X-Evil: 1\r\n",
    "folded with a tab": b"X-A: a\r\n\tX-Evil: 1\r\n",
    "folded first line": b" X-Evil: 1\r\n",
    "NUL in a value": b"X-A: a\0X-Evil: 1\r\n",
    "NUL in a name": b"X-A\0X-Evil: 1\r\n",
    "control character": b"X-A: a\x01\x7f\r\n",
    "control character in a challenge": b"WWW-Authenticate: a\x7f\r\n",
    "control character in a cookie": b"Set-Cookie: a\x01\r\n",
    "space in a name": b"X A: 1\r\n",
    "space behind a name": b"X-A : 1\r\n",
    "no name": b": 1\r\n",
    "no colon": b"X-A\r\n",
    "in the reason": b"Status: 200 OK\rX-Evil: 1\r\n",
    "in the type": b"Content-Type: text/html\rX-Evil: 1\r\n",
    "in a Location": b"Status: 302\r\nLocation: http://h/\rX-Evil: 1\r\n",
    "bytes that are no ASCII": b"X-A: \xff\xfe\x80\r\n",
}
# What httpd takes from scripts and backends all the same: no record holds it, and a warning says so.
NOT_KEPT = {
    "script": ["no name"],
    "backend": [
        "carriage return in a value", "bare line feed", "no name", "in the reason", "in the type", "in a Location"
    ]
}


def wire(api, path):
    """All that comes back, to the byte: (status line and header lines, body)."""
    with api.start("POST", path, key="k1", body=b"1", headers=["Connection: close"]) as conn:
        data = b""
        while piece := conn.sock.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def status(lines):
    return int(lines[0].split()[1])


def assert_clean(lines):
    """Each line is one field that may be there."""
    for line in lines:
        assert not set(line) & set(b"\r\n\0"), line
        assert not line.lower().startswith(b"x-evil"), line
    for line in lines[1:]:
        assert line.split(b":")[0].strip() == line.split(b":")[0] != b"", line


def replayed(lines):
    return b"Idempotent-Replayed: true" in lines


@pytest.mark.parametrize("name", SMUGGLED)
def test_header_of_a_script(api, origin, name, expect_log):
    expect_log(*[17] * (name in NOT_KEPT["script"]))
    path = "/raw?" + (SMUGGLED[name] + PLAIN + b"\r\nbody").hex()
    first, body = wire(api, path)
    again, body_again = wire(api, path)
    assert_clean(first)
    assert_clean(again)
    assert not replayed(first)
    assert status(again) == status(first) or status(again) == 409
    if replayed(again):
        assert body_again == body
    assert origin.executions("/raw") == 1


@pytest.mark.parametrize("name", SMUGGLED)
def test_header_of_a_backend(api, peer, name, expect_log):
    expect_log(*[17] * (name in NOT_KEPT["backend"]))
    answers = []

    def ask():
        answers.append(wire(api, "/peer/pay"))
    for _ in range(2):
        asking = threading.Thread(target=ask)
        asking.start()
        if not answers:
            exchange = peer.accept()
            exchange.read_http()
            exchange.send(b"HTTP/1.1 200 OK\r\n" + SMUGGLED[name] + PLAIN + b"Content-Length: 4\r\n\r\nbody")
            exchange.end()
        asking.join(30)
    (first, body), (again, body_again) = answers
    assert_clean(first)
    assert_clean(again)
    assert not replayed(first)
    assert status(again) in (status(first), 409)
    if replayed(again):
        assert body_again == body
    assert peer.requests == 1 and not peer.came()


# ---- many, and large -------------------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(http.client, "_MAXHEADERS", 20000)


def raw_path(*pieces, place="/raw"):
    return f"{place}?" + "&".join(f"{piece.hex()}*{times}" for piece, times in pieces)


@pytest.mark.usefixtures("patient")
def test_ten_thousand_headers(api, origin):
    path = raw_path((PLAIN, 1), (b"X-Many-#: value #\r\n", 10000), (b"\r\nbody", 1))
    first, again = api.post(path, key="k1"), api.post(path, key="k1")
    assert len(first.headers) > 10000 and first["X-Many-9999"] == "value 9999"
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/raw") == 1


def test_long_header_value(api):
    path = raw_path((PLAIN, 1), (b"X-Long: ", 1), (b"x", 8000), (b"\r\n\r\nbody", 1))
    first, again = api.post(path, key="k1"), api.post(path, key="k1")
    assert len(first["X-Long"]) == 8000
    assert again.replayed and again.recorded == first.recorded


@pytest.mark.usefixtures("patient")
def test_more_headers_than_are_kept(api, origin):
    """The body is short; the bound on a response is one on its headers too."""
    path = raw_path((PLAIN, 1), (b"X-Many-#: " + b"v" * 90 + b"\r\n", 1000), (b"\r\nbody", 1), place="/raw/short")
    first = api.post(path, key="k1")
    assert first.status == 200 and first["X-Many-999"] == "v" * 90
    assert api.post(path, key="k1").problem == (409, "response-not-kept")
    assert origin.executions("/raw") == 1


def test_marker_and_error_of_the_application(api):
    """An application cannot pass an answer off as a replay, nor a replay as something else."""
    path = raw_path((PLAIN + b"Idempotent-Replayed: true\r\nIdempotent-Replayed: false\r\n", 1), (b"\r\nbody", 1))
    assert api.post(path, key="k1").all("Idempotent-Replayed") == []
    assert api.post(path, key="k1").all("Idempotent-Replayed") == ["true"]
    path = raw_path((PLAIN + b"X-Again: yes\r\n", 1), (b"\r\nbody", 1), place="/raw/sealed")
    assert api.post(path, key="k2").all("X-Again") == []
    assert api.post(path, key="k2").all("X-Again") == ["true"]


def test_header_smuggled_into_the_store(api, origin, httpd, expect_log):
    """Somebody who can write to a store without a secret puts a line break where a value was, and makes the checksum
    right.
    """
    expect_log(11)
    path = "/raw?" + (PLAIN + b"X-A: harmless-value\r\n\r\nbody").hex()
    assert wire(api, path)[0].count(b"X-A: harmless-value") == 1
    store, altered = RawStore(httpd), 0
    for entry in store.records():
        data = entry.copy()
        if b"harmless-value" in data:
            store.put(entry, data.replace(b"harmless-value", b"h\r\nX-Evil: yes"))
            altered += 1
    assert altered
    lines, _ = wire(api, path)
    assert status(lines) == 409 and b"Idempotency-Error: outcome-unknown" in lines
    assert_clean(lines)
    assert origin.executions("/raw") == 1
