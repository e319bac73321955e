# SPDX-License-Identifier: Apache-2.0
"""
A key that stands in the body: in a field of a form, or in JSON. What cannot be read is refused, never taken for no key.
"""
import pytest

import env
from client_http2 import Http2
from forms import URLENCODED, chunked, field, file, form, js, multipart

STORES = ["lmdb"]
MODULES = ["unique_id", "security2"] + (["http2"] if env.MPM != "prefork" else [])
independent = pytest.mark.mpm_independent
CONFIG = """
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
IdempotencyPrefetch 4K
<LocationMatch "^/[a-z]+/(any|sec)">
    IdempotencyKey header:Idempotency-Key form:request_key json:/id
</LocationMatch>
<LocationMatch "^/[a-z]+/sec">
    SecRuleEngine On
    SecRequestBodyAccess On
</LocationMatch>
<LocationMatch "^/[a-z]+/json">
    IdempotencyKey json:/meta/request~1id json:/items/0/key
    IdempotencyRequireKey On
</LocationMatch>
<LocationMatch "^/[a-z]+/form">
    IdempotencyKey form:request_key
    IdempotencyRequireKey On
</LocationMatch>
<LocationMatch "^/[a-z]+/form/small">
    IdempotencySpool 8K
</LocationMatch>
<LocationMatch "^/[a-z]+/any/small">
    IdempotencySpool 8K
</LocationMatch>
<LocationMatch "^/[a-z]+/any/watched">
    IdempotencyEngine DetectionOnly
    IdempotencySpool 8K
</LocationMatch>
<Directory "{stage}/docs">
    AllowOverride FileInfo
</Directory>
<LocationMatch "^/[a-z]+/event">
    IdempotencyKey json:/id
    IdempotencyRequireKey On
    IdempotencyFingerprint method path body=json,-/pending_webhooks
</LocationMatch>
<LocationMatch "^/[a-z]+/aip">
    IdempotencyKey json:/requestId
    IdempotencyKeyFormat uuid
    IdempotencyFingerprint -body +body=json
</LocationMatch>
<Location /numbers>
    SetHandler idempotency-metrics
</Location>
"""
FILE = file("upload", "x" * 20000)
WITH_KEY = [form("a=1&request_key=k1&b=2"), multipart(field("a", "1"), field("request_key", "k1")),
            multipart(FILE, field("request_key", "k1")), js({"id": "k1", "amount": 10})]


def is_whole(api, answer, sent):
    """Did the application get the body? PHP takes a multipart body for itself and shows none of it."""
    hidden = api.base in ("/fpm", "/php") and b"multipart/" in repr(sent["headers"]).encode()
    return answer.status == 201 and (hidden or answer.json["length"] == len(sent["body"]))


@pytest.mark.parametrize("sent", WITH_KEY, ids=["urlencoded", "multipart", "with a file", "json"])
def test_same_body_runs_once(each_api, origin, sent):
    first = each_api.post("/any?echo=1", **sent)
    again = each_api.post("/any?echo=1", **sent)
    assert is_whole(each_api, first, sent)
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/any") == 1


@independent
@pytest.mark.parametrize("sent", WITH_KEY, ids=["urlencoded", "multipart", "with a file", "json"])
def test_chunked(api, origin, sent):
    first = chunked(api, "/any?echo=1", sent["body"], sent["headers"])
    again = chunked(api, "/any?echo=1", sent["body"], sent["headers"])
    assert first.status == 201 and first.json["length"] == len(sent["body"])
    assert again.replayed and origin.executions("/any") == 1


@independent
def test_key_is_the_same_wherever_it_stands(api, origin):
    first = api.post("/any", **form("request_key=k1"))
    for sent in (form("request%5Fkey=%6B1"), multipart(field("request_key", "k1")), js({"id": "k1"})):
        assert api.post("/any", **sent).problem == (422, "key-reused")  # the same slot, another body
    assert api.post("/any", key="k1", **form("request_key=other")).problem == (422, "key-reused")
    assert api.post("/any", **form("request_key=k1")).recorded == first.recorded
    assert origin.executions("/any") == 1


@independent
@pytest.mark.parametrize("sent", [
    form("a=1"), form(""), form("request_key="), form("request_key"), form("&&"), multipart(field("a", "1")),
    multipart(),
    multipart(field("request_key", "")), js({"other": 1}), js({"id": None}), js({"id": ""}), js([1, 2]), js("17"),
    js(""),
    js("id", "text/plain"), js("a,b\n", "text/csv"), js(b"\x89PNG{", "image/png"), js("{not json", "application/xml")])
