# SPDX-License-Identifier: Apache-2.0
"""conf/policies/repeatable-requests.conf: what the OASIS specification asks of a server, in its own words."""
import email.utils
import time
import uuid

import pytest

import env
from checks import parts_named

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = f"""
IdempotencyStoreTimeout 9s
IdempotencyEngine Off
<LocationMatch "^/cgi/(api|retried|limited|shared)">
    Include "{env.REPO}/conf/policies/repeatable-requests.conf"
</LocationMatch>
<Location /cgi/retried>
    SetEnv ap_trust_cgilike_cl 1
</Location>
<Location /cgi/shared>
    Header always set Access-Control-Allow-Origin https://shop.test
</Location>
<Location /cgi/limited>
    IdempotencyMaxKeys 1 per 1h
    IdempotencyStatusHeader X-Once
</Location>
"""
HOUR = 3600


def first_sent(age=0):
    return email.utils.formatdate(time.time() - age, usegmt=True)


def exposed(answer):
    return ", ".join(answer.all("Access-Control-Expose-Headers")).split(", ")


def send(api, path, request, sent, client=None, method="POST", body=b"1"):
    """Its answer: status, Repeatability-Result, and the whole of it."""
    headers = [("Repeatability-Request-ID", request)] if request else []
    headers += [("Repeatability-First-Sent", sent)] if sent is not None else []
    headers += [("Repeatability-Client-ID", client)] if client else []
    answer = api.request(method, path, headers=headers, body=body)
    return answer.status, answer["Repeatability-Result"], answer


def test_accepted_once_and_again(api, origin):
    request, sent = str(uuid.uuid4()), first_sent()
    first, again = (send(api, "/api", request, sent) for _ in range(2))
    assert first[:2] == again[:2] == (201, "accepted")
    assert again[2].replayed and again[2].recorded == first[2].recorded
    assert len(first[2].all("Repeatability-Result")) == 1
    assert origin.executions("/api") == 1


def test_an_applications_own_errors_are_accepted(api, origin):
    request, sent = str(uuid.uuid4()), first_sent()
    for _ in range(2):
        assert send(api, "/api?status=404&body=none", request, sent)[:2] == (404, "accepted")
    assert origin.executions("/api") == 1


def test_an_applications_own_word_is_not_taken(api):
    answer = send(api, "/api?header=Repeatability-Result:+rejected", "r1", first_sent())[2]
    assert answer.all("Repeatability-Result") == ["accepted"]


def test_too_late(api, origin):
    status, result, answer = send(api, "/api", "r1", first_sent(25 * HOUR))
    assert (status, result, answer["Idempotency-Error"]) == (412, "rejected", "key-expired")
    assert answer.json["status"] == 412
    assert send(api, "/api", "r2", first_sent(23 * HOUR))[:2] == (201, "accepted")
    assert origin.executions("/api") == 1


@pytest.mark.parametrize("sent", [None, "", "yesterday", "2020-07-07T00:00:00Z"])
def test_malformed(api, origin, sent):
    assert send(api, "/api", "r1", sent)[:2] == (400, "rejected")
    assert origin.executions() == 0


def test_in_the_future(api):
    assert send(api, "/api", "r1", first_sent(-HOUR))[:2] == (400, "rejected")


def test_another_request_under_a_known_id(api, origin):
    sent = first_sent()
    send(api, "/api", "r1", sent)
    status, result, answer = send(api, "/api", "r1", sent, body=b"2")
    assert (status, result) == (400, "rejected") and parts_named(answer) == ["body"]
    status, result, answer = send(api, "/api", "r1", first_sent(60))
    assert (status, result) == (400, "rejected") and parts_named(answer) == ["header:repeatability-first-sent"]
    assert origin.executions("/api") == 1


def test_ids_of_other_clients_are_others(api, origin):
    sent = first_sent()
    for client in (None, "one", "two"):
        assert send(api, "/api", "r1", sent, client)[:2] == (201, "accepted")
    assert send(api, "/api", "r1", sent, "one")[2].replayed
    assert origin.executions("/api") == 3


def test_still_running(api, origin):
    sent = first_sent()
    with origin.hold("/api") as held:
        first = api.post_async("/api", headers=[("Repeatability-Request-ID", "r1"), ("Repeatability-First-Sent", sent)],
                               body=b"1")
        held.wait_until_entered()
        assert send(api, "/api", "r1", sent)[:2] == (409, "accepted")
    assert first.result()["Repeatability-Result"] == "accepted"


def test_outcome_that_is_unknown_was_accepted(api):
    """Nobody may take it for "nothing was executed"."""
    path = "/retried?header=Content-Length:+8&body=0123"
    sent = first_sent()
    assert send(api, path, "r1", sent)[:2] == (502, "accepted")
    assert send(api, path, "r1", sent)[:2] == (409, "accepted")


def test_refused_for_other_reasons(httpd, api, expect_log):
    sent = first_sent()
    assert send(api, "/limited", "r1", sent)[:2] == (201, "accepted")
    assert send(api, "/limited", "r2", sent)[:2] == (429, "rejected")
    httpd.control.fail("claim", "timeout")
    assert send(api, "/api", "r3", sent)[:2] == (503, "rejected")
    httpd.control.behave()
    expect_log(10)


def test_methods_that_are_not_repeatable(api, origin):
    assert send(api, "/api", "r1", first_sent(), method="LOCK")[:2] == (501, "rejected")
    assert origin.executions() == 0
    assert send(api, "/api", None, None, method="LOCK")[1] is None
    assert send(api, "/api", "r1", first_sent(), method="GET")[1] is None


def test_requests_without_the_headers(api, origin):
    for _ in range(2):
        assert send(api, "/api", None, None)[:2] == (201, None)
    assert origin.executions("/api") == 2


def test_error_page(api):
    headers = [("Repeatability-Request-ID", "r1"), ("Repeatability-First-Sent", first_sent(25 * HOUR)),
               ("Accept", "text/html")]
    page = api.post("/api", headers=headers)
    assert page.status == 412 and page["Repeatability-Result"] == "rejected"
    assert page["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("own, listed", [("", []), ("&header=Access-Control-Expose-Headers:+X-Own", ["X-Own"])])
def test_another_sites_script_can_read_the_result(api, origin, own, listed):
    """The same words on the first answer, the replay, and a refusal that runs nothing."""
    shop = api.with_headers(("Origin", "https://shop.test"))
    sent, path = first_sent(), f"/shared?status=200{own}"
    answers = [send(shop, path, "r1", sent)[2] for _ in range(2)]
    refused = send(shop, path, "r1", first_sent(25 * HOUR))[2]
    ours = ["Repeatability-Result", "Idempotent-Replayed", "Idempotency-Error", "Retry-After"]
    assert [exposed(answer) for answer in answers] == [listed + ours] * 2
    assert exposed(refused) == ours and refused["Repeatability-Result"] == "rejected"
    assert answers[0].recorded == answers[1].recorded and origin.executions("/shared") == 1


def test_nothing_is_exposed_where_it_is_not_there(api):
    assert "Repeatability-Result" not in exposed(send(api, "/shared", "r1", first_sent())[2])
    shop = api.with_headers(("Origin", "https://shop.test"))
    assert "Repeatability-Result" not in exposed(send(shop, "/shared", None, None)[2])
    other = send(shop, "/shared", "r2", first_sent(), method="LOCK")[2]
    assert other.status == 501 and "Repeatability-Result" in exposed(other)
