# SPDX-License-Identifier: Apache-2.0
"""IdempotencyLookup: a client asks what became of its request, and nothing is executed, claimed or left behind."""
import pytest

from checks import basic, parts_named, status_field
from client import Api
from client_http2 import Http2

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
MODULES = ["http2"]
CONFIG = """
Protocols h2c http/1.1
IdempotencyStoreTimeout 9s
IdempotencyLookup On
IdempotencyStatusHeader X-Once
ProxyPass /behind http://127.0.0.1:{port}/cgi
ProxyPassMatch "^/unaware/(.*)" http://127.0.0.1:{port}/cgi/$1
<Location /unaware>
    IdempotencyLookup Off
</Location>
<Location /cgi/unasked>
    IdempotencyLookup Off
</Location>
<Location /cgi/json>
    IdempotencyKey json:/id
</Location>
<Location /cgi/off>
    IdempotencyEngine Off
</Location>
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
</Location>
<Location /cgi/few>
    IdempotencyMaxKeys 1 per 1h
</Location>
<Location /cgi/aged>
    IdempotencyKeyAge 1h
</Location>
<Location /cgi/hangs>
    IdempotencyMaxRun 1s
</Location>
<Location /cgi/waits>
    IdempotencyConcurrent wait 1min
</Location>
<Location /cgi/retried>
    SetEnv ap_trust_cgilike_cl 1
    IdempotencyInterrupted retry
</Location>
<Location /cgi/bypassed>
    IdempotencyStoreFailure bypass
</Location>
<Location /cgi/long>
    IdempotencyMaxResponse 1K
</Location>
<Location /cgi/spooled>
    IdempotencySpool 1K
    IdempotencyPrefetch 1K
</Location>
<Location /cgi/shared>
    Header always set Access-Control-Allow-Origin https://shop.test
</Location>
<Location /cgi/members>
    AuthType Basic
    AuthName members
    AuthUserFile "{stage}/passwords"
    Require valid-user
</Location>
<Location /cgi/front>
    RewriteEngine On
    RewriteRule .* /cgi/inner [L]
</Location>
<Location /cgi/inner>
    Require expr "%{HTTP:X-Barred} != 'yes'"
</Location>
"""
ASK = ("Prefer", "idempotency=lookup")
UNKNOWN_KEY, UNAVAILABLE = (404, "key-unknown"), (501, "lookup-unavailable")


def ask(api, path, key="k1", headers=(), **request):
    """Asks; and whatever the answer, it says that the preference was obeyed."""
    answer = api.request(request.pop("method", "POST"), path, key=key, headers=[ASK, *headers], **request)
    assert "idempotency=lookup" in answer.all("Preference-Applied")
    return answer


def test_nothing_is_known(httpd, api, origin):
    before = len(httpd.control.calls())
    asked = ask(api, "/pay", body=b"1")
    assert asked.problem == UNKNOWN_KEY and asked["Retry-After"] is None
    assert asked.json["type"].endswith(":key-unknown") and asked["Cache-Control"] == "no-store"
    assert httpd.control.calls()[before:] == [["fetch", "notfound"]]
    assert origin.executions() == 0
    assert api.post("/pay", key="k1", body=b"1").problem == (201, None)
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("path", ["/pay", "/pay?status=500&body=sorry", "/pay?status=204&body=", "/pay?size=100000"])
def test_recorded(api, origin, path):
    first = api.post(path, key="k1", body=b"1")
    asked = ask(api, path, body=b"1")
    assert asked.replayed and asked.status == first.status and asked.body == first.body
    assert {"outcome": "replayed"}.items() <= status_field(asked).items()
    assert origin.executions("/pay") == 1
    again = api.post(path, key="k1", body=b"1")
    assert again.replayed and again["Preference-Applied"] is None and again.body == first.body


def test_recorded_preferences_stay(api):
    api.post("/pay?header=Preference-Applied:+return%3dminimal", key="k1")
    asked = ask(api, "/pay?header=Preference-Applied:+return%3dminimal")
    assert sorted(asked.all("Preference-Applied")) == ["idempotency=lookup", "return=minimal"]


@pytest.mark.parametrize("path", ["/pay", "/waits"])
def test_running(api, origin, path):
    """It waits for nobody."""
    with origin.hold(path) as held:
        first = api.post_async(path, key="k1")
        held.wait_until_entered()
        asked = ask(api, path)
        assert asked.problem == (409, "in-progress") and asked["Retry-After"] == "1"
        assert ask(api, path, body=b"other").problem == (422, "key-reused")
    assert first.result().status == 201
    assert ask(api, path).replayed
    assert origin.executions(path) == 1


