# SPDX-License-Identifier: Apache-2.0
"""A replay enters the chain of output filters behind the place where it was recorded: what made its bytes never sees
them again.
"""
import gzip
import sys
import urllib.parse

import pytest

import env
from checks import assert_replayed
from client import Api
from client_http2 import Http2
from httpd import Httpd

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402 (found by the line above)

MODULES = [
    "sed", "substitute", "ext_filter", "xml2enc", "proxy_html", "lua", "unique_id", "security2", "data", "expires"
]
STORES = ["lmdb"]
MODULES += ["http2"] if env.MPM != "prefork" else []
CONFIG = """
ExtFilterDefine early mode=output cmd="/bin/sed s,/,/ext/,g"
ExtFilterDefine late mode=output ftype=20 cmd="/bin/sed s,/,/late/,g"
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
FilterDeclare by-handler
FilterProvider by-handler SUBSTITUTE "%{HTTP:X-Chain} != 'none'"
FilterDeclare misleading CONTENT_SET
FilterProvider misleading SUBSTITUTE "true"
<Location ~ "^/[a-z]+/(substitute|type|harness|misleading|if|json)">
    Substitute "s|/|/app/|"
</Location>
<Location ~ "^/[a-z]+/substitute">
    SetOutputFilter SUBSTITUTE
</Location>
<Location ~ "^/[a-z]+/type">
    AddOutputFilterByType SUBSTITUTE application/json
</Location>
<Location ~ "^/[a-z]+/harness">
    FilterChain by-handler
</Location>
<Location ~ "^/[a-z]+/misleading">
    FilterChain misleading
</Location>
<Location ~ "^/[a-z]+/if">
    <If "%{HTTP:X-Chain} == 'substitute'">
        SetOutputFilter SUBSTITUTE
    </If>
    <If "%{HTTP:X-Chain} == 'includes'">
        SetOutputFilter INCLUDES
        Options +Includes
    </If>
    <If "%{HTTP:X-Chain} == 'late'">
        SetOutputFilter late
    </If>
</Location>
<Location ~ "^/[a-z]+/sed">
    OutputSed "s,/,/sed/,g"
    SetOutputFilter Sed
</Location>
<Location ~ "^/[a-z]+/early">
    SetOutputFilter early
</Location>
<Location ~ "^/[a-z]+/late">
    SetOutputFilter late
</Location>
<Location ~ "^/[a-z]+/both">
    SetOutputFilter SUBSTITUTE;DEFLATE
    Substitute "s|/|/app/|"
</Location>
<Location ~ "^/[a-z]+/data">
    SetOutputFilter DATA
</Location>
<Location ~ "^/[a-z]+/includes">
    SetOutputFilter INCLUDES
    Options +Includes
    SetEnv SECRET_OF_SERVER revealed
</Location>
<Location ~ "^/[a-z]+/zipped-includes">
    SetOutputFilter INCLUDES;DEFLATE
    Options +Includes
</Location>
<Location ~ "^/[a-z]+/html">
    ProxyHTMLEnable On
    ProxyHTMLLinks a href
    ProxyHTMLURLMap / /app/
</Location>
LuaOutputFilter lua-again {root}/filter.lua again
<Location ~ "^/[a-z]+/lua">
    SetOutputFilter lua-again
</Location>
<Location ~ "^/[a-z]+/refused">
    SetOutputFilter SUBSTITUTE
    Substitute "s|e|ee|"
    IdempotencyRequireKey On
</Location>
<Location ~ "^/[a-z]+/expires">
    SetOutputFilter SUBSTITUTE
    Substitute "s|/|/app/|"
    ExpiresActive On
    ExpiresDefault "access plus 1 hour"
    Header add X-Added once
    Header append Cache-Control private
    Header unset Expires
</Location>
<Location ~ "^/[a-z]+/security">
    SecRuleEngine On
    SecRequestBodyAccess On
    SecResponseBodyAccess On
    SecResponseBodyMimeType text/html application/json
    SecContentInjection On
    SecAction "id:1,phase:3,pass,nolog,append:'/seen'"
    SetOutputFilter SUBSTITUTE
    Substitute "s|/|/app/|"
</Location>
ErrorDocument 404 "nothing at / here"
<Location /missing>
    SetOutputFilter INCLUDES;SUBSTITUTE
    Options +Includes
    Substitute "s|/|/app/|"
    ErrorDocument 404 /page
</Location>
Alias /page "{root}/tmp/page.html"
<Directory "{root}/tmp">
    Require all granted
    SetOutputFilter INCLUDES
    Options +Includes
    ForceType text/html
</Directory>
"""
CONFIG_OF_LOST = """
XSendFilePath {root}/tmp
<Location ~ "/(substitute|rewritten)">
    SetOutputFilter SUBSTITUTE
    Substitute "s|/|/app/|"
</Location>
<Location ~ "/(rewritten-)?file">
    XSendFile On
    Header add X-Added once
</Location>
"""
LUA = """
function again(r)
    coroutine.yield("<")
    while bucket do
        coroutine.yield(bucket)
    end
    coroutine.yield(">")
end
"""
INERT = '<!--#echo var="SECRET_OF_SERVER" -->'
SHOWS = '<!--#echo encoding="none" var="HTTP_X_TEXT" -->'