def test_no_key_in_the_body(api, origin, sent):
    """The handler runs, unguarded, and reads the whole body; each time."""
    for _ in range(2):
        answer = api.post("/any?echo=1", **sent)
        assert answer.status == 201 and answer.json["length"] == len(sent["body"]) and not answer.replayed
    assert origin.executions("/any") == 2


@independent
def test_request_without_a_key_is_answered_as_without_the_module(api):
    query = "?header=Access-Control-Allow-Origin:%20*"
    assert api.post("/any" + query, **form("a=1"))["Access-Control-Expose-Headers"] is None
    assert "Idempotent-Replayed" in api.post("/any" + query, **form("request_key=k1"))["Access-Control-Expose-Headers"]


@independent
def test_request_without_a_body(api, origin):
    for _ in range(2):
        assert api.request("DELETE", "/any").status == 201
    assert origin.executions("/any") == 2


BROKEN_FORMS = {
    "escape": form("a=%zz&request_key=k1"), "cut escape": form("request_key=k1&a=%4"),
    "two fields": form("request_key=k1&request_key=k1"), "too long": form("request_key=" + "k" * 3000),
    "bytes": form("request_key=%C3%A9"), "nul": form("request_key=k%00"), "line": form("request_key=a%0Ab"),
    "no end": {"body": multipart(field("request_key", "k1"))["body"][:-8], "headers": multipart()["headers"]},
    "file": multipart(field("request_key", "k1", '; filename="k"')),
    "no boundary": {"body": b"x", "headers": [("Content-Type", "multipart/form-data")]},
    "twice": multipart(field("request_key", "k1"), field("request_key", "k2")),
    "epilogue": {"body": multipart(field("request_key", "k1"))["body"] + b"x", "headers": multipart()["headers"]},
    "preamble": {"body": b"x\r\n" + multipart(field("request_key", "k1"))["body"], "headers": multipart()["headers"]},
    "transfer encoding": multipart("Content-Transfer-Encoding: base64\r\n" + field("request_key", "azE=")),
    "lone line feed": multipart(field("request_key", "k1"), field("a", "1\n------WebKitFormBoundaryAbC\n")),
    "name*": multipart("Content-Disposition: form-data; name*=UTF-8''request_key\r\n\r\nk1"),
    "lone carriage return": multipart(field("request_key", "k1"), field("a", "1\r------WebKitFormBoundaryAbC\r\n")),
    "no name": multipart("Content-Disposition: form-data\r\n\r\nk1"),
    "backslash": multipart(field('request_\\"key', "k1")),
    "coded": {"body": b"\x1f\x8b", "headers": [URLENCODED, ("Content-Encoding", "gzip")]},
}


@independent
@pytest.mark.parametrize("sent", BROKEN_FORMS.values(), ids=BROKEN_FORMS.keys())
def test_form_that_cannot_be_read(api, origin, sent):
    answer = api.post("/form", **sent)
    assert answer.problem == (400, "key-invalid"), answer
    assert "k1" not in answer.json["detail"]
    assert origin.executions("/form") == 0


BROKEN_JSON = {
    "not json": "{", "two members": '{"id":"k1","id":"k2"}', "deep": "[" * 10000, "NaN": '{"id":"k1","a":NaN}',
    "infinite": '{"id":"k1","a":1e999}', "bad utf-8": b'{"id":"k1","a":"\xff"}',
    "surrogate": '{"id":"k1","a":"\\ud800"}',
    "more": '{"id":"k1"} x', "bom": b'\xef\xbb\xbf{"id":"k1"}', "object": {"id": {}}, "true": {"id": True},
    "inexact": '{"id":0.1000000000000000055}', "long": {"id": "k" * 300}, "bytes": {"id": "é"},
    "nul": '{"id":"a\\u0000"}',
    "utf-16": '{"id":"k1"}'.encode("utf-16"), "end": b'{"id":"k1"}\0{"id":"k2"}', "many": "[" + "{}," * 1200000 + "{}]",
}


@independent
@pytest.mark.parametrize("body", BROKEN_JSON.values(), ids=BROKEN_JSON.keys())
def test_json_that_cannot_be_read(api, origin, body):
    answer = api.post("/any", **js(body))
    assert answer.problem == (400, "key-invalid"), answer
    assert origin.executions("/any") == 0


@independent
@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "APPLICATION/JSON",
                                          "application/cloudevents+json",
                                          "text/json", "application/x-amz-json-1.1", "text/plain;charset=UTF-8", None,
                                          "application/x-www-form-urlencoded"])
def test_types_of_json(api, origin, content_type):
    """Also what clients say that do not say it: SNS sends text/plain, curl -d a form's type."""
    first = api.post("/any", **js({"id": "k1"}, content_type))
    assert api.post("/any", **js({"id": "k1"}, content_type)).recorded == first.recorded
    assert origin.executions("/any") == 1


