# SPDX-License-Identifier: Apache-2.0
"""
What is compared of a body: its values instead of its bytes (body=json, body=form), or some of them (json:,
    form:). What cannot
be read is compared as bytes; nothing is ever taken for equal that a reader could tell apart.
"""
import gzip
import json

import pytest

from checks import parts_named
from forms import chunked, field, file, form, js, multipart

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/proxy"
MODULES = ["unique_id", "security2"]
CONFIG = """
IdempotencyPrefetch 4K
<LocationMatch "^/[a-z]+/canon">
    IdempotencyFingerprint -body +body=json +body=form
</LocationMatch>
<LocationMatch "^/[a-z]+/bare">
    IdempotencyFingerprint body=json body=form
</LocationMatch>
<LocationMatch "^/[a-z]+/(canon|bare|values)/small">
    IdempotencySpool 8K
</LocationMatch>
<LocationMatch "^/[a-z]+/without">
    IdempotencyFingerprint -body "+body=json,-/timestamp,-/meta/request_id,-/items/0" +body=form,-_wpnonce,-csrf,token
</LocationMatch>
<LocationMatch "^/[a-z]+/without/other">
    IdempotencyFingerprint "-body=json,-/timestamp,-/meta/request_id,-/items/0" +body=json,-/timestamp
</LocationMatch>
<LocationMatch "^/[a-z]+/values">
    IdempotencyFingerprint method json:/amount json:/list form:amount form:upload
</LocationMatch>
<LocationMatch "^/[a-z]+/scoped">
    IdempotencyScope host json:/tenant form:tenant
</LocationMatch>
<LocationMatch "^/[a-z]+/scoped/small">
    IdempotencySpool 8K
</LocationMatch>
<LocationMatch "^/[a-z]+/sec">
    SecRuleEngine On
    SecRequestBodyAccess On
    IdempotencyFingerprint -body +body=json +body=form
</LocationMatch>
<LocationMatch "^/[a-z]+/watched">
    IdempotencyEngine DetectionOnly
    IdempotencyFingerprint -body +body=json
    IdempotencySpool 8K
</LocationMatch>
"""
DEEP = "[" * 10000 + "]" * 10000


def assert_same(api, origin, first, second, path="/canon"):
    answer = api.post(path, key="k1", **first)
    assert answer.status == 201, answer
    again = api.post(path, key="k1", **second)
    assert again.replayed and again.recorded == answer.recorded, again
    assert origin.executions(path) == 1


def assert_other(api, origin, first, second, path="/canon", part="body=json"):
    assert api.post(path, key="k1", **first).status == 201
    refused = api.post(path, key="k1", **second)
    assert refused.problem == (422, "key-reused"), refused
    assert part in parts_named(refused)
    assert api.post(path, key="k1", **first).replayed
    assert origin.executions(path) == 1


ONE = '{"a":1,"b":[true,null,{"c":"\\u20ac\\n"}],"d":10.50}'
EQUAL_JSON = [(ONE, ' {\n "d" : 1.05e1, "b" : [ true , null, {"c": "€\\u000a"} ], "a" : 1.0 }\r\n'), ("1", " 1.0e0 "),
              ("[]", "[ ]"),
              ('{"€":1,"\\r":2,"\\u0080":3}', '{"\\u0080":3,"\\u20ac":1,"\\u000D":2}'), ("-0.0", "0"), ('"a\\/b"',
                  '"a/b"'),
              ('{"a":9007199254740992}', '{"a":9.007199254740992e15}'), (json.dumps(json.loads(ONE)), ONE)]


@pytest.mark.parametrize("first, second", EQUAL_JSON, ids=range(len(EQUAL_JSON)))
def test_same_json(api, origin, first, second):
    assert_same(api, origin, js(first), js(second))


