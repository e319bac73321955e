# SPDX-License-Identifier: Apache-2.0
"""Responses that are no plain 200 with a length. One that can be kept is replayed to the byte; one that cannot is never
executed again. The first client gets every byte of either.
"""
import http.client
import os
import shutil
import socket
import threading

import pytest

from client import Api, Response
from origins.answer import binary

MODULES = ["proxy_connect", "proxy_wstunnel"]
CONFIG = """
IdempotencyMaxResponse 64K
ScriptAlias /own "{stage}/own"
ProxyPass /peer http://127.0.0.1:{peer}/ disablereuse=On upgrade=websocket
ProxyPass /hushed http://127.0.0.1:{peer}/ disablereuse=On
<Location /hushed>
    SetEnv proxy-interim-response Suppress
</Location>
<Location /peer/streamed>
    IdempotencyResponse stream
</Location>
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
# Scripts of this file's own; each enters its execution in the ledger and reads its input to the end.
SCRIPT = """#!/usr/bin/python3 -ESs
import os, sys
sys.path.insert(0, "{stage}/origins")
from answer import enter_in_ledger
enter_in_ledger("{stage}", {{"path": os.environ["SCRIPT_NAME"]}})
sys.stdin.buffer.read()
out = sys.stdout.buffer
"""
SCRIPTS = {
    "nph-whole.cgi": r'out.write(b"HTTP/1.1 201 Own Words\r\nX-Own: 1\r\nContent-Length: 5\r\nConnection: close\r\n'
                     r'\r\nwhole")',
    "nph-half.cgi": r'out.write(b"HTTP/1.1 201 Own Words\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhalf"); '
                    r'out.flush(); os._exit(1)',
    "to-nph.cgi": r'out.write(b"Location: /own/nph-whole.cgi\r\n\r\n")',
    "blocks.cgi": """out.write(b"Content-Type: text/plain\\r\\n\\r\\n")
