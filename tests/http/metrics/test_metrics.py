# SPDX-License-Identifier: Apache-2.0
"""SetHandler idempotency-metrics: everything that is done with a request is counted once, wherever it is done."""
import os
import signal

import pytest

import env
import metrics
from client import Api
from metrics import Metrics

STORES = ["wrap:{root}/control,lmdb:{root}/store"]
REQUESTS = ("requests", "detected", "undecided", "settlements")
CONFIG = metrics.CONFIG + """
IdempotencyStoreTimeout 2s
<Location ~ "^/[a-z]+/required">
    IdempotencyRequireKey On
</Location>
<Location ~ "^/[a-z]+/long">
    IdempotencyMaxResponse 1K
</Location>
<Location ~ "^/[a-z]+/aged">
    IdempotencyKeyAge 1h
</Location>
<Location ~ "^/[a-z]+/limited">
    IdempotencyMaxKeys 1 per 1h
</Location>
<Location ~ "^/[a-z]+/bypass">
    IdempotencyStoreFailure bypass
</Location>
<Location ~ "^/[a-z]+/wait">
    IdempotencyConcurrent wait 20s
</Location>
<Location ~ "^/[a-z]+/watched">
    IdempotencyEngine DetectionOnly
</Location>
<Location /cgi/page>
    ErrorDocument 422 /proxy/sorry
</Location>
SetEnvIf Request_URI trusted ap_trust_cgilike_cl
"""


@pytest.fixture
def counted(httpd):
    return Metrics(httpd)


@pytest.fixture
def start(counted):
    return counted.read()


@pytest.fixture
def own(new_httpd, store, host):
    """A server that is nobody else's, its client, its metrics, and what stood there before anything happened: about
    trouble a process speaks once a second.
    """
    server = new_httpd(CONFIG, store).start()
    server.wait_until_attached()
    server.api, server.metrics = Api(server.address, host, "/proxy"), Metrics(server)
    server.zero = dict.fromkeys(server.metrics.read(), 0)
    return server


def outcomes(settled=(), **words):
    """requests_total of each word, its executed ones settled like this."""
    expected = {f'requests_total{{outcome="{word.replace("_", "-")}"}}': count for word, count in words.items()}
    expected.update({f'settlements_total{{settlement="{word}"}}': 1 for word in settled})
    return expected


# ---- requests --------------------------------------------------------------------------------------------------------

def twice(path, key="k1", bodies=(b"1", b"1"), **more):
    return lambda api: [api.post(path, key=key, body=body, **more).problem for body in bodies]


CASES = {
    "replayed": (twice("/pay"), outcomes(["recorded"], executed=1, replayed=1)),
    "key-reused": (twice("/pay", bodies=(b"1", b"2")), outcomes(["recorded"], executed=1, key_reused=1)),
    "key-missing": (twice("/required", key=None), outcomes(key_missing=2)),
    "key-invalid": (twice("/pay", key="é"), outcomes(key_invalid=2)),
    "tombstone": (twice("/long?size=2000"), outcomes(["tombstone"], executed=1, response_not_kept=1)),
    "released": (twice("/pay?status=503", bodies=[b"1"]), outcomes(["released"], executed=1)),
    "unknown": (twice("/trusted?header=Content-Length:+8&body=0123"),
                outcomes(["unknown"], executed=1, outcome_unknown=1)),
    "too-many-keys": (lambda api: [api.post("/limited", key=key).problem for key in ("k1", "k2")],
                      outcomes(["recorded"], executed=1, too_many_keys=1)),
    "key-expired": (twice("/aged", key="00000000-0000-7000-8000-000000000000"), outcomes(key_expired=2)),
    "error page": (twice("/page", bodies=(b"1", b"2"), headers=["Accept: text/html"]),
                   outcomes(["recorded"], executed=1, key_reused=1)),
    "head": (lambda api: [api.request("DELETE", "/pay", key="k1").problem, api.get("/pay", key="k1").problem],
             outcomes(["recorded"], executed=1)),
}


@pytest.mark.parametrize("case", CASES)
def test_outcome_and_settlement_are_counted_once(api, counted, start, case):
    send, expected = CASES[case]
    send(api)
    counted.expect(start, REQUESTS, expected)


def test_in_progress(api, origin, counted, start):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        assert api.post("/pay", key="k1").problem == (409, "in-progress")
        counted.expect(start, REQUESTS, outcomes(in_progress=1))  # the first one has not ended
        assert counted.read()["leases_held"] == 1
    assert first.last_result().status == 201
    counted.expect(start, REQUESTS, outcomes(["recorded"], executed=1, in_progress=1))
    counted.until("leases_held", 0)


