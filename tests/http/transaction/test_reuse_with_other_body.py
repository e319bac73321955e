# SPDX-License-Identifier: Apache-2.0
"""A key that comes back with another request gets 422, which names what is different and neither executes nor replays.
"""
import pytest

from checks import assert_replayed, parts_named

CONFIG = """
<Location /cgi/softly>
    IdempotencyMismatchStatus 409
</Location>
<Location /cgi/tenants>
    IdempotencyFingerprint +header:X-Tenant
</Location>
<Location /cgi/anything>
    IdempotencyFingerprint none
</Location>
<Location /cgi/narrow>
    IdempotencyFingerprint method path body
</Location>
"""

TOKEN, OTHER_TOKEN = ("Authorization", "Bearer t1"), ("Authorization", "Bearer t2")
JSON, TEXT = ("Content-Type", "application/json"), ("Content-Type", "text/plain")


def cookie(value):
    return ("Cookie", value)


def multipart(boundary, value="1"):
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n--{boundary}--\r\n'
    return {"body": body.encode(), "headers": [("Content-Type", f"multipart/form-data; boundary={boundary}")]}


def request(method="POST", path="/pay?a=1&b=2", body=b'{"n":1}', headers=(JSON,)):
    return {"method": method, "path": path, "body": body, "headers": headers}


def assert_reused(api, origin, first, second, parts):
    assert api.request(key="k1", **first).status == 201
    refused = api.request(key="k1", **second)
    assert refused.problem == (422, "key-reused"), refused
    assert sorted(parts_named(refused)) == sorted(parts)
    assert not refused.replayed
    assert origin.executions() == 1
    assert api.request(key="k1", **first).replayed  # the record still belongs to the first request


@pytest.mark.parametrize("changed, parts", [
    (dict(method="PUT"), ["method"]),
    (dict(path="/pay2?a=1&b=2"), ["path"]),
    (dict(path="/%70ay?a=1&b=2"), ["path"]),
    (dict(path="/pay?a=1&b=3"), ["query"]),
    (dict(path="/pay?a=1"), ["query"]),
    (dict(path="/pay"), ["query"]),
    (dict(body=b'{"n":2}'), ["body"]),
    (dict(body=b""), ["body"]),
    (dict(body=b'{"n":1}\n'), ["body"]),
    (dict(headers=[TEXT]), ["header:content-type"]),
    (dict(headers=[]), ["header:content-type"]),
    (dict(body=b"x", headers=[TEXT]), ["body", "header:content-type"]),
    (dict(headers=[JSON, TOKEN]), ["credentials"]),
    (dict(headers=[JSON, cookie("PHPSESSID=s1")]), ["credentials"]),
], ids=str)
def test_changed_part_is_named(each_api, origin, changed, parts):
    assert_reused(each_api, origin, request(), request(**changed), parts)


@pytest.mark.mpm_independent
@pytest.mark.parametrize("first, second", [
    ([JSON, TOKEN], [JSON, OTHER_TOKEN]),
    ([JSON, TOKEN], [JSON]),
    ([JSON, cookie("PHPSESSID=s1; theme=dark")], [JSON, cookie("PHPSESSID=s2; theme=dark")]),
    ([JSON, cookie("JSESSIONID=s1")], [JSON, cookie("PHPSESSID=s1")]),
    ([JSON, cookie("own=s1")], [JSON, cookie("own=s2")]),
    ([JSON, cookie("own=s1")], [JSON]),
], ids=str)
def test_other_credentials_get_neither_record_nor_execution(api, origin, first, second):
    assert_reused(api, origin, request(headers=first), request(headers=second), ["credentials"])


@pytest.mark.mpm_independent
def test_other_credentials_are_told_nothing_else(api, origin):
    stranger = request(headers=[TEXT, OTHER_TOKEN], body=b"guess", path="/pay?guess=1")
    assert_reused(api, origin, request(headers=[JSON, TOKEN]), stranger, ["credentials"])


@pytest.mark.mpm_independent
@pytest.mark.parametrize("first, second", [
    ("PHPSESSID=s1; theme=dark", "theme=light; PHPSESSID=s1"),
    ("PHPSESSID=s1", "PHPSESSID=s1; seen=1"),
])
def test_other_cookies_beside_a_session_do_not_matter(api, origin, first, second):
    api.post("/pay", key="k1", headers=[cookie(first)])
    assert api.post("/pay", key="k1", headers=[cookie(second)]).replayed


@pytest.mark.mpm_independent
@pytest.mark.parametrize("first, second", [
    ("?a=1&b=2", "?b=2&a=1"),
    ("?a=1&a=2&b=3", "?b=3&a=1&a=2"),
    ("?", ""),
])
def test_equal_queries(api, origin, first, second):
    first = api.post("/pay" + first, key="k1")
    assert api.post("/pay" + second, key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1


@pytest.mark.mpm_independent
@pytest.mark.parametrize("first, second", [
    ("?a=1&a=2", "?a=2&a=1"),
    ("?a=1", "?a=%31"),
    ("?a", "?a="),
    ("?a=1", "?a=1&a=1"),
])
def test_unequal_queries(api, origin, first, second):
    assert_reused(api, origin, request(path="/pay" + first), request(path="/pay" + second), ["query"])


@pytest.mark.mpm_independent
def test_multipart_with_another_boundary_is_the_same(api, origin):
    first = api.post("/pay", key="k1", **multipart("----one"))
    second = api.post("/pay", key="k1", **multipart("----another-and-longer"))
    assert second.replayed and second.recorded == first.recorded
    refused = api.post("/pay", key="k1", **multipart("----one", value="2"))
    assert refused.problem == (422, "key-reused") and parts_named(refused) == ["body"]
    assert origin.executions("/pay") == 1


def test_other_request_while_the_first_runs(api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        refused = api.post("/pay", key="k1", body=b"2")
        assert refused.problem == (422, "key-reused") and parts_named(refused) == ["body"]
    assert first.result().status == 201
    assert origin.executions("/pay") == 1


@pytest.mark.mpm_independent
def test_status_of_a_mismatch_is_configured(api, origin):
    api.post("/softly", key="k1", body=b"1")
    refused = api.post("/softly", key="k1", body=b"2")
    assert refused.problem == (409, "key-reused")
    assert refused.json["status"] == 409


@pytest.mark.mpm_independent
def test_configured_part_that_is_absent_counts_as_absent(api, origin):
    assert_replayed(api, origin, "/tenants")
    for value in ("a", ""):
        refused = api.post("/tenants", key="k1", headers=[("X-Tenant", value)])
        assert refused.problem == (422, "key-reused") and parts_named(refused) == ["header:x-tenant"]
    assert origin.executions("/tenants") == 1


@pytest.mark.mpm_independent
def test_parts_not_configured_do_not_matter(api, origin):
    first = api.post("/anything?a=1", key="k1", body=b"1", headers=[TOKEN])
    second = api.request("PUT", "/anything?a=2", key="k1", body=b"2", headers=[OTHER_TOKEN])
    assert second.recorded == first.recorded
    first = api.post("/narrow?a=1", key="k2", body=b"1", headers=[TEXT])
    assert api.post("/narrow?a=2", key="k2", body=b"1", headers=[JSON]).recorded == first.recorded
    assert api.post("/narrow?a=1", key="k2", body=b"2", headers=[TEXT]).problem == (422, "key-reused")
    assert origin.executions() == 2