OTHER_JSON = [('{"a":1}', '{"a":2}'), ('{"a":1}', '{"a":"1"}'), ("[1,2]", "[2,1]"), ('{"a":null}', "{}"), ("[]",
    "{}"), ('""', "null"),
              ('{"a":9007199254740993}', '{"a":9007199254740992}'), ('{"a":1}', '{"a":1,"a":1}'), ('{"a":1,"a":2}',
                  '{"a":2}'),
              ("0.1", "0.1000000000000000055511151231257827"), ("1e400", "2e400"), ('"\\ud800"', '"\\ud801"'), (DEEP,
                  DEEP + " "),
              ('"é"', '"é"'.encode("latin-1")), ("[1]", "[1"), ('{"a":"x"}', '\ufeff{"a":"x"}'), ("", " "), ("1e-400",
                  "0"),
              ('{"a\\u0000b":1}', '{"a\\u0000c":1}'), ("100000000000000000000001", "100000000000000000000002")]


@pytest.mark.parametrize("first, second", OTHER_JSON, ids=range(len(OTHER_JSON)))
def test_other_json(api, origin, first, second):
    assert_other(api, origin, js(first), js(second))


@pytest.mark.parametrize("body", [DEEP, '{"a":1,"a":2}', "NaN", '{"a":9007199254740993}', b'"\xff"', "",
                                  '{"a":1e400}', "\ufeff[]",
                                  "[" + "{}," * 1200000 + "{}]"], ids=range(9))
def test_unreadable_json_is_compared_as_bytes(api, origin, body):
    assert_same(api, origin, js(body), js(body))


def test_only_what_is_said_to_be_json(api, origin):
    assert_other(api, origin, js('{"a":1}', "text/plain"), js('{ "a":1}', "text/plain"))


def test_type_counts_where_it_is_no_part(api, origin):
    """The digest of the bytes is not that of the values."""
    assert_other(api, origin, js('{"a":1}'), js('{"a":1}', "text/plain"), "/bare")


def test_boundary_of_an_upload_that_is_no_form(api, origin):
    one, other = multipart(field("a", "1"), boundary="one"), multipart(field("a", "1"), boundary="other")
    for sent in (one, other):
        sent["headers"] = [("Content-Type", sent["headers"][0][1].replace("form-data", "mixed"))]
    assert_same(api, origin, one, other)


EQUAL_FORMS = [(form("a=1&b=%41+b"), form("a=1&b=A%20b")), (form("a&b="), form("a=&&b&")), (form(""), form("&")),
               (multipart(field("a", "1"), file("f", "x\r\n--y"), boundary="AB"),
                multipart(field("a", "1"), file("f", "x\r\n--y"), boundary="another")),
               (multipart(field("a", "1")), multipart(field("a", "1").replace(": ", ":  ", 1).replace('"a"', "a")))]


@pytest.mark.parametrize("first, second", EQUAL_FORMS, ids=range(len(EQUAL_FORMS)))
def test_same_form(api, origin, first, second):
    assert_same(api, origin, first, second, "/canon")


OTHER_FORMS = [(form("a=1&b=2"), form("b=2&a=1")), (form("a=1"), form("a=2")), (form("a=1&a=1"), form("a=1")),
               (form("a=%zz"), form("a=%ZZ")),
               (form("ab="), form("a=b")), (form("a=1&b"), form("a=1%26b")), (form("a=%00"), form("a=")),
               (multipart(field("a", "1")), multipart(field("a", "2"))), (multipart(file("f", "x")),
                   multipart(file("f", "x", "b.bin"))),
               (multipart(file("f", "x")), multipart(file("f", "x", content_type="text/plain"))),
               (multipart(file("f", "x")), multipart(field("f", "x"))), (multipart(field("a", "1\r\n--x")),
                   multipart(field("a", "1"))),
               (multipart(field("a", "1"), field("b", "2")), multipart(field("b", "2"), field("a", "1")))]


@pytest.mark.parametrize("first, second", OTHER_FORMS, ids=range(len(OTHER_FORMS)))
def test_other_form(api, origin, first, second):
    assert_other(api, origin, first, second, part="body=form")


def test_form_of_two_kinds(api, origin):
    """The type is another, too, by default; where it is no part, the fields alone count, as every application has
    them."""
    assert api.post("/bare", key="k1", **form("a=1&b=2")).status == 201
    assert api.post("/bare", key="k1", **multipart(field("a", "1"), field("b", "2"))).replayed


