# SPDX-License-Identifier: Apache-2.0
"""A store that hangs costs time to the requests that find out, and to nobody after them. It is used again by itself."""
import os
import statistics
import sys
import time

import pytest

import env
from checks import timed, tolerate
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from memcached_server import Memcached, url as memcached_url  # noqa: E402 (found by the line above)
from redis_server import Redis  # noqa: E402

TIMEOUT = 0.3
LEASE = 5.0  # long enough for a busy machine to act within it
FAILURES = 5  # in a row: then a process gives the store up
CONFIG = """
IdempotencyStoreTimeout 300ms
<Location /cgi/bypass>
    IdempotencyStoreFailure bypass
</Location>
"""
# Each process finds out for itself: with one of them a test knows when that was.
ONE_CHILD = ("ServerLimit 1\nStartServers 1\nMaxRequestWorkers 1\nMinSpareServers 1\nMaxSpareServers 1\n"
             if env.MPM == "prefork" else "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 24\nMaxSpareThreads 24\n")
needs_threads = pytest.mark.skipif(env.MPM == "prefork", reason="the only child would be the one that hangs")


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis", "--maxmemory-policy", "noeviction", "--appendonly", "yes", "--appendfsync",
               "always") as redis:
        yield redis
        redis.resume()


@pytest.fixture
def server(redis, new_httpd, host):
    server = new_httpd(CONFIG + ONE_CHILD, redis.url()).start()
    assert api_of(server, host).post("/ready", key="k0").problem == (201, None)  # its child has its store
    return server


@pytest.fixture
def wrapped(redis, new_httpd):
    """A driver that holds its calls, or their results, for as long as the test says, whatever their deadline."""
    return new_httpd(CONFIG + ONE_CHILD + f"IdempotencyLease {LEASE:.0f}s\n",
                     "wrap:{root}/control," + redis.url()).start()


@pytest.fixture
def embedded(new_httpd):
    return new_httpd(CONFIG + ONE_CHILD, "wrap:{root}/control,lmdb:{root}/store").start()


def api_of(server, host):
    return Api(server.address, host)


def assert_refused(answer):
    assert answer.problem == (503, "store-unavailable") and answer["Retry-After"] == "5"


def assert_quick(seconds, others):
    """They take no longer than requests beside them that have nothing to do with a store, which a call for it would."""
    assert statistics.median(seconds) < statistics.median(others) + TIMEOUT / 2


def give_up(server, api):
    """Requests until the child has given the store up: each is answered in time."""
    for number in range(3 * FAILURES):
        answer, seconds = timed(lambda: api.post("/pay", key=f"lost{number}"))
        assert_refused(answer)
        assert seconds < 2 * TIMEOUT + env.SLACK
        if server.log.count("IDEM022"):
            return
    pytest.fail("the store is called for ever")


def used_again(api, key="back"):
    """Seconds until the store is used again."""
    return timed(lambda: env.until(lambda: api.post("/pay", key=key).problem ==
                                   (201, None), "the store is used again"))[1]


def hold(server, api, what, *keys):
    """Sends a request for each key; all are inside the driver, and have been there for longer than a call may take."""
    held = [api.post_async("/hung", key=key) for key in keys]
    env.until(lambda: server.control.calls().count([what, "blocked"]) == len(keys), f"each {what} is held")
    time.sleep(2 * TIMEOUT)
    return held


# ---- calls that end at their deadline --------------------------------------------------------------------------------


def test_paused_store_costs_time_only_until_that_is_noticed(server, host, redis, origin, expect_log):
    expect_log(10, 22, 50)
    api = api_of(server, host)
    first = api.post("/pay", key="k1")
    redis.pause()
    give_up(server, api)
    refusals, others = [], []
    for number in range(21):
        answer, seconds = timed(lambda: api.post("/pay", key=f"new{number}"))
        assert_refused(answer)
        refusals.append(seconds)
        others.append(timed(lambda: api.get("/free"))[1])
    assert_quick(refusals, others)
    assert api.post("/bypass", key="k2").problem == (201, None)
    assert api.post("/pay").problem == (201, None)
    redis.resume()
    assert used_again(api) < 2 + env.SLACK
    assert api.post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 3 and origin.executions("/bypass") == 1
    assert server.log.count("IDEM022") == 1 and server.log.count("IDEM023") == 1


def test_each_outage_is_said_and_its_end(server, host, redis, expect_log):
    expect_log(10, 22)
    api = api_of(server, host)
    for outage in (1, 2):
        redis.pause()
        env.until(lambda: api.post("/pay", key="lost") and server.log.count("IDEM022") == outage,
                  "the store is given up")
        redis.resume()
        used_again(api, f"back{outage}")
        assert server.log.count("IDEM022") == server.log.count("IDEM023") == outage


