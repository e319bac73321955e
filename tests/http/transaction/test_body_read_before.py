# SPDX-License-Identifier: Apache-2.0
"""Other modules read the body ahead of the handlers. A body that any of them kept is compared, and the handler gets
each byte once. A body that nobody kept is never taken for an empty one.
"""
import gzip
import hashlib

import pytest

import env
from checks import parts_named
from client_http2 import Http2
from origins.answer import binary

STORES = ["lmdb"]
MODULES = ["unique_id", "security2", "lua", "session", "session_cookie", "auth_form"
           ] + (["http2"] if env.MPM != "prefork" else [])
FORM = """
    AuthType Form
    AuthName orders
    AuthFormProvider file
    AuthUserFile "{stage}/passwords"
    Session On
    SessionCookieName session path=/
    Require valid-user
"""
CONFIG = f"""
IdempotencyPrefetch 4K
IdempotencySpool 64K
<IfModule http2_module>
    Protocols h2c http/1.1

</IfModule>
SecTmpDir "{{root}}/tmp"
SecDataDir "{{root}}/tmp"
SecRequestBodyLimit 1000000
SecRequestBodyNoFilesLimit 1000000
SecRequestBodyInMemoryLimit 8192
SecRequestBodyLimitAction ProcessPartial
SecRule REQUEST_HEADERS:X-Unread "@streq 1" "id:1,phase:1,nolog,pass,ctl:requestBodyAccess=Off"
<LocationMatch "^/[a-z]+/(sec|decoded)">
    SecRuleEngine On
    SecRequestBodyAccess On
</LocationMatch>
<LocationMatch "^/[a-z]+/seen">
    SecRuleEngine DetectionOnly
    SecRequestBodyAccess On
</LocationMatch>
<LocationMatch "^/[a-z]+/part">
    SecRuleEngine DetectionOnly
    SecRequestBodyAccess On
    SecRequestBodyLimit 20000
</LocationMatch>
<LocationMatch "^/[a-z]+/decoded">
    SetInputFilter DEFLATE
</LocationMatch>
<LocationMatch "^/[a-z]+/sec/small">
    IdempotencySpool 8K
</LocationMatch>
<LocationMatch "^/[a-z]+/(login|both)">
    {FORM}
</LocationMatch>
<LocationMatch "^/[a-z]+/both">
    SecRuleEngine On
    SecRequestBodyAccess On
    KeptBodySize 65536
</LocationMatch>
<LocationMatch "^/[a-z]+/kept">
    KeptBodySize 1000000
    SecRuleEngine On
    SecRequestBodyAccess On
</LocationMatch>
<LocationMatch "^/[a-z]+/(sec/)?raw">
    LuaHookFixups "{{stage}}/origins/reads.lua" raw
</LocationMatch>
<LocationMatch "^/[a-z]+/(sec/)?form">
    LuaHookAccessChecker "{{stage}}/origins/reads.lua" form
    KeptBodySize 65536
</LocationMatch>
<LocationMatch "^/[a-z]+/raw/anything">
    IdempotencyFingerprint -body
</LocationMatch>
<LocationMatch "^/[a-z]+/(raw|sec)/watched">
    IdempotencyEngine DetectionOnly
</LocationMatch>
<Directory "{{stage}}/docs/sec">
    SecRuleEngine On
    SecRequestBodyAccess On
    RewriteEngine On
    RewriteRule ^front$ /cgi/sec/behind?echo=1 [L]
</Directory>
"""
URLENCODED = ("Content-Type", "application/x-www-form-urlencoded")
UNREAD = ("X-Unread", "1")
independent = pytest.mark.mpm_independent
SIZES = [1, 30000, 65537, 300000]


