# SPDX-License-Identifier: Apache-2.0
"""
The input filter IDEMPOTENCY_FORM takes the hidden field out of the body that the application reads, and corrects its
length. The guard compares the body that the client sent.
"""
import gzip
import hashlib
import itertools
import json
import shutil

import pytest

import env
from checks import assert_replayed
from client_http2 import Http2

STORES = ["lmdb"]
MODULES = ["unique_id", "security2"] + (["http2"] if env.MPM != "prefork" else [])
CONFIG = """
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
IdempotencyPrefetch 4K
SecTmpDir "{root}/tmp"
SecDataDir "{root}/tmp"
SecRequestBodyLimit 1000000
SecRequestBodyNoFilesLimit 1000000
<LocationMatch "^/(cgi|fpm|php|proxy)/(?!left)">
    SetInputFilter IDEMPOTENCY_FORM
</LocationMatch>
<LocationMatch "^/[a-z]+/off">
    IdempotencyEngine Off
</LocationMatch>
<LocationMatch "^/[a-z]+/watched">
    IdempotencyEngine DetectionOnly
</LocationMatch>
<LocationMatch "^/[a-z]+/named">
    IdempotencyFormField my.key
</LocationMatch>
<LocationMatch "^/[a-z]+/small">
    IdempotencySpool 8K
</LocationMatch>
<LocationMatch "^/[a-z]+/zipped">
    SetInputFilter DEFLATE;IDEMPOTENCY_FORM
</LocationMatch>
<LocationMatch "^/[a-z]+/sec">
    SecRuleEngine On
    SecRequestBodyAccess On
</LocationMatch>
<LocationMatch "^/[a-z]+/kept">
    KeptBodySize 1000000
</LocationMatch>
<Directory "{stage}/docs/strip">
    AllowOverride All
    Options +ExecCGI
</Directory>
"""
KEY = b"idempotency_key=5f0c2d1e-8a43-4f7b-9d9e-1c2b3a4d5e6f"
URLENCODED = [("Content-Type", "application/x-www-form-urlencoded")]
MULTIPART = [("Content-Type", 'multipart/form-data; boundary="--x"')]
NUMBERS = itertools.count()


def part(name, value, more=b""):
    return b'----x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, more, value)


KEY_PART = part(b"idempotency_key", KEY[-36:])
END = b"----x--\r\n"