for number in range(int(os.environ["QUERY_STRING"])):
    out.write(b"%015d\\n" % number * 65536)""",
    "to-file.cgi": r'out.write(b"Location: /sparse\r\n\r\n")',
}
BLOCKS_PHP = r"""<?php
file_put_contents('{stage}/ledger', json_encode(['path' => $_SERVER['SCRIPT_NAME']]) . "\n", FILE_APPEND);
header('Content-Type: text/plain');
while (ob_get_level()) {
    ob_end_clean();
}
for ($number = 0; $number < (int)$_SERVER['QUERY_STRING']; $number++) {
    echo str_repeat(sprintf("%015d\n", $number), 65536);
}
"""
MIB = 1 << 20


@pytest.fixture(autouse=True, scope="module")
def scripts(stage):
    (stage.root / "own").mkdir()
    for name, text in SCRIPTS.items():
        (stage.root / "own" /
         name).write_text(SCRIPT.replace("{stage}", str(stage.root)).replace("{{", "{").replace("}}", "}") + text)
        (stage.root / "own" / name).chmod(0o755)
    (stage.root / "origins" / "blocks.php").write_text(BLOCKS_PHP.replace("{stage}", str(stage.root)))
    with open(stage.root / "docs" / "sparse", "wb") as sparse:
        sparse.truncate(300 * MIB)  # occupies nothing
    yield
    shutil.rmtree(stage.root / "own")
    (stage.root / "docs" / "sparse").unlink()


def configured(peer):
    return CONFIG.replace("{peer}", str(peer.port))


@pytest.fixture
def peered(api):
    return api.at("/peer")


def answer(api, peer, text, path="/pay", **request):
    """One request that the backend answers with this text before it closes."""
    conn = api.post_async(path, key="k1", body=b"1", **request)
    exchange = peer.accept()
    exchange.read_http()
    exchange.send(text)
    exchange.end()
    return conn


def assert_replayed_once(api, peer, first, path="/pay", **request):
    again = api.post(path, key="k1", body=b"1", **request)
    assert again.replayed and again.recorded == first.recorded
    assert peer.requests == 1 and not peer.came()
    return again


def assert_not_kept(httpd, api, path):
    """Once it has ended, which a client may know of a response that does not go through our hands before we do."""
    httpd.outcomes(api, 1)
    assert api.post(path, key="k1", body=b"1").problem == (409, "response-not-kept")
    assert api.post(path, key="k1", body=b"2").problem == (422, "key-reused")
    assert sorted(row[2:4] for row in httpd.outcomes(api, 3)) == [
        ["executed", "tombstone"], ["key-reused", "-"], ["response-not-kept", "-"]]


# ---- not through our hands ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("script", ["nph-whole.cgi", "to-nph.cgi"])
def test_script_that_writes_to_the_connection(httpd, api, origin, script):
    api = api.at("/own")
    first = api.post(f"/{script}", key="k1", body=b"1")
    assert (first.status, first.reason, first["X-Own"], first.body) == (201, "Own Words", "1", b"whole")
    assert_not_kept(httpd, api, f"/{script}")
    assert origin.executions("/own/nph-whole.cgi") == 1


def test_script_that_writes_half_to_the_connection(httpd, api, origin):
    """Nobody here can tell; it was executed, and that is all the slot says."""
    api = api.at("/own")
    with pytest.raises(http.client.IncompleteRead):
        api.post("/nph-half.cgi", key="k1", body=b"1")
    assert_not_kept(httpd, api, "/nph-half.cgi")
    assert origin.executions("/own/nph-half.cgi") == 1


def test_protocol_that_is_switched(httpd, peered, peer):
    """A tunnel is no response; what goes through it is not looked at, and it is not opened twice."""
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    with peered.post_async("/pay", key="k1", body=b"1", headers=fields) as conn:
        exchange = peer.accept()
        exchange.read_http()
        exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        received = b""
        while not received.endswith(b"hello"):
            received += conn.sock.recv(4096)
        conn.send(b"back")
        assert exchange.stream.read(4) == b"back"
        exchange.end()
        assert received.startswith(b"HTTP/1.1 101 ") and conn.sock.recv(1) == b""
    assert_not_kept(httpd, peered, "/pay")
    assert peer.requests == 1 and not peer.came()


def test_connect_is_not_guarded(new_httpd, peer):
    server = new_httpd(configured(peer) + f"ProxyRequests On\nAllowCONNECT {peer.port}\n", "lmdb", MODULES).start()
    api = Api(server.address, f"127.0.0.1:{peer.port}")  # the host that is asked for is the one that is logged
    for _ in range(2):
        with api.connect() as conn:
            conn.send(f"CONNECT {api.host} HTTP/1.1\r\nHost: {api.host}\r\nIdempotency-Key: k1\r\n\r\n".encode())
            exchange = peer.accept()
            assert conn.sock.recv(4096).startswith(b"HTTP/1.0 200 Connection Established")
            exchange.end()
    assert [row[2:4] for row in server.outcomes(api, 2)] == [["-", "-"]] * 2


# ---- interim responses, lengths, ends -------------------------------------------------------------------------------

def final_response(conn):
    """The interim responses of a connection, and the response they announced."""
    interim = []
    with conn, conn.sock.makefile("rb") as stream:
        while True:
            head = b"".join(iter(stream.readline, b"\r\n"))
            if not head.startswith(b"HTTP/1.1 1"):
                break
            interim.append(head)
        rest = head + b"\r\n" + stream.read()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(rest)
        theirs.shutdown(socket.SHUT_WR)
        raw = http.client.HTTPResponse(ours, method="POST")
        raw.begin()
        return interim, Response(raw)


@pytest.mark.parametrize("base,status,told", [
    ("/peer", b"103 Early Hints", 1), ("/peer", b"102 Processing", 1), ("/hushed", b"103 Early Hints", 0)])
def test_interim_responses_are_passed_on_and_not_replayed(httpd, peered, peer, base, status, told):
    api = peered.at(base)
    interim = b"HTTP/1.1 " + status + b"\r\nLink: </early>\r\n\r\n"
    text = interim + interim + OK + b"X-Final: 1\r\nContent-Length: 5\r\n\r\nfinal"
    seen, first = final_response(answer(api, peer, text, headers=[("Connection", "close")]))
    assert len(seen) == 2 * told and all(b"Link: </early>" in head for head in seen)
    assert (first.status, first["X-Final"], first["Link"], first.body) == (200, "1", None, b"final")
    seen, again = final_response(api.post_async("/pay", key="k1", body=b"1", headers=[("Connection", "close")]))
    assert seen == [] and again.replayed and again.recorded == first.recorded
    assert peer.requests == 1


BODY = b"some text " * 500
ENDS = {
    "a length": OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + BODY[:1000] + b"\r\nfa0;ext=1\r\n" +
    BODY[1000:] + b"\r\n0\r\n\r\n",
    "trailers": OK + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1388\r\n" + BODY +
    b"\r\n0\r\nX-Sum: 17\r\n\r\n",
    "its connection": OK + b"\r\n" + BODY,
    "its connection, as of old": OK.replace(b"1.1", b"1.0") + b"\r\n" + BODY,
}


@pytest.mark.parametrize("path", ["/pay", "/streamed"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("end", ENDS)
def test_response_that_ends_with(peered, peer, end, version, path):
    first = answer(peered, peer, ENDS[end], path, version=version).last_result()
    assert first.status == 200 and first.body == BODY
    assert first["X-Sum"] is None and first["Trailer"] is None
    for newer in ("HTTP/1.0", "HTTP/1.1"):
        again = assert_replayed_once(peered, peer, first, path, version=newer)
        assert again["Content-Length"] == str(len(BODY)) and again["Transfer-Encoding"] is None


def test_piecemeal_response_to_an_old_client(each_api, origin):
    path, fields = "/pay?parts=3&size=3000&seed=s", [("Connection", "keep-alive")]
    first, second = [each_api.post(path, key="k1", version="HTTP/1.0", headers=fields) for _ in range(2)]
    assert first.body == binary("s", 3000)
    assert second.replayed and second.recorded == first.recorded
    assert origin.executions("/pay") == 1


# ---- HEAD, Range ----------------------------------------------------------------------------------------------------

def test_head_is_not_guarded(httpd, each_api, origin):
    first = each_api.post("/pay", key="k1")
    for _ in range(2):
        head = each_api.request("HEAD", "/pay", key="k1")
        assert head.status == 201 and not head.replayed and head.body == b""
    again = each_api.post("/pay", key="k1")
    assert again.replayed and again.recorded == first.recorded
    assert [run["method"] for run in origin.runs()] == ["POST", "HEAD", "HEAD"]


def test_range_of_a_replay(each_api, origin):
    """Ranges are cut out further on: each client gets what it asks for, the record has all of it."""
    path = "/pay?status=200&body=0123456789"
    whole = each_api.post(path, key="k1")
    part = each_api.post(path, key="k1", headers=[("Range", "bytes=2-4")])
    assert (part.status, part["Content-Range"], part.body) == (206, "bytes 2-4/10", b"234") and part.replayed
    beyond = each_api.post(path, key="k1", headers=[("Range", "bytes=20-")])
    assert beyond.status == 416
    assert each_api.post(path, key="k1").recorded == whole.recorded
    assert origin.executions() == 1


def test_range_of_a_first_response(each_api, origin):
    path = "/pay?status=200&body=0123456789"
    part = each_api.post(path, key="k1", headers=[("Range", "bytes=2-4")])
    assert (part.status, part.body) == (206, b"234") and not part.replayed
    whole = each_api.post(path, key="k1")
    assert whole.replayed and (whole.status, whole.body) == (200, b"0123456789")
    assert each_api.post(path, key="k1", headers=[("Range", "bytes=2-4")]).recorded == part.recorded
    assert origin.executions() == 1


# ---- large ones -----------------------------------------------------------------------------------------------------

def read_blocks(raw, count):
    """Every byte is looked at: block N is the number N, 65536 times."""
    for number in range(count):
        assert raw.read(MIB) == b"%015d\n" % number * 65536, f"block {number}"
    assert raw.read() == b""


def read_zeros(raw, count):
    zeros = bytes(MIB)
    for number in range(count):
        assert raw.read(MIB) == zeros, f"block {number}"
    assert raw.read() == b""


class Sender(threading.Thread):
    """A backend that answers one request with so many blocks."""

    def __init__(self, peer, count):
        super().__init__()
        self.peer, self.count = peer, count

    def run(self):
        exchange = self.peer.accept()
        exchange.read_http()
        exchange.send(OK + b"Content-Length: %d\r\n\r\n" % (self.count * MIB))
        for number in range(self.count):
            exchange.send(b"%015d\n" % number * 65536)
        exchange.end()


def peak(pid):
    """The most memory a process ever had, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