@pytest.fixture(scope="module")
def httpd(stage, store):
    server = Httpd(stage, CONFIG, store, MODULES)
    (server.root / "filter.lua").write_text(LUA)
    (server.root / "tmp" / "page.html").write_text(SHOWS)
    yield server.start()
    server.stop()


def path_of(place, body, *headers):
    return place + "?" + urllib.parse.urlencode([("status", 200), ("body", body)] + [("header", h) for h in headers])


LINK = path_of("", '<a href="/cart">')


@pytest.mark.mpm_independent
@pytest.mark.parametrize("place, answer", [
    ("/substitute", b'<a href="/app/cart">'),
    ("/type", b'<a href="/app/cart">'),
    ("/harness", b'<a href="/app/cart">'),
    ("/misleading", b'<a href="/app/cart">'),
    ("/sed", b'<a href="/sed/cart">'),
    ("/early", b'<a href="/ext/cart">'),
    ("/late", b'<a href="/late/cart">'),
    ("/lua", b'<<a href="/cart">>'),
    ("/expires", b'<a href="/app/cart">'),
    ("/security", b'<a href="/app/cart">/seen'),
])
def test_rewriter_sees_a_body_once(api, origin, place, answer):
    first, again = assert_replayed(api, origin, place + LINK)
    assert first.body.rstrip(b"\n") == answer
    assert again.headers.count(("Idempotent-Replayed", "true")) == 1


@pytest.mark.mpm_independent
def test_html_of_a_backend_is_mapped_once(api, origin):
    path = path_of("/html", '<html><body><a href="/cart">x</a></body></html>', "Content-Type: text/html")
    first, _ = assert_replayed(api.at("/proxy"), origin, path)
    assert b"/app/cart" in first.body and b"/app/app" not in first.body


@pytest.mark.mpm_independent
def test_body_that_becomes_a_data_uri_becomes_one_once(api, origin):
    first, _ = assert_replayed(api, origin, path_of("/data", "x/y", "Content-Type: text/plain"))
    assert first.body.startswith(b"data:text/plain")


def test_text_that_was_included_is_never_parsed(each_api, origin):
    """The response shows what its client sent, as text; a replay that parsed it would run it."""
    first, _ = assert_replayed(each_api,
                               origin,
                               path_of("/includes", SHOWS, "Content-Type: text/html"),
                               headers=[("X-Text", INERT)])
    assert first.body == INERT.encode()


@pytest.mark.skipif(env.MPM != "prefork", reason="mod_php is for prefork")
def test_output_of_mod_php_is_rewritten_once(api, origin):
    first, _ = assert_replayed(api.at("/php"), origin, "/substitute" + LINK)
    assert first.body == b'<a href="/app/cart">'


@pytest.mark.mpm_independent
@pytest.mark.parametrize("first_gzip", [True, False])
def test_compressed_for_the_client_that_asks_now(api, origin, first_gzip):
    bodies = []
    for asks in (first_gzip, not first_gzip, first_gzip):
        answer = api.post(path_of("/both", "a/b " * 200),
                          key="k1",
                          headers=[("Accept-Encoding", "gzip")] if asks else [])
        assert answer["Content-Encoding"] == ("gzip" if asks else None)
        bodies.append(gzip.decompress(answer.body) if asks else answer.body)
    assert bodies == [b"a/app/b " * 200] * 3
    assert origin.executions() == 1


@pytest.mark.mpm_independent
def test_included_and_compressed(api, origin):
    path, asks = path_of("/zipped-includes", SHOWS * 50, "Content-Type: text/html"), [("Accept-Encoding", "gzip"),
                                                                                      ("X-Text", INERT)]
    first, _ = assert_replayed(api, origin, path, headers=asks)
    assert gzip.decompress(first.body) == INERT.encode() * 50