def test_interrupted(api, origin):
    """Policy would let a retry run; a question never does."""
    path = "/retried?header=Content-Length:+8&body=0123"
    assert api.post(path, key="k1").status == 502
    for _ in range(2):
        assert ask(api, path).problem == (409, "outcome-unknown")
    assert origin.executions("/retried") == 1


def test_not_kept(api, origin):
    api.post("/long?size=5000", key="k1")
    assert ask(api, "/long?size=5000").problem == (409, "response-not-kept")
    assert origin.executions("/long") == 1


def test_released(api, origin):
    api.post("/pay?status=503", key="k1")
    assert ask(api, "/pay?status=503").problem == UNKNOWN_KEY
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("other, parts", [
    ({"body": b"2"}, ["body"]), ({"body": b""}, ["body"]), ({"method": "PUT"}, ["method"]),
    ({"headers": [("Authorization", "Bearer 2")]}, ["credentials"])
])
def test_only_for_the_same_request(api, origin, other, parts):
    """Without the body, or with somebody else's key, it learns no more than by a retry."""
    api.post("/pay", key="k1", body=b"1", headers=[("Authorization", "Bearer 1")])
    request = {"body": b"1", "headers": [("Authorization", "Bearer 1")], **other}
    asked = ask(api, "/pay", **request)
    assert asked.problem == (422, "key-reused") and parts_named(asked) == parts
    assert status_field(asked) == {"outcome": "key-reused"}
    assert origin.executions("/pay") == 1


def test_large_body_is_compared(api, origin):
    large = b"x" * 50000
    api.post("/spooled", key="k1", body=large)
    assert ask(api, "/spooled", body=large).replayed
    assert ask(api, "/spooled", body=large[:-1] + b"y").problem == (422, "key-reused")
    assert ask(api, "/spooled", key="k2", body=large).problem == UNKNOWN_KEY
    assert origin.executions("/spooled") == 1


def test_access_is_checked(api, origin):
    api.post("/members", key="k1", headers=[basic("alice")])
    assert api.post("/members", key="k1", headers=[ASK]).status == 401
    assert ask(api, "/members", headers=[basic("alice")]).replayed
    assert ask(api, "/members", headers=[basic("bob")]).problem == UNKNOWN_KEY  # keys of his own
    assert api.post("/front", key="k1").status == 201
    assert ask(api, "/front").replayed
    assert api.post("/front", key="k1", headers=[ASK, ("X-Barred", "yes")]).status == 403


def test_key_is_missing_or_invalid(api, origin):
    assert ask(api, "/pay", key=None).problem == (400, "key-missing")
    assert ask(api, "/pay", key=None, headers=["Idempotency-Key: a,b"]).problem == (400, "key-invalid")
    assert origin.executions() == 0


def test_key_in_the_body(api, origin):
    assert ask(api, "/json", key=None, json={"id": "k1"}).problem == UNKNOWN_KEY
    assert ask(api, "/json", key=None, json={"other": "k1"}).problem == (400, "key-missing")
    assert origin.executions() == 0
    assert api.post("/json", json={"id": "k1"}).status == 201
    assert ask(api, "/json", key=None, json={"id": "k1"}).replayed
    assert status_field(api.post("/json", json={"other": "k1"})) == {"unused": "no-key"}


def test_where_nothing_is_kept(api, origin):
    """It is refused rather than executed; without the preference everything runs."""
    for path, method in (("/off", "POST"), ("/watched", "POST"), ("/pay", "GET"), ("/pay", "LOCK")):
        asked = ask(api, path, method=method)
        assert asked.problem == UNAVAILABLE and status_field(asked) == {"outcome": "lookup-unavailable"}
    assert origin.executions() == 0
    assert [api.post(path, key="k1").status for path in ("/off", "/watched")] == [201, 201]
    assert ask(api, "/off").problem == UNAVAILABLE


def test_new_keys_are_not_counted(api, origin):
    for number in range(3):
        assert ask(api, "/few", key=f"asked{number}").problem == UNKNOWN_KEY
    assert api.post("/few", key="k1").status == 201
    assert ask(api, "/few", key="k2").problem == UNKNOWN_KEY
    assert ask(api, "/few").replayed


def test_old_keys(api):
    old = "00000000-0000-7000-8000-000000000000"
    assert ask(api, "/aged", key=old).problem == (409, "key-expired")


def test_hanging_handler(api, origin):
    import env
    with origin.hold("/hangs") as held:
        first = api.post_async("/hangs", key="k1")
        held.wait_until_entered()
        env.until(lambda: ask(api, "/hangs").problem == (409, "outcome-unknown"), "it has taken too long")
    assert first.result().status == 201