@pytest.mark.parametrize("first, second", [
    (js({"a": 1, "timestamp": 1, "meta": {"request_id": "x", "z": 1}, "items": ["now", 2]}),
     js({"meta": {"z": 1, "request_id": "y"}, "timestamp": 2, "items": ["then", 2], "a": 1})),
    (js({"a": 1, "meta": {}}), js({"a": 1, "meta": {"request_id": "y"}})),
    (form("a=1&_wpnonce=7a"), form("a=1&_wpnonce=7b")), (form("csrf,token=1&a=1"),
                                                         form("a=1&csrf%2Ctoken=2&_wpnonce=1")),
    (multipart(field("_wpnonce", "7a"), field("a", "1"), boundary="x"), multipart(field("_wpnonce", "7b"), field("a",
        "1"), boundary="y"))])
def test_what_a_retry_changes_is_left_out(api, origin, first, second):
    assert_same(api, origin, first, second, "/without")


@pytest.mark.parametrize("first, second, part", [
    (js({"a": 1, "timestamp": 1}), js({"a": 2, "timestamp": 2}), "body=json,-/timestamp,-/meta/request_id,-/items/0"),
    (js({"x": {"timestamp": 1}}), js({"x": {"timestamp": 2}}), "body=json,-/timestamp,-/meta/request_id,-/items/0"),
    (js({"items": [1, 2]}), js({"items": [1, 3]}), "body=json,-/timestamp,-/meta/request_id,-/items/0"),
    (form("a=1&_wpnonce=1"), form("a=2&_wpnonce=2"), "body=form,-_wpnonce,-csrf,token"),
    (form("a=1&csrf=1"), form("a=1&csrf=2"), "body=form,-_wpnonce,-csrf,token")])
def test_everything_else_counts(api, origin, first, second, part):
    assert api.post("/without", key="k1", **first).status == 201
    refused = api.post("/without", key="k1", **second)
    assert refused.problem == (422, "key-reused") and part in refused.json["detail"]
    assert origin.executions("/without") == 1


def test_values_of_a_body(api, origin):
    first = api.post("/values", key="k1", **js({"amount": 10, "list": [1, {"b": 1, "a": 2}], "at": 1}))
    assert api.post("/values", key="k1",
                    **js('{"at":2,"list":[1.0,{"a":2,"b":1}],"amount":1e1}')).recorded == first.recorded
    for body in ({"amount": "10"}, {"amount": 11}, {}, {"amount": None}, '{"amount":10', '{"amount":10,"amount":10}'):
        refused = api.post("/values", key="k1", **js(body))
        assert refused.problem == (422, "key-reused") and "json:/amount" in parts_named(refused), body
    assert "form:amount" in parts_named(api.post("/values", key="k1", **form("amount=10")))
    assert origin.executions("/values") == 1


@pytest.mark.parametrize("first, second", [
    (form("amount=1"), form("amount=2")), (form("amount=1"), form("amount=1&amount=1")), (form("amount="), form("x=1")),
    (form("amount=1&x=%"), form("amount=1&x=%%")), (multipart(file("upload", "x" * 9000)), multipart(file("upload",
        "x" * 9000 + "y"))),
    (js({"amount": 0.1}), js('{"amount":0.1000000000000000055}')), (js({"amount": {}}), js({"amount": []})),
    (js('{"amount":'), js('{ "amount":')), (js({"amount": 1}), js({"amount": True}))])
def test_other_values(api, origin, first, second):
    assert api.post("/values", key="k1", **first).status == 201
    assert api.post("/values", key="k1", **second).problem == (422, "key-reused")
    assert api.post("/values", key="k1", **first).replayed
    assert origin.executions("/values") == 1


def test_values_that_are_the_same(api, origin):
    assert_same(api, origin, form("amount=1&_wpnonce=1"), form("_wpnonce=2&amount=%31"), "/values")


def test_scope_in_the_body(api, origin):
    answers = [api.post("/scoped", key="k1", **sent) for sent in (js({"tenant": "a"}), js({"tenant": "b"}), js({}),
        form("tenant=a"))]
    assert [answer.status for answer in answers] == [201] * 4
    assert api.post("/scoped", key="k1", **js({"tenant": "a"})).recorded == answers[0].recorded
    assert api.post("/scoped", key="k1", **js({"tenant": "a", "b": 1})).problem == (422, "key-reused")
    assert origin.executions("/scoped") == 4


