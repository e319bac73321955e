# SPDX-License-Identifier: Apache-2.0
"""IdempotencyStatusHeader: each answer says what was done with its request, and until when a retry is safe."""
import pytest

from checks import basic
from checks import status_field as said
from client import Api
from client_http2 import Http2

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb", "socache:shmcb"]
MODULES = ["http2"]
CONFIG = """
Protocols h2c http/1.1
IdempotencyStatusHeader X-Once
ProxyPass /behind http://127.0.0.1:{port}/cgi
<LocationMatch "^/[a-z]+/required">
    IdempotencyRequireKey On
</LocationMatch>
<LocationMatch "^/[a-z]+/long">
    IdempotencyMaxResponse 1K
</LocationMatch>
<Location /cgi/brief>
    IdempotencyTTL 90s
</Location>
<Location /cgi/cut>
    SetEnv ap_trust_cgilike_cl 1
</Location>
<Location /cgi/streamed>
    IdempotencyResponse stream
</Location>
<Location /cgi/silent>
    IdempotencyStatusHeader none
</Location>
<Location /cgi/off>
    IdempotencyEngine Off
</Location>
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
</Location>
<Location /cgi/shared>
    Header always set Access-Control-Allow-Origin https://shop.test
</Location>
<Location /cgi/edited>
    Header always set X-Once forged
    Header set X-Once forged
</Location>
<Location /cgi/members>
    AuthType Basic
    AuthName members
    AuthUserFile "{stage}/passwords"
    Require valid-user
</Location>
<Location /cgi/page>
    IdempotencyRequireKey On
    ErrorDocument 400 /cgi/sorry?status=0
    ErrorDocument 404 /cgi/sorry?status=0
</Location>
<Location /cgi/rewritten>
    RewriteEngine On
    RewriteRule .* /cgi/off [L]
</Location>
"""
EXECUTED = {"outcome": "executed", "settlement": "recorded", "ttl": 86400}
FORGED = "header=X-Once:+forged"


def test_executed_and_replayed(api):
    assert said(api.post("/pay", key="k1")) == EXECUTED
    told = said(api.post("/pay", key="k1"))
    assert told.pop("age") + told.pop("ttl") in (86399, 86400) and told == {"outcome": "replayed"}


def test_ages(api):
    """A second later it is a second older."""
    import time

    import env
    api.post("/pay", key="k1")
    env.until(lambda: said(api.post("/pay", key="k1"))["age"] >= 1, "it grows older")
    began = time.monotonic()
    told = said(api.post("/pay", key="k1"))
    assert 1 <= told["age"] <= 1 + env.SLACK + time.monotonic() - began and told["ttl"] < 86400


def test_life_of_this_key(api):
    assert said(api.post("/brief", key="k1"))["ttl"] == 90
    assert said(api.post("/pay?header=Idempotency-Control:+ttl%3d60", key="k2"))["ttl"] == 60
    assert 0 < said(api.post("/pay?header=Idempotency-Control:+ttl%3d60", key="k2"))["ttl"] <= 60


def test_settlements(api):
    assert said(api.post("/pay?status=503", key="k1")) == {"outcome": "executed", "settlement": "released"}
    assert said(api.post("/long?size=5000", key="k2")) == {"outcome": "executed", "ttl": 86400}  # left before its end
    cut = api.post("/cut?header=Content-Length:+8&body=0123", key="k3")
    assert cut.status == 502 and said(cut) == {**EXECUTED, "settlement": "unknown"}


def test_streamed_leaves_before_its_settlement(api):
    assert said(api.post("/streamed", key="k1")) in (EXECUTED, {"outcome": "executed", "ttl": 86400})
    assert said(api.post("/streamed", key="k1"))["outcome"] == "replayed"


def test_refusals(api, origin):
    assert said(api.post("/required")) == {"outcome": "key-missing"}
    assert said(api.post("/pay", headers=["Idempotency-Key: a,b"])) == {"outcome": "key-invalid"}
    with origin.hold("/slow") as held:
        first = api.post_async("/slow", key="k1")
        held.wait_until_entered()
        assert said(api.post("/slow", key="k1")) == {"outcome": "in-progress"}
    assert said(first.result()) == EXECUTED


def test_life_of_what_cannot_be_replayed(api):
    for path, outcome in (("/long?size=5000", "response-not-kept"),
                          ("/cut?header=Content-Length:+8&body=0123", "outcome-unknown")):
        api.post(path, key=path)
        told = said(api.post(path, key=path))
        assert told.pop("age") + told.pop("ttl") in (86399, 86400) and told == {"outcome": outcome}