@pytest.mark.parametrize("path", ["/pay", "/bypassed"])
def test_store_that_is_down(httpd, api, origin, expect_log, path):
    httpd.control.fail("fetch", "timeout")
    asked = ask(api, path)
    httpd.control.behave()
    assert asked.problem == (503, "store-unavailable") and asked["Retry-After"] == "5"
    assert origin.executions() == 0
    expect_log(10)


def test_off_unless_it_is_on(api, origin):
    """RFC 7240: a preference that is not understood is ignored, and the answer does not claim to apply it."""
    answer = api.post("/unasked", key="k1", headers=[ASK])
    assert answer.problem == (201, None) and answer["Preference-Applied"] is None
    again = api.post("/unasked", key="k1", headers=[ASK])
    assert again.replayed and again["Preference-Applied"] is None
    assert origin.executions("/unasked") == 1


ASKING = ["idempotency=lookup", "Idempotency=LOOKUP", 'idempotency="lookup"', "idempotency = lookup",
          "return=minimal, idempotency=lookup", "respond-async , idempotency=lookup;x=1",
          'a="b, c=\\"", idempotency=lookup', "idempotency=lookup, idempotency=other", ",,idempotency=lookup"]
NOT_ASKING = ["", "idempotency", "idempotency=", "idempotency=look", "idempotency=lookups", "xidempotency=lookup",
              "idempotency-x=lookup", 'a="idempotency=lookup"', 'a="b, idempotency=lookup"', "a;idempotency=lookup",
              "idempotency=other, idempotency=lookup", 'idempotency="lookup', 'idempotency=""']


@pytest.mark.parametrize("value", ASKING)
def test_forms_of_the_preference(api, origin, value):
    assert api.post("/pay", key="k1", headers=[("Prefer", value)]).problem == UNKNOWN_KEY
    assert origin.executions() == 0


@pytest.mark.parametrize("value", NOT_ASKING)
def test_other_preferences(api, origin, value):
    assert api.post("/pay", key="k1", headers=[("Prefer", value)]).problem == (201, None)
    assert origin.executions("/pay") == 1


def test_several_lines(api):
    assert api.post("/pay", key="k1", headers=[("Prefer", "return=minimal"), ASK]).problem == UNKNOWN_KEY


def test_error_page_for_browsers(api):
    page = ask(api, "/pay", headers=["Accept: text/html"])
    assert page.problem == UNKNOWN_KEY and page["Content-Type"].startswith("text/html")


def test_exposed_to_scripts(api):
    api.post("/shared", key="k1")
    for key in ("k1", "k2"):
        assert "Preference-Applied" in ask(api, "/shared", key=key)["Access-Control-Expose-Headers"]
    assert "Preference-Applied" not in api.post("/shared", key="k1")["Access-Control-Expose-Headers"]


def test_http2(httpd, host, origin):
    with Http2(httpd.address, host) as client:
        empty = client.result(client.start("/cgi/pay", "k1", headers=[("prefer", "idempotency=lookup")]))
        first = client.result(client.start("/cgi/pay", "k1"))
        known = client.result(client.start("/cgi/pay", "k1", headers=[("prefer", "idempotency=lookup")]))
    assert empty.problem == UNKNOWN_KEY and empty["preference-applied"] == "idempotency=lookup"
    assert known.replayed and known.body == first.body
    assert origin.executions("/pay") == 1


def test_first_guard_answers(httpd, host, origin):
    """The second guard is not asked."""
    api = Api(httpd.address, host, "/behind")
    assert ask(api, "/pay").problem == UNKNOWN_KEY
    first = api.post("/pay", key="k1")
    assert ask(api, "/pay").body == first.body
    assert origin.executions("/pay") == 1


def test_second_guard_that_understands(httpd, host, origin):
    """The first one takes it for the request itself; the second one does not let it run, and nothing is recorded."""
    api = Api(httpd.address, host, "/unaware")
    for _ in range(2):
        assert ask(api, "/pay").problem == UNKNOWN_KEY
    assert origin.executions() == 0
    assert api.post("/pay", key="k1").problem == (201, None)
    assert origin.executions("/pay") == 1


def test_log_tells_questions_apart(httpd, api):
    api.post("/pay", key="k1")
    ask(api, "/pay")
    ask(api, "/pay", key="k2")
    assert [row[1:3] for row in httpd.outcomes(api, 3)] == [["201", "executed"], ["201", "replayed"],
                                                             ["404", "key-unknown"]]
