# SPDX-License-Identifier: Apache-2.0
"""A replay carries no content coding that its client refuses: gzip is undone, for what cannot be undone the client is
told.
"""
import gzip
import urllib.parse

import pytest

import httpd as httpd_module
from client import Api
from client_http2 import Http2

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["brotli", "http2"]
CONFIG = """
Protocols h2c http/1.1
ScriptAlias /raw "{stage}/origins/raw.cgi"
<Location /raw/deflate>
    SetOutputFilter BROTLI_COMPRESS;DEFLATE
</Location>
<Location ~ "^/cgi/deflate">
    SetOutputFilter BROTLI_COMPRESS;DEFLATE
</Location>
FilterDeclare early
FilterProvider early DEFLATE "true"
<Location ~ "^/cgi/early">
    FilterChain early
</Location>
Alias /redirected "{root}/tmp"
<Directory "{root}/tmp">
    Require all granted
    IdempotencyEngine Off
    RewriteEngine On
    RewriteRule ^there$ /raw/
</Directory>
"""
TEXT = b"to be paid " * 60
ZIPPED = gzip.compress(TEXT, mtime=0)


def raw(place, body, *fields, status="201 Created"):
    """The path of an answer to the byte."""
    head = "".join(f"{field}\r\n" for field in ("Status: " + status, "Content-Type: text/plain") + fields)
    return f"{place}?{(head.encode() + bytes([13, 10])).hex()}&{body.hex()}"


def ask(api, path, accept, **more):
    return api.post(path, key="k1", headers=[] if accept is None else [("Accept-Encoding", accept)], **more)


@pytest.fixture
def raws(api):
    return api.at("/raw")


TAKES = [None, "gzip", "x-gzip", "gzip;q=0.1", "GZIP", "*", "identity;q=0, *;q=0.5", "br, gzip", "gzip;q=1.0;x=1"]
REFUSES = [
    "gzip;q=0", "gzip; q=0.000", "", "identity", "br", "deflate, br", "*;q=0", "gzip;Q=0, *", "identity;q=0",
    "br, x-gzip;q=0, *;q=0.1"
]


@pytest.mark.parametrize("accept", TAKES)
def test_coding_is_kept_for_a_client_that_takes_it(raws, accept):
    path = raw("", ZIPPED, "Content-Encoding: gzip", 'ETag: "e"')
    first = ask(raws, path, "gzip")
    again = ask(raws, path, accept)
    assert again.replayed and again.recorded == first.recorded and again.body == ZIPPED


@pytest.mark.parametrize("accept", REFUSES)
@pytest.mark.parametrize("place", ["", "/deflate"])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_gzip_is_undone_for_a_client_that_refuses_it(raws, place, coding, accept):
    path = raw(place, ZIPPED, f"Content-Encoding: {coding}", 'ETag: "e"', "Content-MD5: x", "Vary: Origin", "X-Kept: 1")
    assert ask(raws, path, "gzip").body == ZIPPED
    again = ask(raws, path, accept)
    assert again.replayed and again.status == 201
    if again["Content-Encoding"] == "br":
        assert place and "br" in accept
    else:
        assert again["Content-Encoding"] is None and again.body == TEXT
        assert again["ETag"] != '"e"'
    assert again["Content-MD5"] is None and again["X-Kept"] == "1"
    assert "accept-encoding" in ", ".join(again.all("Vary")).lower() and "Origin" in ", ".join(again.all("Vary"))


def test_each_retry_gets_what_it_takes(raws):
    path = raw("", ZIPPED, "Content-Encoding: gzip")
    first = ask(raws, path, None)
    for accept, body in (("identity", TEXT), ("gzip", ZIPPED), ("br", TEXT), (None, ZIPPED)):
        again = ask(raws, path, accept)
        assert again.body == body and (body != ZIPPED or again.recorded == first.recorded)


def test_two_codings_of_gzip(raws):
    path = raw("", gzip.compress(ZIPPED), "Content-Encoding: gzip, gzip")
    ask(raws, path, "gzip")
    again = ask(raws, path, "identity")
    assert again.replayed and again.body == TEXT and again["Content-Encoding"] is None


def test_gzip_over_a_coding_that_is_taken(raws):
    path = raw("", gzip.compress(b"brotli"), "Content-Encoding: br, gzip")
    ask(raws, path, "br, gzip")
    again = ask(raws, path, "br")
    assert again.body == b"brotli" and again["Content-Encoding"] == "br"