def assert_seen(answer, body):
    """The application has read this body, and was told this length."""
    seen = answer.json
    if seen["kind"] in ("fpm", "php") and body.startswith(b"----x"):
        assert seen["length"] == 0  # PHP has read the parts itself
        assert seen["sent"]["CONTENT_LENGTH"] == str(len(body))
        return
    assert (seen["length"], seen["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    told = seen["sent"].get("CONTENT_LENGTH") or seen["sent"].get("HTTP_CONTENT_LENGTH")
    assert told in (str(len(body)), None if "HTTP_TRANSFER_ENCODING" in seen["sent"] else str(len(body)))


BODIES = {
    "first": (URLENCODED, KEY + b"&a=1&b=%20+", b"a=1&b=%20+"),
    "within": (URLENCODED, b"a=1&" + KEY + b"&b=%20+", b"a=1&b=%20+"),
    "last": (URLENCODED, b"a=1&" + KEY, b"a=1"),
    "alone": (URLENCODED, KEY, b""),
    "with charset": ([("Content-Type", "application/X-WWW-form-urlencoded;charset=utf-8")], KEY + b"&a=1", b"a=1"),
    "multipart": (MULTIPART, KEY_PART + part(b"a", b"1") + END, part(b"a", b"1") + END),
    "multipart alone": (MULTIPART, KEY_PART + END, END),
    "a file": (MULTIPART, KEY_PART + part(b"f", b"\0\r\n--x" * 9, b'; filename="x"') + END,
               part(b"f", b"\0\r\n--x" * 9, b'; filename="x"') + END),
    "long": (URLENCODED, KEY + b"&a=" + b"x" * 300_000, b"a=" + b"x" * 300_000),
    "long multipart": (MULTIPART, KEY_PART + part(b"f", b"y" * 300_000, b'; filename="x"') + END,
                       part(b"f", b"y" * 300_000, b'; filename="x"') + END),
}
LEFT = {
    "no field": (URLENCODED, b"a=1&b=2"),
    "another name": (URLENCODED, b"x" + KEY),
    "json": ([("Content-Type", "application/json")], b'{"idempotency_key":"1"}'),
    "text/plain": ([("Content-Type", "text/plain")], KEY + b"\r\na=1\r\n"),
    "no type": ([], KEY),
    "no boundary": ([("Content-Type", "multipart/form-data")], KEY_PART + END),
    "a file of that name": (MULTIPART, part(b"idempotency_key", b"1", b'; filename="x"') + END),
    "far away": (URLENCODED, b"a=" + b"x" * 70_000 + b"&" + KEY),
    "empty": (URLENCODED, b""),
}


@pytest.mark.parametrize("name", BODIES)
def test_taken_out(each_api, origin, name):
    headers, body, left = BODIES[name]
    first, _ = assert_replayed(each_api, origin, "/order?echo=1", body=body, headers=headers)
    assert_seen(first, left)


@pytest.mark.parametrize("name", LEFT)
def test_left_as_it_is(api, origin, name):
    headers, body = LEFT[name]
    first, _ = assert_replayed(api, origin, "/order?echo=1", body=body, headers=headers)
    assert_seen(first, body)


def test_the_guard_compares_what_was_sent(api, origin):
    """Another key in the field is another request, though the application would see the same."""
    assert api.post("/order", key="k1", body=KEY + b"&a=1", headers=URLENCODED).status == 201
    assert api.post("/order", key="k1", body=KEY + b"x&a=1", headers=URLENCODED).problem == (422, "key-reused")
    assert api.post("/order", key="k1", body=b"a=1", headers=URLENCODED).problem == (422, "key-reused")
    assert origin.executions() == 1


@pytest.mark.parametrize("place", ["/off", "/watched"])
def test_where_nothing_is_guarded(each_api, place):
    assert_seen(each_api.post(place + "?echo=1", key="k1", body=KEY + b"&a=1", headers=URLENCODED), b"a=1")
    assert_seen(each_api.post(place + "?echo=1", body=KEY + b"&a=1", headers=URLENCODED), b"a=1")


def test_by_choice(api):
    body = KEY + b"&a=1"
    assert_seen(api.post("/left?echo=1", key="k1", body=body, headers=URLENCODED), body)
    assert_seen(api.post("/named?echo=1", key="k2", body=b"my.key=1&" + body, headers=URLENCODED), body)


@pytest.mark.parametrize("name", ["long", "long multipart"])
def test_longer_than_the_spool(each_api, origin, name):
    """Nothing but the beginning is read ahead; the fingerprint is of all that the handler reads, as it was sent."""
    headers, body, left = BODIES[name]
    first, _ = assert_replayed(each_api, origin, "/small?echo=1", body=body, headers=headers)
    assert_seen(first, left)
    assert each_api.post("/small?echo=1", key="k1", body=body[:-9] + b"z" * 9, headers=headers).problem[0] == 422


def chunked(api, path, body, headers):
    conn = api.connect()
    conn.send(api.head("POST", path, [*headers, ("Idempotency-Key", "k1"), ("Transfer-Encoding", "chunked")]))
    for at in range(0, len(body), 7):
        conn.send(b"%x\r\n%s\r\n" % (len(body[at:at + 7]), body[at:at + 7]))
    conn.send(b"0\r\n\r\n")
    return conn.last_result()


@pytest.mark.parametrize("name", ["first", "last", "alone", "multipart"])
def test_chunks(each_api, origin, name):
    headers, body, left = BODIES[name]
    answers = [chunked(each_api, "/order?echo=1", body, headers) for _ in range(2)]
    seen = answers[0].json
    if "multipart" not in name or seen["kind"] not in ("fpm", "php"):  # PHP has read the parts itself
        assert (seen["length"], seen["sha256"]) == (len(left), hashlib.sha256(left).hexdigest())
    assert answers[1].replayed and origin.executions() == 1


def test_compressed(api, origin):
    first, _ = assert_replayed(api, origin, "/zipped?echo=1", body=gzip.compress(KEY + b"&a=1", mtime=0),
                               headers=[*URLENCODED, ("Content-Encoding", "gzip")])
    assert first.json["sha256"] == hashlib.sha256(b"a=1").hexdigest()


@pytest.mark.parametrize("place", ["/sec", "/kept"])
@pytest.mark.parametrize("name", ["first", "multipart", "long"])
def test_body_that_another_module_keeps(each_api, origin, place, name):
    """mod_security reads it ahead of the handlers, mod_request keeps it for a later one."""
    headers, body, left = BODIES[name]
    first, _ = assert_replayed(each_api, origin, place + "?echo=1", body=body, headers=headers)
    assert_seen(first, left)


@pytest.mark.parametrize("htaccess", [
    "RewriteEngine On\nRewriteRule ^front$ {here}/order.cgi/x?echo=1 [L]",
    "Action to-order {here}/order.cgi/x virtual\n<Files front>\nSetHandler to-order\n</Files>"])
@pytest.mark.parametrize("named", [
    "SetInputFilter IDEMPOTENCY_FORM", "SetInputFilter IDEMPOTENCY_FORM;IDEMPOTENCY_FORM",
    "<Files front>\nSetInputFilter IDEMPOTENCY_FORM\n</Files>"])
def test_behind_a_front_controller(api, origin, stage, htaccess, named):
    """The chain's next handler goes on with the same body; the length is told once."""
    folder = stage.root / f"docs/strip/t{next(NUMBERS)}"
    folder.mkdir(parents=True)
    for source in ("answer.py", "origin.cgi"):
        shutil.copy(stage.root / "origins" / source, folder / source.replace("origin", "order"))
    here = f"/strip/{folder.name}"
    (folder / ".htaccess").write_text("<Files order.cgi>\nSetHandler cgi-script\n</Files>\n" + named + "\n"
                                      + htaccess.replace("{here}", here))
    for key, guarded in (("k1", True), (None, False)):
        answers = [api.at(here).post("/front?echo=1", key=key, body=KEY + b"&a=1", headers=URLENCODED)
                   for _ in range(2)]
        assert answers[1].replayed == guarded
        assert_seen(answers[0], b"a=1")


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
def test_over_http2(httpd, host, origin):
    with Http2(httpd.address, host) as client:
        answers = [client.result(client.start("/cgi/order?echo=1", "k1", KEY + b"&a=1", headers=URLENCODED))
                   for _ in range(2)]
    assert answers[1].replayed
    assert json.loads(answers[0].body)["sha256"] == hashlib.sha256(b"a=1").hexdigest()


def test_body_that_breaks_off(api, origin):
    """Before the claim for a guarded one; an unguarded one is refused as its handler would see it end."""
    for place, key in (("/order", "k1"), ("/off", None)):
        headers = [*URLENCODED, ("Content-Length", "99")] + ([("Idempotency-Key", key)] if key else [])
        with api.connect() as conn:
            conn.send(api.head("POST", place, headers) + KEY)
            conn.sock.shutdown(1)
            assert conn.sock.recv(100)[:12] in (b"HTTP/1.1 400", b"")
    assert origin.executions() == 0
