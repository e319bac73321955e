# SPDX-License-Identifier: Apache-2.0
"""IdempotencyNotify: a program is run for what an administrator should know, outside of requests, once in a while."""
import http.server
import json
import os
import signal
import threading

import pytest

import env
from client import Api

STORE = "wrap:{root}/control,lmdb:{root}/store"
PROGRAM = """#!/usr/bin/python3
import json, os, sys, urllib.request
names = ["/proc/self/fd/" + fd for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
told = {"arguments": sys.argv[2:], "environment": dict(os.environ), "user": os.geteuid(), "folder": os.getcwd(),
        "files": [os.readlink(name) for name in names if os.path.exists(name)]}
data = json.dumps(told).encode()
urllib.request.urlopen(urllib.request.Request(sys.argv[1], data, {"Content-Type": "application/json"}))
"""


class Hook:
    """A web hook: what was posted to it."""

    def __init__(self):
        self.told, hook = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                hook.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d/" % self.server.server_port

    def events(self, name=None):
        return [told for told in list(self.told) if name in (None, told["environment"]["IDEMPOTENCY_EVENT"])]

    def wait(self, name, count=1):
        env.until(lambda: len(self.events(name)) >= count, f"{name} is told")
        assert len(self.events(name)) == count
        return self.events(name)[-1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def program(tmp_path_factory, stage):
    """Writes a program that the server's user can run; returns its path."""
    def write(text=PROGRAM, name="tell"):
        path = stage.root / name
        path.write_text(text)
        path.chmod(0o755)
        return path
    return write


@pytest.fixture
def start(new_httpd, program, hook, host):
    def start(every="30s", command=None, config="", store=STORE):
        command = command or f"{program()} {hook.url} --for 'the operators'"
        server = new_httpd(f'IdempotencyNotify "{command}"\nIdempotencyNotifyEvery {every}\n{config}', store).start()
        if server.control:
            server.wait_until_attached()
        server.api = Api(server.address, host, "/proxy")
        return server
    return start


def lose(server, key):
    server.control.fail("settle", "lost once")
    server.control.fail("fetch", "lost once")
    server.api.post("/pay", key=key)


def slot_of(server, count):
    return server.outcomes(server.api, count)[-1][-1]


def test_lost_lease(start, hook, expect_log):
    expect_log(14)
    server = start()
    lose(server, "k1")
    told = hook.wait("lease-lost")
    slot = slot_of(server, 1)
    environment, arguments = told["environment"], told["arguments"]
    assert arguments[:3] == ["--for", "the operators", "lease-lost"]
    assert arguments[3:] == [f"1 request(s) lost their keys while they ran, slots {slot}"]
    assert environment.pop("IDEMPOTENCY_STORE").startswith("wrap:") and "/usr/bin" in environment.pop("PATH")
    environment.pop("LC_CTYPE", None)  # Python's own
    assert environment == {"IDEMPOTENCY_EVENT": "lease-lost", "IDEMPOTENCY_SLOTS": slot, "IDEMPOTENCY_COUNT": "1",
                           "IDEMPOTENCY_PERCENT": "0", "IDEMPOTENCY_SERVER": "origin.test"}
    assert told["folder"] == "/"
    assert [name for name in told["files"] if "socket" in name or "lock" in name or "pipe" in name] == []
    if env.ROOT:
        import pwd
        assert told["user"] == pwd.getpwnam(env.USER).pw_uid


def test_unknown_outcome_of_a_killed_child(start, hook, origin):
    """Nobody was left to post it: the first retry does. The next ones are the same case."""
    server = start(store="lmdb")
    with origin.hold("/pay") as held:
        first = server.api.post_async("/pay", key="k1")
        held.wait_until_entered()
        server.kill_child(server.child_of(first))
        assert server.api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    told = hook.wait("outcome-unknown")
    assert told["environment"]["IDEMPOTENCY_COUNT"] == "1"
    for _ in range(3):
        assert server.api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    assert server.api.at("/proxy").post("/pay", key="k2").status == 201
    assert len(hook.events()) == 1


def cut(server, key):
    return server.api.at("/cgi").post("/trusted?header=Content-Length:+8&body=0123", key=key)


def test_unknown_outcomes_are_told_together(start, hook):
    """The first at once, the others when the pause is over, up to eight by name in each run."""
    server = start("4s", config='SetEnvIf Request_URI trusted ap_trust_cgilike_cl\n')
    cut(server, "k0")
    hook.wait("outcome-unknown")
    for number in range(1, 11):
        cut(server, f"k{number}")
    counts = lambda: [int(told["environment"]["IDEMPOTENCY_COUNT"]) for told in hook.events()]
    env.until(lambda: sum(counts()) == 11, "all of them are told")
    assert counts()[0] == 1 and len(counts()) < 6
    for told, count in zip(hook.events(), counts()):
        assert len(told["environment"]["IDEMPOTENCY_SLOTS"].split()) == min(count, 8)
        assert told["arguments"][-1].startswith(f"nobody knows what became of {count} request(s)")


def test_store_down_and_back(start, hook, expect_log):
    """Each child finds out by itself; it is one event."""
    expect_log(10, 22)
    server = start()
    server.control.fail("all", "down")
    env.until(lambda: server.api.post("/pay", key="k1").status == 503 and hook.events("store-down"), "it is told")
    for _ in range(20):
        server.api.post("/pay", key="k1")
    assert hook.events("store-up") == []
    server.control.behave()
    env.until(lambda: server.api.post("/pay", key="k2") and hook.events("store-up"), "it is back for all")
    assert len(hook.events()) == 2 and hook.told[-1]["arguments"][-1].endswith("answers again")


def test_store_without_room(start, hook, expect_log):
    expect_log(10)
    server = start()
    server.control.fail("claim", "full")
    for _ in range(3):
        assert server.api.post("/pay", key="k1").problem == (503, "store-unavailable")
    assert hook.wait("store-nearly-full")["environment"]["IDEMPOTENCY_PERCENT"] == "100"


@pytest.mark.mpm_independent
def test_store_that_fills_up(start, hook, expect_log):
    """The keeper looks after each sweep, ten seconds apart."""
    server = start(store="lmdb:{root}/store size=4M")
    for number in range(36):
        assert server.api.post("/pay?size=80000", key=f"k{number}").status == 201
    told = hook.wait("store-nearly-full")
    assert 70 <= int(told["environment"]["IDEMPOTENCY_PERCENT"]) < 100
    assert "% full" in told["arguments"][-1]


# ---- the program ---------------------------------------------------------------------------------------------------

def test_program_that_fails_and_one_that_hangs(start, hook, program, expect_log):
    """What hangs is ended with all that it has started, and the next run comes."""
    expect_log(14, 222)
    text = '#!/bin/sh\n[ -e {0}/hang ] && {{ sleep 1000 & sleep 1000; }}\nexit 7\n'
    server = start("2s", program(text.format(program("").parent), "fails"))
    lose(server, "k1")
    env.until(lambda: server.log.count("failed with exit code 7"), "it has failed")
    (program("").parent / "hang").touch()
    lose(server, "k2")
    env.until(lambda: server.log.count("was ended by signal 15"), "it is ended")
    (program("").parent / "hang").unlink()
    lose(server, "k3")
    env.until(lambda: server.log.count("failed with exit code 7") == 2, "the next one runs")


def notifiers(server):
    """The child of httpd's that holds no listening socket of its server."""
    inodes = listening(server)

    def is_one(pid):
        try:
            names = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            return not names & inodes and open(f"/proc/{pid}/cmdline").read().startswith(server.command()[0])
        except FileNotFoundError:
            return False
    return [pid for pid in server.children() if is_one(pid)]


def listening(server):
    port = ":%04X" % server.address[1]
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(port) and row[3] == "0A"}