@independent
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_broken_json_of_another_type(api, origin, content_type):
    assert api.post("/any", **js('{"id":"k1",', content_type)).problem == (400, "key-invalid")


@independent
@pytest.mark.parametrize("body, key", [
    ({"meta": {"request/id": "k1"}}, "k1"), ({"meta": {"request/id": 17}}, "17"), ({"meta": {"request/id": -5}}, "-5"),
    ({"meta": {"request/id": 1.50}}, "1.5"), ('{"meta":{"request/id":1e2}}', "100"),
    ('{"meta":{"request/id":9007199254740993}}', "9007199254740993"),
    ({"meta": 1, "items": [{"key": "k1"}]}, "k1"), ({"items": [{"key": "k\"1"}]}, 'k"1')])
def test_value_at_a_pointer(api, origin, body, key):
    first = api.post("/json", **js(body))
    assert first.status == 201
    again = api.post("/json", **js({"meta": {"request/id": key}, "other": 1}))
    assert again.problem == (422, "key-reused")
    assert origin.executions("/json") == 1


@independent
def test_neighbours_are_other_keys(api, origin):
    """RFC 8785 would make one number of these."""
    for number in ("9007199254740993", "9007199254740992", "9007199254740994"):
        assert api.post("/json", **js('{"meta":{"request/id":%s}}' % number)).status == 201
    assert origin.executions("/json") == 3


@independent
def test_required_key(api, origin):
    assert api.post("/json", **js({"a": 1})).problem == (400, "key-missing")
    assert api.post("/form", **form("a=1")).problem == (400, "key-missing")
    assert api.post("/form", **js({"request_key": "k1"})).problem == (400, "key-missing")
    assert origin.executions() == 0


@independent
def test_body_longer_than_the_spool(api, origin):
    long = form("request_key=k1&a=" + "x" * 9000)
    assert api.post("/form/small", **long).problem == (413, "body-too-large")
    assert chunked(api, "/form/small", **long).problem == (413, "body-too-large")
    fits = form("request_key=k1&a=" + "x" * (8192 - 17))
    assert api.post("/form/small", **fits).status == 201 and api.post("/form/small", **fits).replayed
    assert origin.executions("/form/small") == 1


@independent
def test_long_body_where_the_key_is_in_a_header(api, origin):
    long = form("request_key=k1&a=" + "x" * 9000)
    assert api.post("/any/small", key="k1", **long).status == 201 and api.post("/any/small", key="k1", **long).replayed


@independent
def test_long_body_that_can_hold_no_key(api, origin):
    assert api.post("/any/small", body=b"x" * 9000, headers=[("Content-Type", "video/mp4")]).status == 201


@independent
def test_what_needs_no_body_is_said_before_100_continue(api, origin):
    for path, headers, problem in (("/form/small", [URLENCODED], (413, "body-too-large")),
                                   ("/form", [("Content-Type", "text/csv")], (400, "key-missing"))):
        with api.connect() as conn:
            conn.send(api.head("POST", path, [("Expect", "100-continue"), ("Content-Length", "9000"), *headers]))
            assert conn.result().problem == problem  # the client would have waited for a 100 in vain
    assert origin.executions() == 0


@independent
def test_100_continue_is_sent_for_a_body_that_may_have_a_key(api, origin):
    body = b"request_key=k1"
    with api.connect() as conn:
        conn.send(api.head("POST", "/form", [("Expect", "100-continue"), ("Content-Length", str(len(body))),
                                             URLENCODED]))
        assert conn.sock.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.send(body)
        assert conn.result().status == 201
    assert api.post("/form", **form(body)).replayed


@independent
def test_upload_that_breaks_off(api, origin):
    with api.connect() as conn:
        conn.send(api.head("POST", "/form", [("Content-Length", "100"), URLENCODED]) + b"request_key=k1")
        conn.reset()
    assert api.post("/form", **form("request_key=k1")).status == 201
    assert origin.executions("/form") == 1


@pytest.mark.parametrize("sent", WITH_KEY, ids=["urlencoded", "multipart", "with a file", "json"])
def test_mod_security_has_read_it_before(each_api, origin, sent):
    first = each_api.post("/sec?echo=1", **sent)
    assert is_whole(each_api, first, sent)
    assert each_api.post("/sec?echo=1", **sent).replayed
    no_key = form("a=1")
    assert [each_api.post("/sec?echo=1", **no_key).json["length"] for _ in range(2)] == [3, 3]
    assert origin.executions("/sec") == 3


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
@independent
@pytest.mark.parametrize("declared", [True, False])
def test_over_http2(api, origin, declared):
    body = b"a=1&request_key=k1&b=" + b"x" * 20000
    headers = [("content-type", URLENCODED[1])]
    with Http2(api.address, api.host) as h2:
        first = h2.result(h2.start(f"{api.base}/form", None, body, declared=declared, headers=headers))
        again = h2.result(h2.start(f"{api.base}/form", None, body, declared=declared, headers=headers))
    assert first.status == 201 and again.replayed and again.body == first.body
    assert origin.executions("/form") == 1