@needs_threads
def test_child_that_ends_writes_what_it_has_kept(server, host, redis, origin):
    """It has given the store up, and its threads have ended: nobody but itself can find out that the store is back."""
    api = api_of(server, host)
    with origin.hold("/pay") as held:
        running = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        child = server.child_of(running)
        redis.pause()
    first = running.result()
    give_up(server, api)
    server.graceful()
    env.until(lambda: len(os.listdir(f"/proc/{child}/task")) == 1, "its threads have ended")
    redis.resume()
    env.until(lambda: child not in server.children(), "it has ended")
    replay = env.until(lambda: (lambda answer: answer.replayed and answer)(api.post("/pay", key="k1")), "the record")
    assert replay.recorded == first.recorded
    tolerate(server, "IDEM010", "IDEM022", "IDEM064", "IDEM065")  # its successor may or may not find the store away


def test_settlements_are_kept_and_written_when_it_is_back(redis, new_httpd, host, origin):
    """More of them at once than it takes to give the store up."""
    server = new_httpd(CONFIG, redis.url()).start()
    api, keys = api_of(server, host), [f"k{number}" for number in range(12)]
    with origin.hold("/pay") as held:
        running = {key: api.post_async("/pay", key=key) for key in keys}
        held.wait_until_entered(len(keys))
        redis.pause()
    answers, seconds = timed(lambda: {key: conn.result() for key, conn in running.items()})
    assert seconds < 2 * TIMEOUT + env.SLACK
    assert {answer.problem for answer in answers.values()} == {(201, None)}
    redis.resume()
    for key in keys:
        replayed = lambda: (lambda answer: answer.replayed and answer)(api.post("/pay", key=key))
        assert env.until(replayed, f"the record of {key}").recorded == answers[key].recorded
    assert origin.executions("/pay") == len(keys)
    tolerate(server, "IDEM010", "IDEM022", "IDEM065")  # a child may have begun when the store was paused already


@pytest.mark.mpm_independent
@needs_threads
def test_lease_outlives_an_outage_that_is_shorter(redis, new_httpd, host, origin, expect_log):
    """A renewal that falls into the outage is repeated as soon as it is over, not when the next is due."""
    expect_log(10, 22, 91)
    server = new_httpd(CONFIG + ONE_CHILD + f"IdempotencyLease {LEASE + 1:.0f}s\n", redis.url()).start()
    api = api_of(server, host)
    with origin.hold("/long") as held:
        first = api.post_async("/long", key="k1")
        held.wait_until_entered()
        redis.pause()
        paused = time.monotonic()
        for conn in [api.post_async("/pay", key=f"lost{number}") for number in range(FAILURES)]:
            assert_refused(conn.result())
        env.until(lambda: server.log.count("IDEM022") and server.log.count("IDEM091"), "a renewal is refused")
        redis.resume()
        used_again(api)
        assert time.monotonic() - paused < LEASE + 1, "it was no outage shorter than the lease"
        while time.monotonic() < paused + LEASE + 2:
            assert api.post("/long", key="k1").problem == (409, "in-progress")
    assert first.result().problem == (201, None)
    assert origin.executions("/long") == 1


# ---- calls that do not end at their deadline -------------------------------------------------------------------------


@needs_threads
def test_hung_driver_takes_no_more_workers(wrapped, host, origin):
    """More requests than there are workers: keyed ones are refused at once, others take as long as before."""
    api = api_of(wrapped, host)
    unguarded = lambda: timed(lambda: api.post("/free"))[1]
    before = statistics.median(unguarded() for _ in range(20))
    wrapped.control.block("all")
    held = hold(wrapped, api, "claim", "k1", "k2", "k3", "k4")
    during, refusals = [], []
    for number in range(40):
        answer, seconds = timed(lambda: api.post("/pay", key=f"new{number}"))
        assert_refused(answer)
        refusals.append(seconds)
        during.append(unguarded())
    assert_quick(refusals, during)
    assert statistics.median(during) < 3 * before + TIMEOUT / 4
    assert wrapped.control.calls().count(["claim", "blocked"]) == 4
    wrapped.control.behave()
    assert used_again(api) < 2 + env.SLACK
    for conn in held:
        assert_refused(conn.result())  # the driver came too late to its store
    assert origin.executions("/hung") == 0
    assert wrapped.log.count("IDEM022") == wrapped.log.count("IDEM023") == 1
    tolerate(wrapped, "IDEM010", "IDEM022")


