# SPDX-License-Identifier: Apache-2.0
"""The process that runs a handler dies, or stops: what the operating system says of it decides, at once."""
import os
import signal

import pytest

import env
from client import Api

CONFIG = """
<Location /cgi/again>
    IdempotencyInterrupted retry
</Location>
"""


@pytest.fixture
def server(new_httpd, store):
    return new_httpd(CONFIG, store).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


@pytest.fixture
def kill(server, origin):
    """Kills the child that runs the handler of a held path; what it returns waits until its parent has buried it."""
    def kill(api, path, held):
        conn = api.post_async(path, key="k1", body=b"1")
        held.wait_until_entered()
        child = server.child_of(conn)
        server.kill_child(child)
        return lambda: env.until(lambda: child not in server.children(), "the parent buries its child")
    return kill


def test_retry_learns_at_once_that_the_outcome_is_unknown(api, origin, kill):
    with origin.hold("/pay") as held:
        buried = kill(api, "/pay", held)
        assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
        buried()
    assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert api.post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    assert origin.executions("/pay") == 1


def test_other_keys_go_on(api, origin, kill):
    first = api.post("/other", key="k2")
    with origin.hold("/pay") as held:
        kill(api, "/pay", held)()
    assert api.post("/other", key="k2").recorded == first.recorded
    assert api.post("/other", key="k3").problem == (201, None)


def test_retry_takes_over_where_that_is_allowed(api, origin, kill):
    with origin.hold("/again") as held:
        kill(api, "/again", held)()
    again = api.post("/again", key="k1", body=b"1")
    assert again.problem == (201, None) and not again.replayed
    assert api.post("/again", key="k1", body=b"1").recorded == again.recorded
    runs = origin.runs("/again")
    assert [run["IDEMPOTENCY_ATTEMPT"] for run in runs] == ["1", "2"]
    assert runs[0]["IDEMPOTENCY_SLOT"] == runs[1]["IDEMPOTENCY_SLOT"]
    assert runs[0]["IDEMPOTENCY_TOKEN"] != runs[1]["IDEMPOTENCY_TOKEN"]


def test_of_eight_racing_retries_one_takes_over(api, origin, kill):
    with origin.hold("/again") as held:
        kill(api, "/again", held)()
        racing = [api.post_async("/again", key="k1", body=b"1") for _ in range(8)]
        held.wait_until_entered()
        refused = api.post("/again", key="k1", body=b"1")
        assert refused.problem == (409, "in-progress")
    answers = [conn.result() for conn in racing]
    executed = [answer for answer in answers if answer.problem == (201, None) and not answer.replayed]
    assert len(executed) == 1
    assert all(answer.problem == (409, "in-progress") or answer.recorded == executed[0].recorded for answer in answers)
    assert [run["IDEMPOTENCY_ATTEMPT"] for run in origin.runs("/again")] == ["1", "2"]


def test_taker_over_dies_too(api, origin, kill):
    for _ in range(2):
        with origin.hold("/again") as held:
            kill(api, "/again", held)()
    assert api.post("/again", key="k1", body=b"1").problem == (201, None)
    assert [run["IDEMPOTENCY_ATTEMPT"] for run in origin.runs("/again")] == ["1", "2", "3"]


def test_stopped_child_is_still_the_owner(server, api, origin):
    with origin.hold("/again") as held:
        first = api.post_async("/again", key="k1", body=b"1")
        held.wait_until_entered()
        child = server.child_of(first)
        server.stop_child(child)
        assert api.post("/again", key="k1", body=b"1").problem == (409, "in-progress")
        os.kill(child, signal.SIGCONT)
    first = first.result()
    assert first.problem == (201, None)
    assert api.post("/again", key="k1", body=b"1").recorded == first.recorded
    assert origin.executions("/again") == 1


def test_crash_is_known_after_a_full_restart(server, api, origin, kill, expect_log):
    if not server.store.startswith("lmdb"):
        pytest.skip("the store forgets with its server")
    with origin.hold("/pay") as held:
        kill(api, "/pay", held)()
    expect_log(62)  # said at each start: the store lies under /tmp
    server.stop()
    server.start()
    assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1
