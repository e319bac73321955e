# SPDX-License-Identifier: Apache-2.0
"""
IdempotencyKey fingerprint: the request is its own key, for browsers that know no keys. A double click runs once; two
clients, or two forms that differ in anything, never share a run.
"""
import pytest

from forms import URLENCODED, field, file, form, js, multipart

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/proxy"
CONFIG = """
IdempotencySessionCookie app_session
<LocationMatch "^/proxy/(page|narrow|must|short|watched)">
    IdempotencyKey header:Idempotency-Key form:request_key fingerprint
    IdempotencyFingerprint -body +body=form,-_wpnonce +body=json
    IdempotencyConcurrent wait 30s
    IdempotencySpool 8K
</LocationMatch>
<Location /proxy/narrow>
    IdempotencyFingerprint none
</Location>
<Location /proxy/must>
    IdempotencyRequireKey On
</Location>
<LocationMatch "^/proxy/(must|page)/long">
    IdempotencyKey fingerprint
</LocationMatch>
<Location /proxy/short>
    IdempotencyTTL 1s
</Location>
<Location /proxy/watched>
    IdempotencyEngine DetectionOnly
</Location>
<Location /proxy/user>
    IdempotencyKey fingerprint
    AuthType Basic
    AuthName orders
    AuthUserFile "{stage}/passwords"
    Require valid-user
</Location>
"""
COMMENT = "comment=Hello&post=7&_wpnonce="


@pytest.fixture
def browser(api):
    return api.with_headers(("Cookie", "app_session=alice; _ga=1"))


def test_second_click_gets_the_first_ones_page(browser, origin):
    first = browser.post("/page", **form(COMMENT + "1"))
    again = browser.post("/page", **form(COMMENT + "2"))  # the page was rendered anew meanwhile
    assert first.status == 201 and again.replayed and again.recorded == first.recorded
    assert origin.executions("/page") == 1


def test_second_click_while_the_first_runs(browser, origin):
    with origin.hold("/page") as held:
        first = browser.post_async("/page", **form(COMMENT + "1"))
        held.wait_until_entered()
        second = browser.post_async("/page", **form(COMMENT + "1"))
    answers = first.last_result(), second.last_result()
    assert answers[0].body == answers[1].body and answers[1].replayed
    assert origin.executions("/page") == 1


def test_reload_of_an_upload(browser, origin):
    """A browser chooses another boundary."""
    sent = [multipart(field("title", "A"), file("photo", "x" * 3000),
                      boundary=f"----WebKitFormBoundary{n}") for n in "12"]
    first = browser.post("/page", **sent[0])
    assert browser.post("/page", **sent[1]).recorded == first.recorded
    assert browser.post("/page", **multipart(field("title", "A"), file("photo", "y" * 3000))).status == 201
    assert origin.executions("/page") == 2


@pytest.mark.parametrize("path, sent, cookie", [
    ("/page", form(COMMENT.replace("Hello", "Bye") + "1"), None), ("/page?a=1", form(COMMENT + "1"), None),
    ("/page/other", form(COMMENT + "1"), None), ("/page", form(COMMENT + "1"), "app_session=bob; _ga=1"),
    ("/page", form("post=7&comment=Hello"), None), ("/page", js({"comment": "Hello"}), None),
    ("/page", form(""), None)])
def test_whatever_differs_is_another_request(browser, api, origin, path, sent, cookie):
    assert browser.post("/page", **form(COMMENT + "1")).status == 201
    client = api.with_headers(("Cookie", cookie)) if cookie else browser
    other = client.post(path, **sent)
    assert other.status == 201 and not other.replayed
    assert origin.executions() == 2


@pytest.mark.parametrize("path, sent, cookie", [
    ("/narrow", form("a=2"), None), ("/narrow/other", form("a=1"), None), ("/narrow", form("a=1"), "app_session=bob")])
def test_fingerprint_that_sees_nothing_merges_nothing(browser, api, origin, path, sent, cookie):
    """Path, credentials and body count though the fingerprint is none."""
    assert browser.post("/narrow", **form("a=1")).status == 201
    client = api.with_headers(("Cookie", cookie)) if cookie else browser
    assert not client.post(path, **sent).replayed
    assert browser.post("/narrow", **form("a=1")).replayed
    assert origin.executions() == 2


@pytest.mark.parametrize("headers", [[], [("Cookie", "lang=de; consent=1")], [("Cookie", "app_session=")]])
def test_client_that_nobody_knows_is_not_guarded(api, origin, headers):
    for _ in range(2):
        answer = api.post("/page?echo=1", body=b"a=1", headers=headers + [URLENCODED])
        assert answer.status == 201 and not answer.replayed and answer.json["length"] == 3
    assert origin.executions("/page") == 2
    assert api.post("/must", body=b"a=1", headers=headers + [URLENCODED]).problem == (400, "key-missing")


def test_authorization_is_a_credential(api, origin):
    one, other = (api.with_headers(("Authorization", f"Bearer {name}")) for name in ("alice", "bob"))
    first = one.post("/page", **form("a=1"))
    assert one.post("/page", **form("a=1")).recorded == first.recorded
    assert not other.post("/page", **form("a=1")).replayed
    assert origin.executions("/page") == 2


def test_user_of_httpd_is_a_credential(api, origin):
    alice, bob = (api.with_headers(("Authorization", f"Basic {b}")) for b in ("YWxpY2U6c2VjcmV0", "Ym9iOnNlY3JldA=="))
    first = alice.post("/user", **form("a=1"))
    assert first.status == 201
    assert alice.post("/user", **form("a=1")).recorded == first.recorded
    assert not bob.post("/user", **form("a=1")).replayed
    assert origin.executions("/user") == 2


def test_key_of_the_client_wins(browser, origin):
    for key in ("k1", "k2"):
        assert browser.post("/page", key=key, **form("a=1")).status == 201
    assert not browser.post("/page", **form("request_key=k3&a=1")).replayed
    assert not browser.post("/page", **form("request_key=k4&a=1")).replayed
    assert origin.executions("/page") == 4


def test_body_beyond_the_spool(browser, origin):
    long = form("a=" + "x" * 9000)
    assert [browser.post("/page/long?echo=1", **long).json["length"] for _ in range(2)] == [9002, 9002]
    assert browser.post("/must/long", **long).problem == (413, "body-too-large")
    assert browser.post("/page", **long).problem == (413, "body-too-large")  # its form may have a key
    assert origin.executions() == 2


def test_request_without_a_body(browser, origin):
    first = browser.request("DELETE", "/page")
    assert browser.request("DELETE", "/page").recorded == first.recorded
    assert origin.executions("/page") == 1


def test_once_more_after_its_time(browser, origin, httpd):
    """Who sends the same words again later means it."""
    import env
    first = browser.post("/short", **form("a=1"))
    env.until(lambda: browser.post("/short", **form("a=1")).body != first.body, "the record has expired")
    assert origin.executions("/short") == 2


def test_detection(browser, httpd):
    for sent in ("a=1", "a=1", "a=2"):
        assert browser.post("/watched", **form(sent)).status == 201
    assert [row[2] for row in httpd.outcomes(browser, 3)] == ["detected:executed", "detected:replayed",
        "detected:executed"]
