# SPDX-License-Identifier: Apache-2.0
"""A retry is answered from the record, and the answer is the first one."""
import json
from email.utils import parsedate_to_datetime

import pytest

from checks import assert_replayed

CONFIG = """
<Location /cgi/marked>
    IdempotencyReplayedHeader X-Again
</Location>
<Location /cgi/unmarked>
    IdempotencyReplayedHeader none
</Location>
<Location /cgi/omitting>
    IdempotencyOmitHeaders X-Trace-Id
</Location>
"""

BODYLESS = (204, 304)


def test_retry_is_not_executed_again(each_api, origin):
    first, second = assert_replayed(each_api, origin, "/pay", json={"amount": 10})
    assert first.status == 201
    assert json.loads(first.body)["execution"] == origin.runs("/pay")[0]["id"]


def test_every_further_retry_gets_the_same_answer(api, origin):
    first, second = assert_replayed(api, origin, "/pay", json={"amount": 10})
    again = [api.post("/pay", key="k1", json={"amount": 10}) for _ in range(3)]
    assert all(response.replayed and response.recorded == first.recorded for response in again)
    assert origin.executions("/pay") == 1


def test_other_key_is_another_operation(api, origin):
    first = api.post("/pay", key="k1", json={"amount": 10})
    other = api.post("/pay", key="k2", json={"amount": 10})
    assert not other.replayed and other.body != first.body
    assert origin.executions("/pay") == 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 302, 304, 400, 404, 409, 410, 422, 500, 502, 504, 507])
def test_status_is_replayed(each_api, origin, status):
    body = "&body=" if status in BODYLESS else ""
    first, _ = assert_replayed(each_api, origin, f"/pay?status={status}{body}")
    assert first.status == status


@pytest.mark.parametrize("status", [200, *BODYLESS])
@pytest.mark.parametrize("kind", ["application/json", ""])
def test_type_is_replayed_with_and_without_a_body(each_api, origin, status, kind):
    """Whatever httpd makes of a type where there is nothing of it: it makes the same of it again."""
    body = "" if status in BODYLESS else "x"
    assert_replayed(each_api, origin, f"/pay?status={status}&header=Content-Type:+{kind}&body={body}")


@pytest.mark.parametrize("reason", ["Made+It", "I%27m+a+teapot"])
def test_reason_is_replayed(each_api, origin, reason):
    first, _ = assert_replayed(each_api, origin, f"/pay?status=202&reason={reason}")
    assert first.reason == reason.replace("+", " ").replace("%27", "'")


@pytest.mark.parametrize("status", [299, 418, 499, 599])
def test_status_httpd_has_no_name_for(api, origin, status):
    first, _ = assert_replayed(api, origin, f"/pay?status={status}&reason=Own+Word")
    assert (first.status, first.reason) == (status, "Own Word")


def test_repeated_headers_stay_repeated_and_in_order(each_api, origin):
    query = "&".join(f"header=Link:+<{n}>" for n in (3, 1, 2)) + "&header=X-Once:+1&header=Cache-Control:+no-store"
    first, second = assert_replayed(each_api, origin, f"/pay?{query}")
    assert ", ".join(second.all("Link")) == "<3>, <1>, <2>"
    assert second["X-Once"] == "1"


def test_binary_body(each_api, origin):
    first, second = assert_replayed(each_api, origin, "/pay?size=20000&seed=a")
    assert len(first.body) == 20000 and b"\0" in first.body
    assert second["Content-Type"] == "application/octet-stream"


def test_binary_request_body(each_api, origin):
    body = bytes(range(256)) * 64
    first, _ = assert_replayed(each_api, origin, "/pay?echo=1", body=body)
    assert first.json["length"] == len(body)


@pytest.mark.parametrize("status", [200, 201, 500])
def test_empty_body(each_api, origin, status):
    first, second = assert_replayed(each_api, origin, f"/pay?status={status}&body=")
    assert first.body == second.body == b""
    assert second["Content-Length"] == "0"


def test_no_content(each_api, origin):
    _, second = assert_replayed(each_api, origin, "/pay?status=204&body=")
    assert second["Content-Length"] in (None, "0")


def test_replay_says_its_length(each_api, origin):
    _, second = assert_replayed(each_api, origin, "/pay?size=1234")
    assert second["Content-Length"] == "1234" and second["Transfer-Encoding"] is None


def test_http_1_0(each_api, origin):
    first, second = assert_replayed(each_api, origin, "/pay", version="HTTP/1.0", body=b"x")
    newer = each_api.post("/pay", key="k1", body=b"x")
    assert newer.replayed and newer.recorded == first.recorded


def test_chunked_request_is_the_same_request(each_api, origin):
    first = each_api.post("/pay", key="k1", body=b"hello")
    with each_api.connect() as conn:
        conn.send(each_api.head("POST", "/pay", [("Idempotency-Key", '"k1"'), ("Transfer-Encoding", "chunked")]))
        conn.send(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
        second = conn.result()
    assert second.replayed and second.recorded == first.recorded


def test_two_requests_on_one_connection(each_api, origin):
    with each_api.connect() as conn:
        first = each_api.start("POST", "/pay", key="k1", body=b"x", conn=conn).result()
        second = each_api.start("POST", "/pay", key="k1", body=b"x", conn=conn).result()
    assert second.replayed and second.recorded == first.recorded


def test_marker_has_the_configured_name(api, origin):
    api.post("/marked", key="k1")
    second = api.post("/marked", key="k1")
    assert second["X-Again"] == "true" and second["Idempotent-Replayed"] is None
    api.post("/unmarked", key="k2")
    second = api.post("/unmarked", key="k2")
    assert second["Idempotent-Replayed"] is None
    assert origin.executions("/unmarked") == 1


def test_marker_of_the_application_is_dropped(each_api, origin):
    assert_replayed(each_api, origin, "/pay?header=Idempotent-Replayed:+true")


def test_date_is_the_replays_own(api, origin):
    api = api.at("/proxy")
    api.post("/pay?header=Date:+Mon,+01+Jan+2001+00:00:00+GMT&header=Server:+old", key="k1")
    second = api.post("/pay?header=Date:+Mon,+01+Jan+2001+00:00:00+GMT&header=Server:+old", key="k1")
    assert second.replayed
    assert parsedate_to_datetime(second["Date"]).year > 2001
    assert second["Server"] != "old"


@pytest.mark.mpm_independent
@pytest.mark.parametrize("field",
                         ["WWW-Authenticate:+Basic", "Proxy-Authenticate:+Basic", "Authentication-Info:+n%3D1"])
def test_authentication_fields_are_never_kept(api, origin, field):
    path = f"/pay?status=200&header={field}&header=X-Kept:+1"
    first, second = api.post(path, key="k1"), api.post(path, key="k1")
    name = field.split(":")[0]
    assert first[name] and second[name] is None
    assert second.replayed and second["X-Kept"] == "1"


@pytest.mark.mpm_independent
def test_named_headers_are_left_out(api, origin):
    path = "/omitting?header=X-Trace-Id:+7&header=X-Kept:+1"
    first, second = api.post(path, key="k1"), api.post(path, key="k1")
    assert first["X-Trace-Id"] == "7" and second["X-Trace-Id"] is None
    assert second.replayed and second["X-Kept"] == "1"


@pytest.mark.mpm_independent
def test_body_the_application_compressed_itself(api, origin):
    path = "/pay?size=500&header=Content-Encoding:+x-own"
    first, second = assert_replayed(api, origin, path)
    assert second["Content-Encoding"] == "x-own"
