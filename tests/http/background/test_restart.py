# SPDX-License-Identifier: Apache-2.0
"""Records outlive the server: a full restart, a graceful one, and a request that runs through it."""
import pytest

import env
from client import Api

STORES = ["lmdb"]


@pytest.fixture
def server(new_httpd, expect_log):
    expect_log(62)  # said at each start: the store lies under /tmp
    return new_httpd().start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def restart(server, graceful):
    if graceful:
        server.graceful()
    else:
        server.stop()
        server.start()


@pytest.mark.parametrize("graceful", [False, True])
def test_replayed_after_a_restart(server, api, origin, graceful):
    first = api.post("/pay?status=207&header=X-A:+1", key="k1", body=b"1")
    restart(server, graceful)
    again = api.post("/pay?status=207&header=X-A:+1", key="k1", body=b"1")
    assert again.replayed and again.recorded == first.recorded
    assert api.post("/pay?status=207&header=X-A:+1", key="k1", body=b"2").problem == (422, "key-reused")
    assert origin.executions("/pay") == 1


def test_request_under_way_ends_through_a_graceful_restart(server, api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        server.graceful()
        assert api.post("/pay", key="k1").problem == (409, "in-progress")
    first = first.result()
    assert first.problem == (201, None)
    again = api.post("/pay", key="k1")
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_request_under_way_at_a_stop_is_unknown_afterwards(server, api, origin):
    with origin.hold("/pay") as held:
        api.post_async("/pay", key="k1")
        held.wait_until_entered()
        server.stop(at_once=True)
        server.start()
        assert api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


def test_another_idea_of_sameness_is_no_mismatch(server, api, origin):
    """After a change of IdempotencyFingerprint nobody can say whether the retry is the same request."""
    api.post("/pay", key="k1")
    server.config = "<Location />\nIdempotencyFingerprint method path\n</Location>\n"
    restart(server, graceful=False)
    assert api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    server.config = ""
    restart(server, graceful=False)
    assert api.post("/pay", key="k1").replayed
    assert origin.executions("/pay") == 1


def test_ttl_counts_through_a_restart(server, api, origin):
    path = "/pay?header=Idempotency-Control:+ttl%3D1"
    api.post(path, key="k1")
    restart(server, graceful=False)
    env.until(lambda: not api.post(path, key="k1").replayed, "the record expires")
    assert origin.executions("/pay") == 2