def cgid(server):
    return env.MPM != "prefork"


def test_notifier_that_dies_is_started_again(start, hook, expect_log):
    expect_log(14, 223)
    server = start()
    lose(server, "k1")
    hook.wait("lease-lost")
    victims = notifiers(server)
    os.kill(victims[-1] if not cgid(server) else notifier_of(server, victims), signal.SIGKILL)
    env.until(lambda: server.log.count("IDEM223"), "it is missed")
    lose(server, "k2")
    hook.wait("lease-lost", 2)


def notifier_of(server, candidates):
    """mod_cgid's daemon has no listening socket either, but one of its own."""
    for pid in candidates:
        names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        if not any(name.startswith("socket:") for name in names):
            return pid


def test_graceful_restart_and_stop(start, hook, origin, expect_log):
    """A request of the old generation posts to the notifier of the new one; at the end nothing is left."""
    expect_log(14, 62)
    server = start()
    with origin.hold("/pay") as held:
        first = server.api.post_async("/pay", key="k1")
        held.wait_until_entered()
        before = notifier_of(server, notifiers(server))
        server.graceful()
        env.until(lambda: notifier_of(server, notifiers(server)) not in (before, None), "there is a new one")
        assert not os.path.exists(f"/proc/{before}")
        server.control.fail("settle", "lost once")
        server.control.fail("fetch", "lost once")
    first.last_result()
    hook.wait("lease-lost")
    last = notifier_of(server, notifiers(server))
    server.stop()
    env.until(lambda: not os.path.exists(f"/proc/{last}"), "it ends with the server")


def test_nobody_is_told_without_it(new_httpd, host, expect_log):
    expect_log(14)
    server = new_httpd("", STORE).start()
    server.wait_until_attached()
    server.api = Api(server.address, host, "/proxy")
    assert notifier_of(server, notifiers(server)) is None
    lose(server, "k1")
    assert not server.log.count("IDEM224")