def test_identity_is_no_coding(raws):
    path = raw("", TEXT, "Content-Encoding: identity")
    first = ask(raws, path, "gzip")
    assert ask(raws, path, "gzip, identity;q=0").recorded == first.recorded


@pytest.mark.parametrize("coding, body", [("br", b"brotli"), ("zstd", b"zstd"), ("deflate", b"deflate"),
                                          ("gzip, br", b"both"), ("gzip", b"this is none")])
def test_what_cannot_be_undone_is_said(raws, coding, body):
    path = raw("", body, f"Content-Encoding: {coding}")
    first = ask(raws, path, None)
    answer = ask(raws, path, "identity")
    assert answer.problem == (409, "response-not-kept") and "Accept-Encoding" in answer.json["detail"]
    assert answer["Content-Encoding"] is None
    assert ask(raws, path, "br, zstd, deflate, gzip").recorded == first.recorded


def test_part_of_a_coded_body_cannot_be_undone(raws):
    path = raw("", ZIPPED[:50], "Content-Encoding: gzip", "Content-Range: bytes 0-49/*")
    ask(raws, path, "gzip")
    assert ask(raws, path, "identity").problem == (409, "response-not-kept")


@pytest.mark.parametrize("broken", [ZIPPED[:-8] + b"12345678", ZIPPED[:30] + b"!" * 30])
def test_gzip_that_is_broken_does_not_end_well(raws, broken, expect_log):
    path = raw("", broken, "Content-Encoding: gzip")
    ask(raws, path, "gzip")
    answer = ask(raws, path, "identity")
    assert answer.status == 502 or answer.problem == (409, "response-not-kept")


def test_undone_where_httpd_redirected_the_request(api, origin):
    """The guard is behind a redirection inside httpd, where INFLATE by itself does nothing."""
    path = raw("/there", ZIPPED, "Content-Encoding: gzip")
    there = api.at("/redirected")
    assert ask(there, path, "gzip").body == ZIPPED
    again = ask(there, path, "identity")
    assert again.replayed and again.body == TEXT and again["Content-Encoding"] is None


def test_long_body_is_undone_whole(api, origin):
    """DEFLATE that stands before the recorder: a harness of no type. The record is gzip, whoever asks next."""
    path = "/early?status=200&size=700000&header=Content-Type: text/plain".replace(": ", "%3A%20")
    first = ask(api, path, "gzip")
    again = ask(api, path, "identity")
    assert first["Content-Encoding"] == "gzip" and gzip.decompress(first.body) == again.body
    assert again.replayed and again["Content-Encoding"] is None and origin.executions() == 1


@pytest.mark.parametrize("status", ["204 No Content", "200 OK", "304 Not Modified"])
def test_answer_without_a_body(raws, status):
    path = raw("", b"", "Content-Encoding: gzip", status=status)
    first = ask(raws, path, "gzip")
    assert ask(raws, path, "identity").recorded == first.recorded


@pytest.mark.parametrize("refused", ["gzip;q=0", "br;q=0", "gzip;q=0,br;q=0", "br;q=0.0, gzip; q=0"])
def test_filters_of_httpd_respect_what_is_refused(api, origin, refused):
    """httpd's compressing filters do not look at q=0. The first answer is theirs; a replay is not."""
    path = "/deflate?" + urllib.parse.urlencode({
        "status": 200,
        "body": "hello " * 100,
        "header": "Content-Type: text/html"
    })
    ask(api, path, "identity")
    again = ask(api, path, refused)
    assert again.replayed and again["Content-Encoding"] is None and again.body == b"hello " * 100
    assert "accept-encoding" in again["Vary"].lower()


def test_without_mod_deflate_it_is_said(new_httpd, host, monkeypatch):
    monkeypatch.setattr(httpd_module, "MODULES", [name for name in httpd_module.MODULES if name != "deflate"])
    server = new_httpd('ScriptAlias /raw "{stage}/origins/raw.cgi"').start()
    raws = Api(server.address, host, "/raw")
    path = raw("", ZIPPED, "Content-Encoding: gzip")
    first = ask(raws, path, "gzip")
    assert ask(raws, path, "identity").problem == (409, "response-not-kept")
    assert ask(raws, path, "gzip").recorded == first.recorded


def test_over_http2(httpd, host):
    path = "/raw" + raw("", ZIPPED, "Content-Encoding: gzip")
    with Http2(httpd.address, host) as client:
        first, again = (client.result(client.start(path, "k1")) for _ in range(2))
    assert again.replayed and again.recorded == first.recorded and again.body == ZIPPED