LARGE = {
    "/own/blocks.cgi?": read_blocks,
    "/fpm-blocks?": read_blocks,
    "/php-blocks?": read_blocks,
    "/peer/": read_blocks,
    "/peer/streamed?": read_blocks,
    "/own/to-file.cgi?": read_zeros
}
BLOCKS_CONFIG = """
Alias /fpm-blocks "{stage}/origins/blocks.php"
Alias /php-blocks "{stage}/origins/blocks.php"
<Location /fpm-blocks>
    SetHandler "proxy:unix:{stage}/fpm.sock|fcgi://fpm"
</Location>
<Location /php-blocks>
    SetHandler application/x-httpd-php
</Location>
"""


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("path",
                         [path for path in LARGE if os.environ.get("IDEM_MPM") == "prefork" or "php-" not in path])
def test_large_response(new_httpd, stage, host, origin, peer, path, count):
    """MiB by MiB it goes through a server whose memory does not grow."""
    if "to-file" in path:
        os.truncate(stage.root / "docs" / "sparse", count * MIB)
    server = new_httpd(configured(peer) + BLOCKS_CONFIG, "lmdb", MODULES).start()
    api = Api(server.address, host, "")
    sender = Sender(peer, count) if path.startswith("/peer") else None
    if sender:
        sender.start()
    with Api(server.address, "warm.test", "").start("GET", "/nothing") as conn:
        conn.result("GET")
        child = server.child_of(conn)
        before = peak(child)
        api.post_async(f"{path}{count}", key="k1", body=b"1", conn=conn)
        raw = http.client.HTTPResponse(conn.sock, method="POST")
        raw.begin()
        assert raw.status == 200 and raw.headers["Idempotent-Replayed"] is None
        LARGE[path](raw, count)
        grown = peak(child) - before
    assert grown < 16 * MIB, f"grew by {grown}"  # httpd maps files in windows of 4 MiB, and PHP has its own
    if sender:
        sender.join()
    assert_not_kept(server, api, f"{path}{count}")
    assert peer.requests + origin.executions() == 1 and not peer.came()
