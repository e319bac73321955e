# SPDX-License-Identifier: Apache-2.0
"""A server that stops, restarts, forgets its scripts, or has too few replicas; and what time does to leases."""
import pathlib
import signal
import time

import pytest

from failures import (LATE, RECORD, SLACK, UNKNOWN, answered, assert_late_calls_did_nothing, assert_lives_while_renewed,
                      assert_not_waited_for, assert_one_connection_not_inherited, paused, prepare_for_late_calls,
                      send_too_late, sockets)
from proc_state import stands_still
from redis_server import Redis, end_group, start_group, until


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis") as redis:
        yield redis


def scripts_run(redis):
    return int(redis.info("cmdstat_evalsha").split("calls=")[1].split(",")[0])


# ---- a server that does not answer


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_paused_server_is_not_waited_for(redis, drive, kind):
    """On a connection that waits for its next call, and on a new one, which the kernel still accepts."""
    driven = drive(redis.url() if kind == "tcp" else redis.unix_url(), timeout_ms=300).attached()
    assert_not_waited_for(redis, driven, drive)
    assert driven.status("claim", 1, 1) == "SUCCESS"


def test_nothing_is_done_after_its_deadline(redis, drive):
    """Calls that were sent to a stopped server are read when it goes on. They must do nothing any more."""
    driven = drive(redis.url()).attached()
    prepare_for_late_calls(driven)
    assert driven.status("claim", 5, 1) == "SUCCESS"
    others = [drive(redis.url()).attached() for _ in LATE]
    before = scripts_run(redis)
    send_too_late(redis, others, LATE)
    until(lambda: scripts_run(redis) == before + len(LATE), "it has come to all of them")
    assert_late_calls_did_nothing(driven)


