# SPDX-License-Identifier: Apache-2.0
"""A response names a file, and the file is sent in its place. It belongs to the response: it is recorded as it was
sent.
"""
import gzip
import socketserver
import threading
import urllib.parse

import pytest

from checks import assert_replayed
from client import Api
from client_http2 import Http2

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["xsendfile", "http2"]
CONFIG = """
Protocols h2c http/1.1
XSendFile On
XSendFilePath {root}/tmp
FilterDeclare sender CONTENT_SET
FilterProvider sender XSENDFILE "resp('X-Sendfile') =~ /./"
<Location ~ "^/[a-z]+/deflate">
    SetOutputFilter DEFLATE
</Location>
<Location ~ "^/[a-z]+/headers">
    Header add X-Added once
    Header append Cache-Control private
</Location>
<Location ~ "^/[a-z]+/renamed">
    Header set X-Sendfile "expr=%{resp:X-App-File}" "expr=-n resp('X-App-File')"
    Header set X-Noted renamed
</Location>
<Location ~ "^/[a-z]+/harness">
    XSendFile Off
    FilterChain sender
</Location>
<Location ~ "^/[a-z]+/named">
    XSendFile Off
    SetOutputFilter XSENDFILE
    Header add X-Added once
</Location>
<Location ~ "^/[a-z]+/if">
    <If "%{HTTP:X-Files} == 'off'">
        XSendFile Off
    </If>
</Location>
<Location ~ "^/[a-z]+/stream">
    IdempotencyResponse stream
</Location>
<Location ~ "^/[a-z]+/small">
    IdempotencyMaxResponse 1K
</Location>
"""


@pytest.fixture
def bill(httpd):
    """A file of one customer, which will be another one's."""
    path = httpd.root / "tmp" / "bill.txt"
    path.write_text("of alice " * 100)
    path.chmod(0o644)
    yield path
    path.unlink(missing_ok=True)


def naming(place, file, header="X-Sendfile", body="ignored", **more):
    asked = {"status": 200, "body": body, "header": f"{header}: {file}", **more}
    return place + "?" + urllib.parse.urlencode(asked)


def reuse(path, text="of bob"):
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o644)


ALICE = b"of alice " * 100


@pytest.mark.parametrize("place, header", [
    ("/plain", "X-Sendfile"), ("/deflate", "X-Sendfile"), ("/headers", "X-SENDFILE"), ("/renamed", "X-App-File"),
    ("/harness", "X-Sendfile"), ("/named", "X-Sendfile"), ("/stream", "X-Sendfile"), ("/if", "X-Sendfile")])
@pytest.mark.parametrize("body", ["ignored", ""])
def test_file_that_was_sent_is_replayed(api, origin, bill, place, header, body):
    path = naming(place, bill, header, body)
    first = api.post(path, key="k1")
    assert first.body == ALICE and first["X-Sendfile"] is None
    reuse(bill)
    again = api.post(path, key="k1")
    assert again.replayed and again.recorded == first.recorded
    assert again.all("X-Added") == first.all("X-Added") and len(again.all("X-Added")) <= 1
    assert origin.executions() == 1


def test_file_that_is_sent_and_removed(api, origin, bill):
    """mod_xsendfile 1.0 takes the file away with the answer; 0.12 does not know the field and passes it on."""
    assert_replayed(api, origin, naming("/plain", bill, "X-Sendfile-Temporary"))


def test_file_for_each_kind_of_origin(each_api, origin, bill):
    first = each_api.post(naming("/plain", bill), key="k1")
    reuse(bill)
    again = each_api.post(naming("/plain", bill), key="k1")
    assert first.body == ALICE and again.replayed and again.recorded == first.recorded


def test_file_that_was_not_there_then_is_not_there(api, bill, origin):
    path = naming("/plain", bill.with_name("missing.txt"))
    first = api.post(path, key="k1")
    reuse(bill.with_name("missing.txt"))
    again = api.post(path, key="k1")
    assert first.status == 404 and again.replayed and again.recorded == first.recorded


@pytest.mark.parametrize("place", ["/small", "/small/stream"])
def test_long_file_leaves_a_tombstone(api, bill, origin, place):
    reuse(bill, "of alice " * 1000)
    first = api.post(naming(place, bill), key="k1")
    assert first.body == b"of alice " * 1000
    assert api.post(naming(place, bill), key="k1").problem == (409, "response-not-kept")
    assert origin.executions() == 1


def test_place_where_no_file_is_named_is_compressed_as_ever(api, origin):
    path = "/deflate?" + urllib.parse.urlencode({"status": 200, "body": "hello " * 100})
    answers = [api.post(path, key="k1", headers=[("Accept-Encoding", "gzip")] if asks else []) for asks in (1, 0, 1)]
    assert [answer["Content-Encoding"] for answer in answers] == ["gzip", None, "gzip"]
    assert gzip.decompress(answers[2].body) == answers[1].body == b"hello " * 100


@pytest.mark.parametrize("first, then", [("off", "on"), ("on", "off")])
def test_sending_files_is_switched(api, origin, bill, first, then):
    """The answer is the first one, whatever the place would make of it today."""
    once = api.post(naming("/if", bill), key="k1", headers=[("X-Files", first)])
    reuse(bill)
    again = api.post(naming("/if", bill), key="k1", headers=[("X-Files", then)])
    assert once.body == (b"ignored" if first == "off" else ALICE)
    assert again.replayed and again.recorded == once.recorded


def test_error_of_the_application_that_names_a_file(api, origin, bill):
    assert_replayed(api, origin, naming("/plain", bill, status=422))


def test_file_over_http2(httpd, host, origin, bill):
    with Http2(httpd.address, host) as client:
        first = client.result(client.start("/cgi" + naming("/plain", bill), "k1"))
        reuse(bill)
        again = client.result(client.start("/cgi" + naming("/plain", bill), "k1"))
    assert first.body == ALICE and again.replayed and again.recorded == first.recorded


class Scgi(socketserver.StreamRequestHandler):
    """Names the file that its query asks for."""

    def handle(self):
        length = b""
        while not length.endswith(b":"):
            length += self.rfile.read(1)
        fields = self.rfile.read(int(length[:-1])).split(b"\0")
        asked = dict(zip(fields[::2], fields[1::2]))
        self.server.requests += 1
        self.wfile.write(b"Status: 200 OK\r\nContent-Type: text/plain\r\nX-Sendfile: " + asked[b"QUERY_STRING"] +
                         b"\r\n\r\nignored")


@pytest.fixture
def scgi():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Scgi) as server:
        server.requests = 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_file_that_a_handler_sends(new_httpd, host, scgi):
    """mod_proxy_scgi reads the header itself, before the recorder: the file is the handler's response."""
    config = """
ProxyPass /scgi scgi://127.0.0.1:{port}/
ProxySCGISendfile On
<Directory "{root}/tmp">
    Require all granted
</Directory>
"""
    server = new_httpd(config.replace("{port}", str(scgi.server_address[1])), modules=["proxy_scgi"]).start()
    file = server.root / "tmp" / "bill.txt"
    reuse(file, "of alice")
    api = Api(server.address, host, "/scgi")
    first = api.post(f"/x?{file}", key="k1")
    reuse(file)
    again = api.post(f"/x?{file}", key="k1")
    assert first.body == b"of alice" and again.replayed and again.recorded == first.recorded
    assert scgi.requests == 1