@independent
def test_while_the_first_runs(api, origin):
    with origin.hold("/form") as held:
        first = api.post_async("/form", **form("request_key=k1"))
        held.wait_until_entered()
        assert api.post("/form", **form("request_key=k1")).problem == (409, "in-progress")
    assert first.last_result().status == 201


@independent
def test_detection(api, origin, httpd):
    key, none, broken = form("request_key=k1"), form("a=1"), form("request_key=%")
    long = form("request_key=k1&a=" + "x" * 30000)
    for sent in (key, key, none, broken, long):
        answer = api.post("/any/watched?echo=1", **sent)
        assert answer.status == 201 and answer.json["length"] == len(sent["body"])
    assert [row[2] for row in httpd.outcomes(api, 5)] == [
        "detected:executed", "detected:replayed", "-", "detected:key-invalid", "detected:body-too-large"]
    assert origin.executions("/any/watched") == 5


@independent
def test_outcomes(api, httpd):
    api.post("/form", **form("request_key=k1"))
    api.post("/form", **form("request_key=k1"))
    api.post("/form/small", **form("request_key=" + "x" * 9000))
    api.post("/any", **form("a=1"))
    assert [row[2] for row in httpd.outcomes(api, 4)] == ["executed", "replayed", "body-too-large", "-"]


@independent
def test_htaccess(api, origin, stage):
    folder = stage.root / "docs/keys"
    folder.mkdir(exist_ok=True)
    (folder / ".htaccess").write_text("IdempotencyKey form:request_key\nRewriteEngine On\n"
                                      "RewriteRule ^front$ /cgi/behind?echo=1 [L]\n")
    files = api.at("/keys")
    first = files.post("/front", **form("request_key=k1"))
    assert first.status == 201 and first.json["length"] == 14
    assert files.post("/front", **form("request_key=k1")).replayed
    assert [files.post("/front", **form("a=1")).json["length"] for _ in range(2)] == [3, 3]


STRIPE = {"id": "evt_1MqqbKLt4dXK03v5qaIbiNCC", "object": "event", "api_version": "2024-06-20", "created": 1680064028,
          "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 2000, "metadata": {"s": "ü"}}},
          "livemode": False, "pending_webhooks": 2, "request": {"id": None, "idempotency_key": None},
          "type": "payment_intent.succeeded"}


@independent
def test_event_of_stripe(api, origin):
    """Delivered again, it differs in how many endpoints have still to take it."""
    first = api.post("/event", **js(STRIPE, "application/json; charset=utf-8"))
    assert first.status == 201
    again = api.post("/event", **js({**STRIPE, "pending_webhooks": 1}, "application/json; charset=utf-8"))
    assert again.replayed and again.recorded == first.recorded
    forged = {**STRIPE, "data": {"object": {"id": "pi_1", "amount": 1}}}
    assert api.post("/event", **js(forged, "application/json; charset=utf-8")).problem == (422, "key-reused")
    assert api.post("/event", **js({**STRIPE, "id": "evt_2"})).status == 201
    assert origin.executions("/event") == 2


@independent
def test_request_id_of_google_apis(api, origin):
    """AIP-155: requestId, a UUID."""
    book = {"requestId": "8e03978e-40d5-43dd-bc93-6894a57f9324", "book": {"title": "x"}}
    first = api.post("/aip", **js(book))
    assert api.post("/aip", **js(dict(reversed(book.items())))).recorded == first.recorded
    assert api.post("/aip", **js({**book, "requestId": "no uuid"})).problem == (400, "key-invalid")
    assert api.post("/aip", **js({**book, "book": {"title": "y"}})).problem == (422, "key-reused")
    assert origin.executions("/aip") == 1


@independent
def test_too_large_bodies_are_counted(api, httpd):
    def counted():
        page = api.at("").get("/numbers").body.decode()
        return float(page.split('idempotency_requests_total{outcome="body-too-large"} ')[1].split("\n")[0])
    before = counted()
    assert api.post("/form/small", **form("request_key=" + "x" * 9000)).status == 413
    env.until(lambda: counted() == before + 1, "it is counted")