@pytest.mark.mpm_independent
@pytest.mark.parametrize("then", ["substitute", "none", "includes", "late"])
@pytest.mark.parametrize("first", ["substitute", "none", "includes", "late"])
def test_chain_that_the_configuration_arranges_in_another_way(api, origin, first, then):
    """Whatever the chain of the retry is made of, the answer is the first one, with its entity-tag."""
    path = path_of("/if", "a/b" + INERT, "Content-Type: text/html", 'ETag: "e"',
                   "Last-Modified: Mon, 05 Oct 2015 07:28:00 GMT")
    once = api.post(path, key="k1", headers=[("X-Chain", first)])
    again = api.post(path, key="k1", headers=[("X-Chain", then)])
    assert again.replayed and again.recorded == once.recorded
    assert once.body.rstrip(b"\n") == {
        "substitute": b"a/app/b" + INERT.encode(), "none": b"a/b" + INERT.encode(), "includes": b"a/b(none)",
        "late": b"a/late/b" + INERT.encode()}[first]


@pytest.mark.mpm_independent
@pytest.mark.parametrize("then", ["none", ""])
def test_harness_that_decides_by_the_request(api, origin, then):
    once = api.post("/harness" + LINK, key="k1")
    again = api.post("/harness" + LINK, key="k1", headers=[("X-Chain", then)])
    assert again.recorded == once.recorded and once.body == b'<a href="/app/cart">'


@pytest.mark.mpm_independent
def test_error_of_the_application_is_rewritten_once(api, origin):
    first, _ = assert_replayed(api, origin, path_of("/substitute", "no/way").replace("status=200", "status=422"))
    assert first.body == b"no/app/way"


@pytest.mark.mpm_independent
def test_error_page_that_nothing_rewrote_is_not_rewritten(api, httpd, origin):
    """A script that is not there: httpd makes the page, without the content filters of the place; a replay has them."""
    first = api.at("").post("/nowhere/substitute", key="k1")
    again = api.at("").post("/nowhere/substitute", key="k1")
    assert first.status == 404 and again.replayed and again.recorded == first.recorded


@pytest.mark.mpm_independent
def test_own_answers_are_not_rewritten(api, origin):
    answer = api.post("/refused")
    assert answer.problem == (400, "key-missing") and answer.json["type"] == "urn:problem-type:idempotency:key-missing"
    assert "ee" not in answer.json["title"].replace("needed", "")
    api.post("/refused", key="k1", body=b"1")
    answer = api.post("/refused", key="k1", body=b"2")
    assert answer.problem == (422, "key-reused") and answer.json["type"] == "urn:problem-type:idempotency:key-reused"


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
def test_over_http2(httpd, host, origin):
    with Http2(httpd.address, host) as client:
        first, again = (client.result(client.start("/cgi/substitute" + LINK, "k1")) for _ in range(2))
    assert again.replayed and again.recorded == first.recorded and first.body == b'<a href="/app/cart">'


def assert_owner_that_lost_gets_the_record(server, redis, host, origin, path, body):
    """Its slot was forgotten while it ran, and the same request took it: what stood before its recorder has had its
    response.
    """
    api = Api(server.address, host)
    with origin.hold(path.partition("?")[0]) as held:
        running = api.post_async(path, key=held.lock_path.name)
        held.wait_until_entered()
        held.let_others_pass()
        redis.cli("FLUSHALL")
        winner = api.post(path, key=held.lock_path.name)
    loser = running.last_result()
    assert loser.replayed and loser.recorded == winner.recorded and winner.body == body
    assert origin.executions() == 2


@pytest.mark.mpm_independent
def test_owner_that_lost_its_slot(stage, new_httpd, host, origin, expect_log, tmp_path):
    expect_log(14)
    with Redis(tmp_path / "redis") as redis:
        server = new_httpd(CONFIG_OF_LOST, redis.url(), ["substitute", "xsendfile"]).start()
        file = server.root / "tmp" / "bill"
        file.write_text("a/bill")
        file.chmod(0o644)
        for path, body in ((path_of("/substitute", "a/b"), b"a/app/b"), (path_of("/file", "a/b",
                                                                                 f"X-Sendfile: {file}"), b"a/bill"),
                           (path_of("/rewritten-file", "a/b", f"X-Sendfile: {file}"), b"a/bill")):
            origin.clear()
            assert_owner_that_lost_gets_the_record(server, redis, host, origin, path, body)


@pytest.mark.mpm_independent
def test_error_document_that_is_parsed_is_parsed_once(api, origin, httpd):
    """The page is a request of its own, with the filters of its own place; the replay has those of the place that
    failed.
    """
    first = api.at("").post("/missing/script", key="k1", headers=[("X-Text", INERT)])
    again = api.at("").post("/missing/script", key="k1", headers=[("X-Text", INERT)])
    assert first.status == 404 and first.body == INERT.encode()
    assert again.replayed and again.recorded == first.recorded
