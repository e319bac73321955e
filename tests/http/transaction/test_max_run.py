# SPDX-License-Identifier: Apache-2.0
"""IdempotencyMaxRun: who comes while a handler hangs is told that its outcome is unknown; nothing runs beside it."""
import time

import pytest

import env

CONFIG = """
<LocationMatch "^/cgi/(hangs|retried|waits|other)">
    IdempotencyMaxRun 1s
</LocationMatch>
<Location /cgi/retried>
    IdempotencyInterrupted retry
</Location>
<Location /cgi/waits>
    IdempotencyConcurrent wait 1min
</Location>
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
    IdempotencyMaxRun 1s
</Location>
"""
RUNNING, UNKNOWN = (409, "in-progress"), (409, "outcome-unknown")


def until_given_up(api, path, **more):
    """What its duplicates are told, from the first one that is not told to come back."""
    def ask():
        answer = api.post(path, key="k1", **more)
        return answer if answer.problem != RUNNING else None
    return env.until(ask, "the execution has taken too long")


@pytest.mark.parametrize("path", ["/hangs", "/retried"])
def test_outcome_counts_as_unknown_while_it_runs(api, origin, path):
    with origin.hold(path) as held:
        first = api.post_async(path, key="k1")
        held.wait_until_entered()
        told = until_given_up(api, path)
        assert told.problem == UNKNOWN and told["Retry-After"] is None
        assert "running for longer" in told.json["detail"]
        assert api.post(path, key="k1").problem == UNKNOWN
    assert first.result().status == 201
    assert api.post(path, key="k1").replayed
    assert origin.executions(path) == 1


def test_young_ones_are_in_progress(api, origin):
    """Without the directive, and with it within its time."""
    with origin.hold("/pay") as held, origin.hold("/hangs") as hanging:
        conns = [api.post_async(path, key=path) for path in ("/hangs", "/pay")]
        hanging.wait_until_entered()
        held.wait_until_entered()
        early = api.post("/hangs", key="/hangs").problem
        env.until(lambda: api.post("/hangs", key="/hangs").problem == UNKNOWN, "it has taken too long")
        assert early in (RUNNING, UNKNOWN)  # a busy machine may have taken a second
        assert api.post("/pay", key="/pay").problem == RUNNING
    assert [conn.result().status for conn in conns] == [201, 201]


def test_waiters_end_then(api, origin):
    with origin.hold("/waits") as held:
        first = api.post_async("/waits", key="k1")
        held.wait_until_entered()
        waiting = [api.post_async("/waits", key="k1") for _ in range(3)]
        assert [conn.result().problem for conn in waiting] == [UNKNOWN] * 3
    assert first.result().status == 201
    assert api.post("/waits", key="k1").replayed


def test_other_request_is_told_as_ever(api, origin):
    with origin.hold("/other") as held:
        first = api.post_async("/other", key="k1", body=b"1")
        held.wait_until_entered()
        until_given_up(api, "/other", body=b"1")
        assert api.post("/other", key="k1", body=b"2").problem == (422, "key-reused")
    assert first.result().status == 201


def test_watched_only(httpd, api, origin):
    """Both run; that the second one came late is only said."""
    with origin.hold("/watched") as held:
        first = api.post_async("/watched", key="k1")
        held.wait_until_entered()
        entered = time.monotonic()
        env.until(lambda: time.monotonic() > entered + 1.1, "it has taken too long")
        second = api.post_async("/watched", key="k1")
        held.wait_until_entered()
    assert [conn.result().status for conn in (first, second)] == [201, 201]
    assert [row[2] for row in httpd.outcomes(api, 2)] == ["detected:executed", "detected:outcome-unknown"]
