# SPDX-License-Identifier: Apache-2.0
"""IdempotencyConcurrent wait: a duplicate waits for the first one's outcome and takes it from there."""
import concurrent.futures
import statistics
import time

import pytest

import env
from checks import timed
from client import Api

CONFIG = """
IdempotencyConcurrent wait 20s
<Location /proxy/brief>
    IdempotencyConcurrent wait 1s
</Location>
<Location /proxy/again>
    IdempotencyInterrupted retry
</Location>
"""
CROWD = 6


@pytest.fixture
def api(httpd, host):
    return Api(httpd.address, host, "/proxy")


def duplicates(api, path, count, **request):
    """Requests under way that nobody has answered; each has reached the server when this returns."""
    return [api.post_async(path, key="k1", **request) for _ in range(count)]


def still_waiting(conns):
    for conn in conns:
        conn.sock.setblocking(False)
        try:
            assert conn.sock.recv(1) is None, "a duplicate was answered while the first request ran"
        except BlockingIOError:
            pass
        conn.sock.setblocking(True)
        conn.sock.settimeout(env.CLIENT_TIMEOUT)


def waiters_logged(httpd, count, phase="WAITING"):
    return lambda: sum(f"-> {phase}, wait" in line for line in httpd.log.lines()) >= count


@pytest.fixture
def traced(new_httpd, store):
    """A server that says when somebody begins to wait."""
    return new_httpd(CONFIG + "LogLevel idempotency:trace1\n", store).start()


