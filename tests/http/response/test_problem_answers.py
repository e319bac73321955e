# SPDX-License-Identifier: Apache-2.0
"""The answers the module gives itself."""
import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /cgi/dressed>
    ErrorDocument 400 "<p>a bad key</p>"
    ErrorDocument 409 /cgi/page?body=busy&status=0&header=Content-Type:+text/html
</Location>
<Location /cgi/helped>
    IdempotencyHelp https://docs.test/retries
</Location>
"""
BAD = {"headers": ["Idempotency-Key: a,b"]}


def accepting(value):
    return {"headers": ["Idempotency-Key: a,b", f"Accept: {value}"]}


def test_problem_document(api):
    refused = api.post("/pay", **BAD)
    assert (refused.status, refused.reason) == (400, "Bad Request")
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Cache-Control"] == "no-store"
    assert refused["Content-Language"] == "en"
    assert refused["Idempotency-Error"] == "key-invalid"
    assert refused["Retry-After"] is None and refused["Link"] is None
    assert int(refused["Content-Length"]) == len(refused.body)
    document = refused.json
    assert set(document) == {"type", "title", "status", "detail"}
    assert document["type"] == "urn:problem-type:idempotency:key-invalid"
    assert document["status"] == 400 and document["title"] and document["detail"]


@pytest.mark.parametrize("name, status, retry_after", [("in-progress", 409, "1"), ("key-reused", 422, None)])
def test_each_name_has_its_status(api, origin, name, status, retry_after):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        refused = api.post("/pay", key="k1", body=b"1" if name == "in-progress" else b"2")
    assert refused.problem == (status, name)
    assert refused["Retry-After"] == retry_after
    assert refused.json["type"].endswith(":" + name) and refused.json["status"] == status
    assert first.result().status == 201


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/problem+json", "text/plain", "",
                                    "text/html;q=0.5, application/json",
                                    "text/html;q=0.8, application/problem+json;q=0.9", "text/html;q=0", "text/*"])
def test_json_unless_html_is_wanted(api, accept):
    assert api.post("/pay", **accepting(accept))["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("accept", [
    "text/html", "text/html, */*;q=0.1", "application/json;q=0.5, text/html", "application/json, text/html",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
])
def test_ordinary_error_page_for_browsers(api, accept):
    refused = api.post("/pay", **accepting(accept))
    assert refused.problem == (400, "key-invalid")
    assert refused["Content-Type"].startswith("text/html") and b"<title>400 Bad Request</title>" in refused.body
    assert refused["Cache-Control"] == "no-store"


def test_errordocument_for_browsers(api, origin):
    refused = api.post("/dressed", **accepting("text/html"))
    assert refused.problem == (400, "key-invalid") and refused.body == b"<p>a bad key</p>"
    assert api.post("/dressed", **BAD)["Content-Type"] == "application/problem+json"


def test_errordocument_script_for_browsers(api, origin):
    with origin.hold("/dressed") as held:
        first = api.post_async("/dressed", key="k1")
        held.wait_until_entered()
        refused = api.post("/dressed", key="k1", headers=[("Accept", "text/html")])
    assert refused.problem == (409, "in-progress")
    assert (refused["Retry-After"], refused["Cache-Control"], refused.body) == ("1", "no-store", b"busy")
    assert first.result().status == 201
    assert api.post("/dressed", key="k1").replayed  # the page was no part of the operation
    assert origin.executions("/dressed") == 1


def test_help(api):
    refused = api.post("/helped", **BAD)
    assert refused.json["type"] == "https://docs.test/retries#key-invalid"
    assert refused["Link"] == '<https://docs.test/retries>; rel="describedby"; type="text/html"'


def test_help_is_linked_from_a_page_too(api):
    refused = api.post("/helped", **accepting("text/html"))
    assert refused.problem == (400, "key-invalid") and "describedby" in refused["Link"]


def test_refusal_is_not_recorded(api, origin):
    assert api.post("/pay", **BAD).status == 400
    assert api.post("/pay", key="a").problem == (201, None)


def test_connection_goes_on_after_a_refusal(api):
    with api.connect() as conn:
        api.start("POST", "/pay", key="k1", body=b"1", conn=conn).result()
        assert api.start("POST", "/pay", key="k1", body=b"2", conn=conn).result().status == 422
        assert api.start("POST", "/pay", key="k1", body=b"1", conn=conn).result().replayed