def test_driver_that_was_stopped_itself(redis, drive):
    """What it knows of Redis's clock is old by the pause, which costs it a second try and no more."""
    driven = drive(redis.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    with paused(redis):
        driven.say("claim", 2, 1)
        until(redis.unread, "it has been sent")
        driven.process.send_signal(signal.SIGSTOP)
        until(lambda: stands_still(driven.process.pid), "it has stopped")
    until(lambda: scripts_run(redis) == 2, "Redis has answered")
    time.sleep(1)  # the pause that is tested: twice the deadline of the call that follows
    driven.process.send_signal(signal.SIGCONT)
    assert driven.hear().status == "SUCCESS"
    driven.ask("within", 500)
    assert driven.ask("claim", 3, 1).status == "SUCCESS"
    assert scripts_run(redis) == 4
    assert driven.ask("claim", 4, 1).status == "SUCCESS"
    assert scripts_run(redis) == 5


# ---- a server that comes back


def test_restarted_server_is_used_at_once(redis, drive):
    driven = drive(redis.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    redis.restart()
    assert driven.status("fetch", 1) == "NOTFOUND"  # it keeps nothing, and has lost its scripts too
    assert driven.status("claim", 1, 2) == "SUCCESS"
    redis.stop()
    answer = driven.ask("claim", 1, 3)
    assert answer.status not in ("SUCCESS", "EEXIST") and "cannot be reached" in answer.why
    redis.start()
    assert driven.status("claim", 1, 3) == "SUCCESS"


def test_forgotten_script_is_sent_again(redis, drive):
    driven = drive(redis.url(), "wait=1,1").attached()
    assert "only 0 of 1 replicas" in driven.ask("claim", 1, 1).why
    driven = drive(redis.url()).attached()
    for _ in range(2):
        redis.cli("SCRIPT", "FLUSH")
        assert driven.ask("claim", 1, 1).status == "SUCCESS"
    assert redis.info("number_of_cached_scripts") == "1"


def test_idle_connection_that_was_closed(redis, drive):
    driven = drive(redis.url()).attached()
    redis.cli("CLIENT", "KILL", "TYPE", "normal")
    assert driven.status("claim", 1, 1) == "SUCCESS"


def test_connections_are_used_again_and_not_inherited(redis, drive):
    driven = drive(redis.url()).attached()
    before = int(redis.info("total_connections_received"))
    for i in range(20):
        assert driven.status("claim", i, 1) == "SUCCESS"
    assert int(redis.info("total_connections_received")) - before == 1  # redis-cli's own
    assert_one_connection_not_inherited(driven)
    driven.ask("detach")
    assert not sockets(driven)


def test_foreign_keys_are_left_alone(redis, drive):
    driven = drive(redis.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    key = redis.cli("KEYS", "idem:*")
    for command in (("SET", "session:1", "x"), ("HSET", "idem:list", "a", "b"), ("SET", key[:-1] + "X", "x")):
        redis.cli(*command)
    assert "entries=1 " in driven.ask("status").details
    assert driven.ask("each").details == "visits=1"
    for content in ("", "x", "y" * 200):
        redis.cli("SET", key, content)
        expected = "NOTFOUND" if not content else "SUCCESS"
        answer = driven.ask("fetch", 1)
        assert answer.status == expected and (not content or answer.details == "damaged")
    assert driven.ask("claim", 1, 2).details == "damaged"
    assert driven.status("takeover", 1, 1, 2) == driven.status("settle", 1, 2, RECORD) == driven.status(
        "release", 1, 2) == "ELOST"
    assert redis.cli("GET", key) == "y" * 200
    redis.cli("DEL", key)
    redis.cli("HSET", key, "a", "b")
    answer = driven.ask("claim", 1, 2)
    assert answer.status not in ("SUCCESS", "EEXIST") and "WRONGTYPE" in answer.why


def test_full_store_takes_what_needs_no_room(redis, drive):
    driven = drive(redis.url()).attached()
    for i in range(1, 6):
        assert driven.status("claim", i, 1) == "SUCCESS"
    redis.cli("CONFIG", "SET", "maxmemory", "1")
    answer = driven.ask("claim", 9, 1)
    assert answer.status == "EFULL" and "full" in answer.why
    assert driven.status("claim", 1, 2) == "EEXIST"
    assert driven.status("claim", 1, 1) == driven.status("renew", 1, 1) == "SUCCESS"
    assert driven.status("settle", 1, 1, RECORD) == "EFULL"
    assert "state=1 token=1" in driven.ask("fetch", 1).details
    assert driven.status("settle", 1, 1, UNKNOWN) == driven.status("settle", 2, 1, 3) == "SUCCESS"
    assert driven.status("takeover", 1, 1, 2) == driven.status("release", 3, 1) == driven.status("forget",
                                                                                                 4) == "SUCCESS"


# ---- replicas


@pytest.fixture
def pair(tmp_path):
    servers, _ = start_group(tmp_path, replicas=1, sentinels=0)
    yield servers
    end_group(servers)


WAITING = [("claim", 1, 2), ("claim", 9, 1), ("takeover", 1, 1, 2), ("renew", 2, 1), ("renew", 8, 1),
           ("settle", 2, 1, RECORD), ("settle", 3, 1, RECORD), ("release", 2, 1), ("release", 8, 1),
           ("takeover", 8, 1, 2), ("forget", 8)]


def test_too_few_replicas_are_no_answer(pair, drive):
    """Refusals too: a primary that has been replaced knows nothing of what its successor has."""
    primary, replica = pair
    driven = drive(primary.url(), "wait=1,50").attached()
    for words in (("claim", 1, 1), ("claim", 2, 1), ("settle", 3, 1, RECORD)):
        answered(driven, *words)
    with paused(replica):
        for words in WAITING:
            answer = driven.ask(*words)
            assert answer.status not in ("SUCCESS", "EEXIST", "ELOST", "EALIVE", "NOTFOUND"), words
            assert answer.why == "only 0 of 1 replicas confirmed the write in time"
        assert driven.status("fetch", 1) == "SUCCESS"
    assert answered(driven, "claim", 9, 1).status == "SUCCESS"  # repeated: it had been carried out, and now it counts
    assert driven.status("claim", 9, 2) == "EEXIST"
    assert primary.cli("DBSIZE") == replica.cli("DBSIZE")


def test_wait_ends_by_the_deadline(pair, drive):
    primary, replica = pair
    driven = drive(primary.url(), "wait=1,10000").attached()
    driven.ask("within", 300)
    with paused(replica):
        answer = driven.ask("claim", 1, 1)
        assert answer.status != "SUCCESS" and answer.milliseconds < 300 + SLACK
        assert answer.why == "only 0 of 1 replicas confirmed the write in time"


def test_every_answer_is_a_write_and_leaves_nothing(pair, drive):
    """Replicas confirm writes only. What stands must stay as it was, its life included."""
    primary = pair[0]
    driven = drive(primary.url(), "wait=1,5000").attached()
    driven.ask("life", 500000, 60000)
    assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    key = primary.cli("KEYS", "*")
    before, left = primary.cli("GET", key), int(primary.cli("PTTL", key))
    assert driven.status("claim", 2, 1) == "SUCCESS"
    for words, status in ((("claim", 1, 2), "EEXIST"), (("settle", 1, 1, UNKNOWN), "SUCCESS"),
                          (("renew", 1, 1), "ELOST"), (("release", 7, 1), "NOTFOUND"), (("renew", 7, 1), "NOTFOUND"),
                          (("forget", 7), "NOTFOUND"), (("takeover", 7, 1, 2), "NOTFOUND"),
                          (("takeover", 2, 1, 2), "EALIVE"), (("claim", 2, 1), "SUCCESS")):
        changes = int(primary.info("rdb_changes_since_last_save"))
        assert driven.status(*words) == status, words
        assert int(primary.info("rdb_changes_since_last_save")) > changes, words
    assert primary.cli("GET", key) == before
    assert left - 10000 < int(primary.cli("PTTL", key)) <= left
    assert primary.cli("DBSIZE") == "2"


def test_without_replicas_refusals_write_nothing(redis, drive):
    driven = drive(redis.url()).attached()
    assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    changes = redis.info("rdb_changes_since_last_save")
    assert driven.status("claim", 1, 2) == "EEXIST"
    assert driven.status("release", 7, 1) == driven.status("renew", 7, 1) == "NOTFOUND"
    assert redis.info("rdb_changes_since_last_save") == changes


# ---- time


def test_lease_outlives_its_time_to_live_while_it_is_renewed(redis, drive):
    driven = drive(redis.url()).attached()
    assert_lives_while_renewed(driven)
    until(lambda: driven.status("fetch", 1) == "NOTFOUND", "nobody renews it, and its time is over")


def test_lapsed_lease_is_there_until_its_time_is_over(redis, drive):
    driven = drive(redis.url()).attached()
    driven.ask("life", 3600000, 50)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    until(lambda: "dead=1" in driven.ask("fetch", 1).details, "it lapses")
    assert "dead=1" in driven.ask("claim", 1, 2).details
    driven.ask("life", 3600000, 60000)
    assert driven.status("takeover", 1, 1, 2) == "SUCCESS"
    assert "dead=0" in driven.ask("fetch", 1).details
    assert driven.status("renew", 1, 1) == driven.status("settle", 1, 1, RECORD) == "ELOST"


def test_entries_leave_redis_by_themselves(redis, drive):
    driven = drive(redis.url()).attached()
    driven.ask("life", 200, 100)
    for i in range(50):
        assert driven.status("settle", i, 1, RECORD) == driven.status("claim", 100 + i, 1) == "SUCCESS"
    until(lambda: redis.cli("DBSIZE") == "0", "all have gone")