def test_waiter(api, origin, counted, start):
    api = api.at("/proxy")
    with origin.hold("/wait") as held:
        first = api.post_async("/wait", key="k1")
        held.wait_until_entered()
        second = api.post_async("/wait", key="k1")
        counted.until("waiters", 1)
    assert [conn.last_result().status for conn in (first, second)] == [201, 201]
    counted.expect(start, REQUESTS, outcomes(["recorded"], executed=1, replayed=1))
    assert counted.read()["waiters"] == 0


def test_store_that_does_not_answer(own, expect_log):
    expect_log(10, 50)
    own.control.fail("claim", "down")
    assert own.api.post("/pay", key="k1").problem == (503, "store-unavailable")
    assert own.api.post("/bypass", key="k1").problem == (201, None)
    own.metrics.expect(own.zero, REQUESTS, outcomes(store_unavailable=1, bypassed=1))


def test_settlement_that_lost_its_slot(own, expect_log):
    expect_log(14)
    own.control.fail("settle", "lost once")
    own.control.fail("fetch", "lost once")
    own.api.post("/pay", key="k1")
    own.metrics.expect(own.zero, REQUESTS, outcomes(["lost"], executed=1))


def test_upload_that_breaks_off_is_undecided(api, counted, start):
    conn = api.connect()
    conn.send(api.head("POST", "/pay", ['Idempotency-Key: "k1"', "Content-Length: 9"]) + b"123")
    conn.reset()
    counted.expect(start, REQUESTS, {"undecided_requests_total": 1})


def test_what_is_only_watched_is_counted_apart(api, counted, start):
    """The other body is read by the handler, and known to be another one when the request has ended."""
    for body in (b"1", b"1", b"2"):
        assert api.post("/watched", key="k1", body=body).problem == (201, None)
    counted.expect(start, REQUESTS, {f'detected_requests_total{{outcome="{word}"}}': 1
                                     for word in ("executed", "replayed", "key-reused")})


def test_requests_that_are_not_guarded_are_not_counted(api, counted, start):
    assert [api.get("/pay", key="k1").status, api.post("/pay").status] == [201, 201]
    api.post("/pay", key="k1")
    counted.expect(start, REQUESTS, outcomes(["recorded"], executed=1))
    assert calls_since(counted, start) == {call("claim", "ok"): 1, call("settle", "ok"): 1}


def calls_since(metrics, start):
    """Calls of the store, without those that come by themselves from time to time."""
    return {
        name: count
        for name, count in metrics.moved(start, "store_calls").items() if 'operation="sweep"' not in name
    }


# ---- stores ----------------------------------------------------------------------------------------------------------

def call(operation, result):
    return f'store_calls_total{{operation="{operation}",result="{result}"}}'


@pytest.mark.parametrize("how, result", [("down", "failed"), ("timeout", "failed"), ("full", "full")])
def test_calls_are_counted_by_what_came_of_them(own, expect_log, how, result):
    expect_log(10)
    own.control.fail("claim", how)
    assert own.api.post("/pay", key="k1").problem == (503, "store-unavailable")
    own.control.behave()
    own.control.fail("settle", how + " once")
    assert own.api.post("/pay", key="k2").status == 201
    moved = own.metrics.moved(own.zero, "store_calls")
    assert (moved[call("claim", result)], moved[call("claim", "ok")], moved[call("settle", result)]) == (1, 1, 1)


def test_calls_that_find_something_are_refused(api, counted, start):
    twice("/pay")(api)
    assert calls_since(counted, start) == {call("claim", "ok"): 1, call("claim", "refused"): 1, call("settle", "ok"): 1}


def test_duration_of_calls(own):
    (own.control.folder / "delay-settle").write_text("150")
    own.api.post("/pay", key="k1")
    moved = own.metrics.moved(own.zero, "store_call_duration")
    settle = 'store_call_duration_seconds_%s{%soperation="settle"}'
    within = {
        bound: moved.get(settle % ("bucket", f'le="{bound}",'), 0)
        for bound in ("0.0001", "0.1", "3.0", "10.0", "+Inf")
    }
    assert within == {"0.0001": 0, "0.1": 0, "3.0": 1, "10.0": 1, "+Inf": 1}
    assert moved[settle % ("count", "")] == 1 and 0.15 <= moved[settle % ("sum", "")] < 3
    assert moved[settle.replace("settle", "claim") % ("count", "")] == 1


