# SPDX-License-Identifier: Apache-2.0
"""A store that is a module of its own (tests/store/example) serves like one that is built in; its words reach the
administrator.
"""
import pytest

import env
from checks import assert_replayed, settled
from client import Api

pytestmark = pytest.mark.mpm_independent
LOADED = f"LoadModule idem_files_module {env.MODULE.parent / 'mod_idem_files.so'}\n"
STORE = "files:{root}/slots"


@pytest.fixture
def server(new_httpd):
    return new_httpd(LOADED, STORE).start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def test_replay_and_mismatch(server, api, origin):
    assert_replayed(api, origin, "/pay?status=207&header=X-A:+1", body=b"1")
    assert api.post("/pay?status=207&header=X-A:+1", key="k1", body=b"2").problem == (422, "key-reused")
    slots = [path.name for path in (server.root / "slots").iterdir() if len(path.name) == 64]
    assert len(slots) == 2  # ours, and the mark of the slot secret


def test_second_request_is_refused_while_first_runs(api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        assert api.post("/pay", key="k1").problem == (409, "in-progress")
    assert first.result().problem == (201, None)
    assert origin.executions("/pay") == 1


def test_death_of_the_owner_is_seen_at_once(server, api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        child = server.child_of(first)
        server.kill_child(child)
        assert settled(api, "/pay").problem == (409, "outcome-unknown")
        env.until(lambda: child not in server.children(), "the parent buries its child")
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("graceful", [False, True])
def test_records_outlive_a_restart(server, api, origin, graceful):
    first = api.post("/pay", key="k1")
    if graceful:
        server.graceful()
    else:
        server.stop()
        server.start()
    again = api.post("/pay", key="k1")
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_its_warning_is_said_at_start(new_httpd, host, origin):
    server = new_httpd(LOADED, STORE + " sync=off").start()
    assert any("IDEM062" in line and "store files:" in line and "sync=off" in line for line in server.startup)
    assert_replayed(Api(server.address, host), origin, "/pay")


@pytest.mark.parametrize("config, url, said", [
    (LOADED, STORE + " sync=maybe", 'files: has no option "sync=maybe"'),
    (LOADED, "files:", "files: needs a directory"),
    (LOADED, "files:/nonexistent/deeper", "cannot create /nonexistent/deeper: No such file or directory"),
    ("", STORE, 'no driver knows the store "files:'),
])
def test_what_it_refuses_stops_the_start(new_httpd, config, url, said):
    server = new_httpd(config, url)
    with pytest.raises(AssertionError):
        server.start()
    assert server.process.poll() != 0
    assert any(said in line for line in server.said().splitlines() if "IDEM060" in line or "IDEM063" in line)