def chunked(api, path, body, headers=()):
    pieces = [body[at:at + 7000] for at in range(0, len(body), 7000)]
    with api.connect() as conn:
        conn.send(api.head("POST", path, [("Idempotency-Key", "k1"), ("Transfer-Encoding", "chunked"), *headers]) +
                  b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
        return conn.result()


def plain(api, path, body, headers=()):
    return api.post(path, key="k1", body=body, headers=headers)


def assert_body_counts(api, origin, path, body, send=plain, other=None, headers=(), retry_headers=None):
    """The handler gets the body as it was sent; a retry of it is replayed; another one is another request."""
    first = send(api, path + "?echo=1", body, headers)
    assert first.status == 201, first
    assert (first.json["length"], first.json["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    other = other if other is not None else body[:-1] + (b"?" if body[-1:] != b"?" else b"!")
    refused = send(api, path + "?echo=1", other, headers)
    assert refused.problem == (422, "key-reused") and parts_named(refused) == ["body"]
    again = send(api, path + "?echo=1", body, headers if retry_headers is None else retry_headers)
    assert again.replayed and again.body == first.body
    assert origin.executions(path) == 1


@pytest.mark.parametrize("path", ["/sec", "/seen", "/part", "/kept"])
def test_second_order_is_noticed(each_api, origin, path):
    assert_body_counts(each_api, origin, path, b"amount=10", other=b"amount=99", headers=[URLENCODED])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("send", [plain, chunked])
@pytest.mark.parametrize("path", ["/sec", "/part"])
def test_body_of_any_length(each_api, origin, path, send, size):
    """In mod_security's memory, in its file, beyond what it reads; within the spool and beyond."""
    assert_body_counts(each_api, origin, path, binary("b", size), send)


@independent
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("read_first", [True, False])
def test_who_read_it_makes_no_difference(api, origin, size, read_first):
    first, retry = ([], [UNREAD]) if read_first else ([UNREAD], [])
    assert_body_counts(api, origin, "/sec", binary("b", size), headers=first, retry_headers=retry)


@independent
@pytest.mark.parametrize("send", [plain, chunked])
def test_empty_body_stays_an_empty_body(api, origin, send):
    first = send(api, "/sec?echo=1", b"")
    assert first.status == 201 and first.json["length"] == 0
    assert send(api, "/sec?echo=1", b"").replayed
    assert send(api, "/sec?echo=1", b"x").problem == (422, "key-reused")
    assert origin.executions("/sec") == 1


@independent
@pytest.mark.parametrize("retry", [[], [UNREAD]])
@pytest.mark.parametrize("filler", [b"", binary("f", 200000)], ids=["short", "beyond the spool"])
def test_coded_body_is_compared_as_sent(api, origin, retry, filler):
    """mod_security has the coded bytes, and mod_deflate stands beside it."""
    packed = gzip.compress(b"amount=10" + filler, mtime=0)
    coded = [("Content-Encoding", "gzip")]
    first = plain(api, "/decoded?echo=1", packed, coded)
    assert first.status == 201
    other = gzip.compress(b"amount=99" + filler, mtime=0)
    assert plain(api, "/decoded?echo=1", other, coded + retry).problem == (422, "key-reused")
    again = plain(api, "/decoded?echo=1", packed, coded + retry)
    assert again.replayed and again.body == first.body
    assert origin.executions("/decoded") == 1


@independent
@pytest.mark.parametrize("size", [9, 30000, 300000])
@pytest.mark.parametrize("send", [plain, chunked])
def test_rewritten_request_gets_the_body_once(api, origin, stage, send, size):
    """The second request of the chain has filters of its own."""
    (stage.root / "docs/sec").mkdir(exist_ok=True)
    body = binary("b", size)
    files = api.at("/sec")
    first = send(files, "/front", body)
    assert first.status == 201, first
    assert (first.json["length"], first.json["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    assert send(files, "/front", body[:-1] + b"?").problem == (422, "key-reused")
    assert send(files, "/front", body).body == first.body
    assert origin.executions("/sec/behind") + origin.executions("/behind") == 1


def login(inner=None, **more):
    fields = {"httpd_username": "alice", "httpd_password": "secret", **more}
    if inner:
        fields |= {"httpd_mimetype": "text/plain", "httpd_body": inner}
    return "&".join(f"{name}={value}" for name, value in fields.items()).encode()


@independent
@pytest.mark.parametrize("path", ["/login", "/both"])
def test_body_inside_a_login_form(api, origin, path):
    """mod_auth_form reads the form and gives the handlers the body that stands in one of its fields; mod_security reads
    that again.
    """
    first = plain(api, path + "?echo=1", login("amount-10"), [URLENCODED])
    assert first.status == 201, first
    assert first.json["sha256"] == hashlib.sha256(b"amount-10").hexdigest()
    refused = plain(api, path + "?echo=1", login("amount-99"), [URLENCODED])
    assert refused.problem == (422, "key-reused") and "body" in parts_named(refused)
    assert plain(api, path + "?echo=1", login("amount-10"), [URLENCODED]).replayed
    assert origin.executions(path) == 1


@independent
def test_login_form_whose_fields_nobody_keeps(api, origin, expect_log):
    expect_log(110)
    for amount in ("10", "99"):
        assert plain(api, "/login", login(amount=amount), [URLENCODED]).problem == (500, None)
    assert origin.executions() == 0


@independent
@pytest.mark.parametrize("path, send", [("/raw", plain), ("/form", plain), ("/form", chunked)])
@pytest.mark.parametrize("size", [9, 300000])
def test_body_that_a_hook_has_thrown_away(api, origin, expect_log, path, send, size):
    """All of it; or of a form that is too long its beginning, so that the rest is still to be had."""
    expect_log(110)
    for body in (b"amount=10" + b"0" * (size - 9), b"amount=99" + b"0" * (size - 9)):
        assert send(api, path, body, [URLENCODED]).problem == (500, None)
    assert origin.executions() == 0


@independent
def test_hook_that_comes_too_late_to_throw_away(api, origin):
    """mod_security has read before it."""
    assert_body_counts(api, origin, "/sec/raw", b"amount=10")


@independent
def test_body_that_is_thrown_away_before_it_can_be_kept(api, origin, expect_log):
    """mod_security reads behind the hook, and has a filter that gives what it found: nothing."""
    expect_log(110)
    assert plain(api, "/sec/form", b"amount=10", [URLENCODED]).problem == (500, None)
    assert origin.executions() == 0


@independent
def test_chunked_body_that_a_hook_asked_for_in_vain(api, origin):
    """r:requestbody() takes no chunks, and leaves them to the handler."""
    assert_body_counts(api, origin, "/raw", b"amount=10", chunked)


@independent
def test_hook_that_found_nothing_to_throw_away(api, origin):
    assert plain(api, "/raw", b"").status == 201
    assert plain(api, "/raw", b"").replayed


@independent
def test_thrown_away_body_that_is_not_compared(api, origin):
    assert plain(api, "/raw/anything", b"amount=10").status == 201
    assert plain(api, "/raw/anything", b"amount=99").replayed
    assert origin.executions() == 1


@independent
def test_body_is_watched(api, origin, httpd):
    for amount in (b"amount=10", b"amount=10", b"amount=99"):
        assert plain(api, "/sec/watched", amount).status == 201
    assert [row[2]
            for row in httpd.outcomes(api, 3)] == ["detected:executed", "detected:replayed", "detected:key-reused"]


@independent
def test_thrown_away_body_is_only_watched(api, origin, httpd):
    """DetectionOnly refuses nothing; and it does not say that such a request would have been a replay."""
    for _ in range(2):
        assert plain(api, "/raw/watched", b"amount=10").status == 201
    assert "detected:replayed" not in [row[2] for row in httpd.outcomes(api, 2)]
    assert origin.executions() == 2


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
@pytest.mark.parametrize("size", [9, 5000, 60000])
@pytest.mark.parametrize("path", ["/sec", "/part", "/sec/small"])
@pytest.mark.parametrize("declared", [True, False])
def test_over_http2(each_api, origin, path, size, declared):
    body = binary("b", size)
    with Http2(each_api.address, each_api.host) as h2:
        url = f"{each_api.base}{path}?echo=1"
        first = h2.result(h2.start(url, "k1", body, declared=declared))
        assert first.status == 201, first
        refused = h2.result(h2.start(url, "k1", body[:-1] + b"?", declared=declared))
        again = h2.result(h2.start(url, "k1", body, declared=declared))
    assert hashlib.sha256(body).hexdigest().encode() in first.body
    assert refused.problem == (422, "key-reused")
    assert again.replayed and again.body == first.body
    assert origin.executions(path) == 1