def test_no_times_for_another_request(api):
    """Whoever guesses a key learns nothing of when it was used."""
    for path in ("/pay?x=1", "/long?size=5000", "/cut?header=Content-Length:+8&body=0123"):
        api.post(path, key=path, body=b"1", headers=[("Authorization", "Bearer 1")])
        for request in ({"body": b"2"}, {"body": b"1", "headers": [("Authorization", "Bearer 2")]}):
            request.setdefault("headers", [("Authorization", "Bearer 1")])
            assert said(api.post(path, key=path, **request)) == {"outcome": "key-reused"}


def test_why_a_key_is_not_used(api):
    assert said(api.get("/pay", key="k1")) == {"unused": "method"}
    assert said(api.post("/pay")) == {"unused": "no-key"}
    assert said(api.post("/off", key="k1")) == {"unused": "engine-off"}
    assert api.get("/off", key="k1").all("X-Once") == []


def test_first_place_of_a_chain_decides(api):
    assert said(api.get("/rewritten")) == {"unused": "method"}
    assert said(api.post("/rewritten")) == {"unused": "no-key"}
    assert said(api.post("/rewritten", key="k1")) == EXECUTED


@pytest.mark.parametrize("path", ["/pay", "/edited"])
def test_nobody_elses(api, path):
    """Neither the application's copy, nor mod_headers', on whatever answer; and none is recorded."""
    for _ in range(2):
        assert "outcome" in said(api.post(f"{path}?{FORGED}", key="k1"))
    assert said(api.post(f"{path}?{FORGED}")) == {"unused": "no-key"}
    assert said(api.get(f"{path}?{FORGED}")) == {"unused": "method"}


def test_checks_before_us_are_not_ours(api):
    """The engine has not seen it; and an error page of the application's says nothing in our name."""
    assert api.post("/members", key="k1").status == 401
    assert api.post("/members", key="k1").all("X-Once") == []
    assert said(api.post("/members", key="k1", headers=[basic("alice")])) == EXECUTED


def test_error_pages(api):
    page = api.post("/page", headers=["Accept: text/html"])
    assert page.problem == (400, "key-missing") and said(page) == {"outcome": "key-missing"}
    plain = api.post("/required", headers=["Accept: text/html"])
    assert plain["Content-Type"].startswith("text/html") and said(plain) == {"outcome": "key-missing"}
    missing = api.at("/cgi-less").post("/x", key="k1")
    assert missing.status == 404 and said(missing) == EXECUTED
    assert said(api.at("/cgi-less").get("/x")) == {"unused": "method"}


def test_not_where_it_is_none_nor_where_we_only_watch(api):
    for path in ("/silent", "/watched"):
        for _ in range(2):
            assert api.post(f"{path}?{FORGED}", key="k1").all("X-Once") == ["forged"]
    assert api.post(f"/watched?{FORGED}").all("X-Once") == ["forged"]


def test_exposed_to_scripts_of_other_sites(api):
    for request in ({"key": "k1"}, {}, {"headers": ["Idempotency-Key: a,b"]}):
        for _ in range(2):
            answer = api.post("/shared", **request)
            assert answer.all("X-Once") and "X-Once" in answer["Access-Control-Expose-Headers"]
    assert api.post("/pay", key="k2")["Access-Control-Expose-Headers"] is None
    assert "Idempotency-Error" not in api.post("/shared")["Access-Control-Expose-Headers"]


def test_through_a_proxy_it_is_the_first_guards_word(httpd, api, host):
    outer = Api(httpd.address, host, "/behind")
    assert said(outer.post("/pay", key="k1")) == EXECUTED
    assert said(outer.post("/pay", key="k1"))["outcome"] == "replayed"
    assert said(outer.post("/pay")) == {"unused": "no-key"}


def test_http2(httpd, host):
    with Http2(httpd.address, host) as client:
        first = client.result(client.start("/cgi/pay", "k1"))
        again = client.result(client.start("/cgi/pay", "k1"))
        keyless = client.result(client.start("/cgi/pay", None))
    assert first["x-once"] == "idempotency;outcome=executed;settlement=recorded;ttl=86400"
    assert again["x-once"].startswith("idempotency;outcome=replayed;age=")
    assert keyless["x-once"] == "idempotency;unused=no-key"


def test_differs_between_an_answer_and_its_replay(api):
    first, again = api.post("/pay", key="k1"), api.post("/pay", key="k1")
    differ = {name for name, _ in set(first.headers) ^ set(again.headers)}
    assert differ <= {"X-Once", "Idempotent-Replayed", "Date", "Transfer-Encoding", "Content-Length"}