def test_duplicates_get_the_record(traced, host, origin):
    api = Api(traced.address, host, "/proxy")
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        waiting = duplicates(api, "/pay", CROWD)
        env.until(waiters_logged(traced, CROWD), "all duplicates wait")
        still_waiting(waiting)
    first = first.result()
    assert first.problem == (201, None) and not first.replayed
    for conn in waiting:
        answer = conn.result()
        assert answer.replayed and answer.recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_another_request_under_the_key_does_not_wait(api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        assert api.post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    assert first.result().status == 201


def test_waiting_ends(api, origin):
    with origin.hold("/brief") as held:
        first = api.post_async("/brief", key="k1")
        held.wait_until_entered()
        began = time.monotonic()
        refused = api.post("/brief", key="k1")
        assert refused.problem == (409, "in-progress")
        assert refused["Retry-After"] == "1"
        assert 0.9 < time.monotonic() - began < 1 + env.SLACK
    assert first.result().status == 201


def test_released_key_goes_to_exactly_one_of_them(traced, host, origin):
    """The application says 503, "not done", each time: the waiters are executed one after the other."""
    api = Api(traced.address, host, "/proxy")
    with origin.hold("/pay") as held:
        conns = [api.post_async("/pay?status=503", key="k1")]
        held.wait_until_entered()
        conns += duplicates(api, "/pay?status=503", 3)
        env.until(waiters_logged(traced, 3), "three wait")
        assert not held.entered()
    answers = [conn.result() for conn in conns]
    assert [answer.problem for answer in answers] == [(503, None)] * 4
    assert not any(answer.replayed for answer in answers)
    runs = origin.runs("/pay")
    assert len(runs) == 4


def test_death_of_the_owner_is_noticed(traced, host, origin):
    """The backend outlives the child; its waiters in other processes learn of the death, and one takes over where it
    may.
    """
    import os
    import signal
    if env.MPM != "prefork":
        pytest.skip("with threads the waiters may die with the owner")
    api = Api(traced.address, host, "/proxy")
    for path, expected in (("/pay", (409, "outcome-unknown")), ("/again", (201, None))):
        with origin.hold(path) as held:
            first = api.post_async(path, key=path)
            held.wait_until_entered()
            waiting = api.post_async(path, key=path)
            env.until(lambda: any("-> WAITING, wait" in line for line in traced.log.lines()), "a duplicate waits")
            child = traced.child_of(first)
            os.kill(child, signal.SIGKILL)
            env.until(lambda: child not in traced.children(), "the parent buries its child")
        assert waiting.result().problem == expected
        traced.log.mark()


def test_client_that_resets_stops_waiting(traced, host, origin):
    api = Api(traced.address, host, "/proxy")
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        waiting = api.post_async("/pay", key="k1")
        env.until(waiters_logged(traced, 1), "a duplicate waits")
        waiting.reset()
        env.until(lambda: any("WAITING] GONE -> DONE" in line for line in traced.log.lines()), "it stops waiting")
    assert first.result().status == 201
    assert origin.executions("/pay") == 1


def test_half_closed_client_is_answered(traced, host, origin):
    import socket
    api = Api(traced.address, host, "/proxy")
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        waiting = api.post_async("/pay", key="k1")
        waiting.sock.shutdown(socket.SHUT_WR)
        env.until(waiters_logged(traced, 1), "a duplicate waits")
    assert first.result().status == 201
    assert waiting.result().replayed


def test_waiters_never_take_all_workers(new_httpd, host, origin, store):
    """As many duplicates as there are workers: most are refused at once, and an unrelated request is served."""
    server = new_httpd(CONFIG + "LogLevel idempotency:trace1\n", store).start()
    api = Api(server.address, host, "/proxy")
    workers = 70 if env.MPM == "prefork" else 72
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        conns = [api.post_async("/pay", key="k1") for _ in range(workers)]
        assert api.post("/other", key="k2").problem == (201, None)
        env.until(lambda: sum("WAITERS_FULL" in line for line in server.log.lines()) >= workers * 2 // 3,
                  "most are refused")
    assert first.result().status == 201
    answers = [conn.result() for conn in conns]
    refused = sum(answer.problem == (409, "in-progress") for answer in answers)
    assert refused >= workers * 2 // 3
    assert all(answer.replayed for answer in answers if answer.problem == (201, None))
    assert origin.executions("/pay") == 1


def test_configured_number_of_waiters(new_httpd, host, origin):
    server = new_httpd(CONFIG + "IdempotencyMaxWaiters 2\nLogLevel idempotency:trace1\n").start()
    api = Api(server.address, host, "/proxy")
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        conns = [api.post_async("/pay", key="k1") for _ in range(12)]
        env.until(lambda: sum("WAITERS_FULL" in line for line in server.log.lines()) >= 10, "ten are refused")
    assert first.result().status == 201
    answers = [conn.result() for conn in conns]
    assert sum(answer.replayed for answer in answers) <= 2
    assert sum(answer.problem == (409, "in-progress") for answer in answers) >= 10


def latency(api, origin, path, key, gate_of):
    """How long after the first answer its waiting duplicate has its own, and how long a retry takes that finds the
    record.
    """
    with origin.hold(path) as held:
        first = api.post_async(path, key=key)
        held.wait_until_entered()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = api.post_async(path, key=key)
            done = pool.submit(lambda: (waiting.result(), time.monotonic()))
            gate_of()
            held.let_go()
            first.result()
            ended = time.monotonic()
            answer, got = done.result()
    assert answer.replayed
    return got - ended, timed(lambda: api.post(path, key=key))[1]


def assert_soon(times, limit):
    """The limit is for an idle machine; on a busy one everything takes longer, as do retries."""
    waits, retries = (statistics.median(seconds) for seconds in zip(*times))
    assert waits < limit + 3 * retries


def test_waiters_are_answered_soon(traced, host, origin):
    """Same process: woken; another process: it looks at most every 150 ms. Medians over 15 rounds."""
    api = Api(traced.address, host, "/proxy")
    times = []
    for number in range(15):
        traced.log.mark()
        times.append(latency(api, origin, f"/pay{number}", f"k{number}",
                             lambda: env.until(waiters_logged(traced, 1), "the duplicate waits")))
    assert_soon(times, 0.250)


def test_waiters_of_the_same_process_are_answered_at_once(new_httpd, host, origin):
    if env.MPM == "prefork":
        pytest.skip("prefork has one request to a process")
    server = new_httpd(CONFIG + "LogLevel idempotency:trace1\nStartServers 1\nServerLimit 1\nMaxRequestWorkers 24\n"
                       "MaxSpareThreads 24\n").start()
    api = Api(server.address, host, "/proxy")
    times = []
    for number in range(15):
        server.log.mark()
        times.append(latency(api, origin, f"/pay{number}", f"k{number}",
                             lambda: env.until(waiters_logged(server, 1), "the duplicate waits")))
    assert_soon(times, 0.050)
