# SPDX-License-Identifier: Apache-2.0
"""A request that httpd refuses today is refused, record or not. A refusal of httpd's is never recorded."""
from checks import basic

CONFIG = """
<Location ~ "/(cgi|fpm|proxy)/members">
    AuthType Basic
    AuthName members
    AuthUserFile "{stage}/passwords"
    Require valid-user
</Location>
<Location /cgi/open-hours>
    Require expr "%{HTTP:X-Open} == 'yes'"
</Location>
<Location /cgi/checked>
    IdempotencyFingerprint method path
    AuthType Basic
    AuthName members
    AuthUserFile "{stage}/passwords"
    IdempotencyScope host
    Require user alice
</Location>
<Location /cgi/limited>
    RewriteEngine On
    RewriteCond %{HTTP:X-Calm} !yes
    RewriteRule ^ - [R=429,L]
</Location>
"""

OPEN = ("X-Open", "yes")


def test_no_replay_without_credentials(each_api, origin):
    if each_api.base == "/php":
        each_api = each_api.at("/cgi")
    first = each_api.post("/members", key="k1", headers=[basic("alice")])
    assert first.status == 201
    refused = each_api.post("/members", key="k1")
    assert refused.problem == (401, None) and refused["WWW-Authenticate"]
    assert first.body not in refused.body
    assert each_api.post("/members", key="k1", headers=[basic("alice")]).recorded == first.recorded
    assert origin.executions("/members") == 1


def test_no_replay_for_a_user_who_is_not_let_in(api, origin):
    """Scope and fingerprint would let bob have alice's record; httpd does not."""
    first = api.post("/checked", key="k1", headers=[basic("alice")])
    assert api.post("/checked", key="k1", headers=[basic("alice")]).recorded == first.recorded
    assert api.post("/checked", key="k1", headers=[basic("bob")]).problem == (401, None)
    assert origin.executions("/checked") == 1


def test_no_replay_after_the_door_closed(api, origin):
    first = api.post("/open-hours", key="k1", headers=[OPEN])
    assert first.status == 201
    assert api.post("/open-hours", key="k1").problem == (403, None)
    assert api.post("/open-hours", key="k1", headers=[OPEN]).replayed
    assert origin.executions("/open-hours") == 1


def test_refusals_of_httpd_are_never_recorded(api, origin, httpd):
    assert api.post("/members", key="k1").problem == (401, None)
    assert api.post("/open-hours", key="k2").problem == (403, None)
    assert api.post("/limited", key="k3").problem == (429, None)
    assert origin.executions() == 0
    assert [row[2:]
            for row in httpd.outcomes(api, 3)] == [["-", "-", "-"]] * 3  # nothing was decided, no slot was asked for
    assert api.post("/members", key="k1", headers=[basic("alice")]).problem == (201, None)
    assert api.post("/open-hours", key="k2", headers=[OPEN]).problem == (201, None)
    assert api.post("/limited", key="k3", headers=[("X-Calm", "yes")]).problem == (201, None)


def test_refusal_comes_before_a_bad_key_is_noticed(api):
    assert api.post("/members", headers=["Idempotency-Key: a,b"]).problem == (401, None)


def test_401_of_the_application_is_released(each_api, origin, httpd):
    for _ in range(2):
        answer = each_api.post("/pay?status=401&header=WWW-Authenticate:+Bearer", key="k1")
        assert answer.status == 401 and answer["WWW-Authenticate"] == "Bearer" and not answer.replayed
    assert origin.executions("/pay") == 2
    assert [row[2:4] for row in httpd.outcomes(each_api, 2)] == [["executed", "released"]] * 2