def test_settlement_that_the_keeper_repeats(own, expect_log):
    expect_log(10)
    own.control.fail("settle", "down")
    assert own.api.post("/pay?size=5000", key="k1").status == 201
    own.metrics.expect(own.zero, REQUESTS, outcomes(["recorded"], executed=1))
    waiting = own.metrics.read()
    assert waiting["keeper_jobs"] == 1 and 5000 < waiting["keeper_bytes"] < 7000
    assert own.metrics.moved(own.zero, "keeper_jobs_ended") == {}
    own.control.behave()
    own.metrics.expect(own.zero, ("keeper_jobs_ended",), {'keeper_jobs_ended_total{result="acknowledged"}': 1})
    own.metrics.until("keeper_jobs", 0)
    assert own.metrics.read()["keeper_bytes"] == 0


# ---- processes -------------------------------------------------------------------------------------------------------

@pytest.fixture
def crowd(httpd, api, origin):
    """Requests under way in two children at least: {child: its connections}."""
    api, conns = api.at("/proxy"), {}
    with origin.hold("/pay") as held:
        while len(conns) < 2:
            conn = api.post_async("/pay", key=f"k{sum(map(len, conns.values()))}")
            held.wait_until_entered()
            conns.setdefault(httpd.child_of(conn), []).append(conn)
        yield conns


def test_children_count_together(counted, start, crowd):
    under_way = sum(map(len, crowd.values()))
    assert counted.read()["leases_held"] == under_way
    assert len(crowd) == 2 and counted.moved(start, *REQUESTS) == {}


def test_killed_child_leaves_no_gauge_behind(httpd, counted, crowd):
    victim, lost = next(iter(crowd.items()))
    assert counted.read()["leases_held"] == sum(map(len, crowd.values()))
    os.kill(victim, signal.SIGKILL)
    env.until(lambda: victim not in httpd.children(), "the parent buries its child")
    counted.until("leases_held", sum(map(len, crowd.values())) - len(lost))


def test_graceful_restart_forgets_nothing(own, expect_log):
    expect_log(62)  # said at each start: the store lies under /tmp
    old = set(own.children())
    twice("/pay")(own.api)
    own.metrics.expect(own.zero, REQUESTS, outcomes(["recorded"], executed=1, replayed=1))
    calls = calls_since(own.metrics, own.zero)
    own.graceful()
    env.until(lambda: not old & set(own.children()), "the old generation has ended")
    own.metrics.expect(own.zero, REQUESTS, outcomes(["recorded"], executed=1, replayed=1))
    assert calls_since(own.metrics, own.zero) == calls
    twice("/pay", key="k2")(own.api)
    own.metrics.expect(own.zero, REQUESTS,
                       outcomes(executed=2, replayed=2) | {'settlements_total{settlement="recorded"}': 2})
    assert own.metrics.read()["processes"] <= len(own.children())


def test_old_generation_is_counted_until_it_ends(own, origin, expect_log):
    expect_log(62)
    with origin.hold("/pay") as held:
        first = own.api.post_async("/pay", key="k1")
        held.wait_until_entered()
        own.graceful()
        own.metrics.until("leases_held", 1)
    assert first.last_result().status == 201
    own.metrics.until('settlements_total{settlement="recorded"}', 1)
    own.metrics.until("leases_held", 0)


# ---- circuit breakers ------------------------------------------------------------------------------------------------

@pytest.fixture
def broken(own, expect_log):
    """The process that has found, before others, that its store does not answer."""
    expect_log(10, 22)
    own.control.fail("all", "down")
    lines = lambda: [line for line in own.log.lines() if "IDEM022" in line]
    env.until(lambda: own.api.post("/pay", key="k1").status == 503 and lines(), "a breaker opens")
    return int(lines()[0].split("[pid ")[1].split(":")[0])


def test_breaker_opens_and_closes(own, broken):
    assert own.metrics.read()["store_breakers_open"] >= 1
    assert own.metrics.read()["store_breaker_openings_total"] >= 1
    own.control.behave()
    env.until(lambda: own.api.post("/pay", key="k2").status == 201 and own.metrics.read()["store_breakers_open"] == 0,
              "the store is used again by all")


@pytest.mark.mpm_independent
def test_calls_that_are_not_sent_take_no_time(own, broken):
    """A store that is down is not to look fast. Only some calls reach it until all three breakers are open."""
    moved = own.metrics.moved(own.zero, "store_call")
    for _ in range(20):
        assert own.api.post("/pay", key="k1").status == 503
    after = own.metrics.moved(own.zero, "store_call")
    durations = 'store_call_duration_seconds_count{operation="claim"}'
    assert after[call("claim", "failed")] == moved[call("claim", "failed")] + 20
    assert after[durations] < moved[durations] + 20


@pytest.mark.mpm_independent
def test_killed_child_leaves_no_open_breaker_behind(own, broken):
    """It is stopped first: it could close its breaker otherwise."""
    own.stop_child(broken)
    own.control.behave()
    own.metrics.until("store_breakers_open", 1)
    own.kill_child(broken)
    own.metrics.until("store_breakers_open", 0)
