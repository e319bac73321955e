# SPDX-License-Identifier: Apache-2.0
"""IdempotencyMaxKeys: a scope that brings too many new keys is refused, what is known never is."""
import env
from checks import SIGN_IN, basic, kill_while_it_runs

STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
IdempotencyStoreTimeout 9s
<Location /cgi/few>
    IdempotencyMaxKeys 3 per 1h
</Location>
<Location /cgi/retried>
    IdempotencyMaxKeys 1 per 1h
    IdempotencyInterrupted retry
</Location>
<Location /cgi/brief>
    IdempotencyMaxKeys 2 per 1s
</Location>
<Location /cgi/kept>
    IdempotencyTTL 20min
    IdempotencyMaxKeys 1
</Location>
<Location /cgi/races>
    IdempotencyMaxKeys 5 per 2h
</Location>
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
    IdempotencyMaxKeys 2 per 3h
</Location>
<Location /cgi/members>
""" + SIGN_IN + """    IdempotencyMaxKeys 1 per 4h
</Location>
"""
REFUSED = (429, "too-many-keys")


def spend(api, path, count):
    return [api.post(path, key=f"k{number}") for number in range(count)]


def test_new_keys_up_to_the_bound(api, origin):
    assert [answer.status for answer in spend(api, "/few", 3)] == [201] * 3
    refused = api.post("/few", key="one more")
    assert refused.problem == REFUSED
    assert 3500 < int(refused["Retry-After"]) <= 3600
    assert refused.json["type"].endswith(":too-many-keys")
    assert origin.executions("/few") == 3


def test_known_keys_are_never_refused(api, origin):
    spend(api, "/few", 3)
    assert api.post("/few", key="new").problem == REFUSED
    assert all(answer.replayed for answer in spend(api, "/few", 3))
    assert api.post("/few", key="k0", body=b"other").problem == (422, "key-reused")
    assert origin.executions("/few") == 3


def test_key_that_is_being_executed_is_known(api, origin):
    with origin.hold("/few") as held:
        first = api.post_async("/few", key="k0")
        held.wait_until_entered()
        others = [api.post_async("/few", key=f"k{number}") for number in (1, 2)]
        held.wait_until_entered(2)
        assert api.post("/few", key="k3").problem == REFUSED
        busy = api.post("/few", key="k0")
        assert (busy.problem, busy["Retry-After"]) == ((409, "in-progress"), "1")
    assert [conn.result().status for conn in (first, *others)] == [201] * 3


def test_takeover_is_no_new_key(httpd, api, origin):
    kill_while_it_runs(httpd, api, origin, "/retried", body=b"")
    assert api.post("/retried", key="k2").problem == REFUSED
    assert api.post("/retried", key="k1").problem == (201, None)
    assert origin.executions("/retried") == 2


def test_scope_that_had_its_share_writes_nothing(httpd, api):
    spend(api, "/few", 3)
    before = len(httpd.control.calls())
    assert api.post("/few", key="new").problem == REFUSED
    assert [call[0] for call in httpd.control.calls()[before:]] == ["fetch"]


def test_racing_new_keys_are_counted_exactly(httpd, api, origin):
    """All are on their way to the store before any of them is counted."""
    httpd.control.block("claim")
    with origin.hold("/races") as held:
        racers = [api.post_async("/races", key=f"k{number}") for number in range(12)]
        env.until(lambda: httpd.control.calls().count(["claim", "blocked"]) == 12, "twelve claims")
        httpd.control.behave()
        held.wait_until_entered(5)
        rows = httpd.outcomes(api, 7)  # the others end while these run
        assert [row[1:4] for row in rows] == [["429", "too-many-keys", "-"]] * 7
        assert not held.entered()
    assert sorted((conn.result().problem for conn in racers),
                  key=lambda problem: problem[0]) == [(201, None)] * 5 + [REFUSED] * 7
    assert origin.executions("/races") == 5


def test_period_ends(api, origin):
    spend(api, "/brief", 2)
    refused = api.post("/brief", key="new")
    if refused.problem == REFUSED:  # else the second was over by then
        assert refused["Retry-After"] == "1"
    env.until(lambda: api.post("/brief", key="new").status == 201, "a new period")


def test_period_is_the_ttl_where_none_is_given(api):
    assert [answer.status for answer in spend(api, "/kept", 2)] == [201, 429]
    assert 1150 < int(api.post("/kept", key="k1")["Retry-After"]) <= 1200


def test_key_that_was_given_back_does_not_count(api, origin):
    for number in range(5):
        assert api.post("/few?status=503", key=f"r{number}").status == 503
    assert [answer.status for answer in spend(api, "/few", 4)] == [201, 201, 201, 429]


def test_other_scopes_have_their_own_share(api, origin):
    alice, bob = api.with_headers(basic("alice")), api.with_headers(basic("bob"))
    assert alice.post("/members", key="k1").status == 201
    assert alice.post("/members", key="k2").problem == REFUSED
    assert bob.post("/members", key="k1").status == 201
    assert bob.post("/members", key="k2").problem == REFUSED


def test_requests_without_keys_do_not_count(api):
    assert [api.post("/few").status for _ in range(5)] == [201] * 5
    assert [answer.status for answer in spend(api, "/few", 3)] == [201] * 3


def test_only_watched(httpd, api, origin):
    assert [answer.problem for answer in spend(api, "/watched", 3)] == [(201, None)] * 3
    assert sorted(row[2:4] for row in httpd.outcomes(api, 3)) == [
        ["detected:executed", "tombstone"]] * 2 + [["detected:too-many-keys", "-"]]