def test_scope_in_a_body_that_is_too_long(api, origin):
    assert api.post("/scoped/small", key="k1", **js({"tenant": "a", "b": "x" * 9000})).problem == (413,
        "body-too-large")
    assert origin.executions("/scoped/small") == 0


@pytest.mark.parametrize("path, sent, other, part", [
    ("/canon/small", js({"a": "x" * 9000}), js({"a": "x" * 8999 + "y"}), "body=json"),
    ("/values/small", form("amount=1&b=" + "x" * 9000), form("amount=1&b=" + "x" * 8999 + "y"), "form:amount"),
    ("/bare/small", form("a=" + "x" * 9000), form("a=" + "x" * 8999 + "y"), "body=form")])
@pytest.mark.parametrize("send", ["declared", "chunked"])
def test_beyond_the_spool_bytes_count(api, origin, path, sent, other, part, send):
    def post(what):
        headers = what["headers"] + [("Idempotency-Key", '"k1"')]
        return chunked(api, path + "?echo=1", what["body"],
                       headers) if send == "chunked" else api.post(path + "?echo=1", key="k1", **what)
    first = post(sent)
    assert first.status == 201 and first.json["length"] == len(sent["body"])
    refused = post(other)
    assert refused.problem == (422, "key-reused") and part in parts_named(refused)
    assert post(sent).replayed
    assert origin.executions(path) == 1


def test_short_retry_of_a_long_body(api, origin):
    spaced = js('{"a":' + " " * 9000 + "1}")
    assert api.post("/canon/small", key="k1", **spaced).status == 201
    assert api.post("/canon/small", key="k1", **js('{"a":1}')).problem == (422, "key-reused")
    assert api.post("/canon/small", key="k2", **js('{"a":1}')).status == 201
    assert api.post("/canon/small", key="k2", **spaced).problem == (422, "key-reused")


@pytest.mark.parametrize("sent, other", [(js('{"a":1}'), js('{"a": 1}')), (form("a=1"), form("a=%31"))])
def test_coded_body_is_compared_as_bytes(api, origin, sent, other):
    def packed(what):
        return {"body": gzip.compress(what["body"], mtime=0), "headers": what["headers"] + [("Content-Encoding",
            "gzip")]}
    assert api.post("/canon", key="k1", **packed(sent)).status == 201
    assert api.post("/canon", key="k1", **packed(other)).problem == (422, "key-reused")
    assert api.post("/canon", key="k1", **packed(sent)).replayed
    assert origin.executions("/canon") == 1


def test_another_list_of_what_is_left_out_is_another_part(new_httpd, host, expect_log):
    expect_log(62)  # the store is below /tmp
    from client import Api
    server = new_httpd('<Location /cgi>\nIdempotencyFingerprint method "body=json,-/a"\n</Location>\n').start()
    api = Api(server.address, host)
    assert api.post("/pay", key="k1", **js({"a": 1})).status == 201
    server.config = server.config.replace("body=json,-/a", "body=json,-/b")
    server.write_config()
    server.graceful()
    assert api.post("/pay", key="k1", **js({"a": 1})).problem == (409, "outcome-unknown")


def test_mod_security_has_read_it_before(api, origin):
    assert_same(api, origin, js('{"a":1,"b":2}'), js('{"b":2, "a":1}'), "/sec")


def test_detection(api, origin, httpd):
    long = {"a": "x" * 9000}
    for sent in (js('{"a":1}'), js('{ "a":1}'), js('{"a":2}')):
        assert api.post("/watched", key="k1", **sent).status == 201
    for sent in (js(long), js(long), js({"a": "y" * 9000})):
        assert api.post("/watched?echo=1", key="k2", **sent).json["length"] == len(sent["body"])
    assert [row[2] for row in httpd.outcomes(api, 6)] == ["detected:executed", "detected:replayed",
                                                          "detected:key-reused"] * 2