@needs_threads
def test_hung_settlement_is_as_good_as_a_hung_claim(wrapped, host, origin, expect_log):
    expect_log(22)
    api = api_of(wrapped, host)
    wrapped.control.block("settle", "late")
    held = hold(wrapped, api, "settle", "k1")
    answer, seconds = timed(lambda: api.post("/pay", key="k2"))
    assert_refused(answer)
    assert seconds < TIMEOUT / 2 + env.SLACK
    wrapped.control.behave()
    assert held[0].result().problem == (201, None)
    assert used_again(api) < 2 + env.SLACK
    assert api.post("/hung", key="k1").replayed
    assert origin.executions("/hung") == 1


def test_late_claim_is_renewed_before_anything_runs(wrapped, host, origin):
    """Half the lease has passed when its answer comes."""
    api = api_of(wrapped, host)
    wrapped.control.block("claim", "late")
    held = hold(wrapped, api, "claim", "k1")
    time.sleep(LEASE / 2 + 0.1 - 2 * TIMEOUT)
    wrapped.control.behave()
    assert held[0].result().problem == (201, None)
    assert wrapped.control.calls() == [["claim", "blocked"], ["claim", "ok"], ["renew", "ok"], ["settle", "ok"]]
    assert api.post("/hung", key="k1").replayed


def test_late_claim_whose_lease_went_to_another_runs_nothing(redis, wrapped, new_httpd, host, origin):
    other = new_httpd(CONFIG + f"IdempotencyLease {LEASE:.0f}s\nIdempotencyInterrupted retry\n", redis.url()).start()
    wrapped.control.block("claim", "late")
    held = hold(wrapped, api_of(wrapped, host), "claim", "k1")
    executed = lambda: (lambda answer: answer.status == 201 and answer)(api_of(other, host).post("/hung", key="k1"))
    taken = env.until(executed, "the other server takes over")
    assert not taken.replayed
    wrapped.control.behave()
    answer = held[0].result()
    assert answer.replayed and answer.recorded == taken.recorded
    assert origin.executions("/hung") == 1


@needs_threads
def test_embedded_store_replays_while_a_writer_hangs(embedded, host, origin):
    api = api_of(embedded, host)
    first = api.post("/pay", key="k1")
    embedded.control.block("settle")
    held = hold(embedded, api, "settle", "k2")
    assert_refused(api.post("/pay", key="k3"))
    assert api.post("/pay", key="k1").recorded == first.recorded
    assert api.post("/hung", key="k2").problem == (409, "in-progress")
    assert embedded.log.count("IDEM022") == 1
    embedded.control.behave()
    assert held[0].result().problem == (201, None)
    assert used_again(api) < 2 + env.SLACK
    env.until(lambda: api.post("/hung", key="k2").replayed,
              "the settlement, which may have come too late and is repeated")
    assert origin.executions("/pay") == 2 and origin.executions("/hung") == 1
    tolerate(embedded, "IDEM010", "IDEM022")


@needs_threads
def test_of_two_memcached_one_hangs(new_httpd, tmp_path, host, origin):
    """Its calls cannot be ended. Its slots are refused, at once as soon as that was noticed; the other one's are served
    all the while.
    """
    with Memcached(tmp_path / "one") as one, Memcached(tmp_path / "two") as two:
        server = new_httpd(CONFIG + ONE_CHILD, memcached_url(one, two)).start()
        api, keys = api_of(server, host), [f"k{number}" for number in range(16)]
        first = {key: api.post("/pay", key=key) for key in keys}
        two.pause()
        running = [api.post_async("/pay", key=key) for key in keys]
        time.sleep(2 * TIMEOUT)
        answers = [timed(lambda: api.post("/pay", key=key)) for key in 2 * keys]
        others = [timed(lambda: api.get("/free"))[1] for _ in keys]
        assert {answer.replayed or answer.problem for answer, _ in answers} == {True, (503, "store-unavailable")}
        assert_quick([seconds for answer, seconds in answers if not answer.replayed], others)
        assert api.post("/pay").problem == (201, None)
        assert server.log.count("IDEM022") == server.log.count(" of 2 does not answer") == 1
        two.resume()
        replayed = lambda key: (lambda answer: answer.replayed and answer)(api.post("/pay", key=key))
        for key in keys:
            assert env.until(lambda: replayed(key), f"the record of {key}").recorded == first[key].recorded
        for conn in running:
            answer = conn.result()
            assert answer.replayed or answer.problem == (503, "store-unavailable")
        assert origin.executions("/pay") == len(keys) + 1
        tolerate(server, "IDEM010", "IDEM022")
