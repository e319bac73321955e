# SPDX-License-Identifier: Apache-2.0
"""A database that stops, hangs, restarts, ends connections or is locked by others; and what time does to leases."""
import contextlib
import os
import subprocess
import time

import pytest

from failures import (ANSWERS, LATE, RECORD, SLACK, answered, assert_late_calls_did_nothing, assert_lives_while_renewed,
                      assert_not_waited_for, assert_one_connection_not_inherited, paused, prepare_for_late_calls,
                      send_too_late, sockets)
from mariadb_server import MariaDB
from postgres_server import Postgres
from private_server import until
from sqlite_file import Sqlite


@pytest.fixture(params=[Postgres, MariaDB])
def server(request):
    with request.param() as server:
        yield server


@pytest.fixture(params=[Postgres, MariaDB, Sqlite])
def store(request, tmp_path):
    """Each kind, also the one without a server."""
    if request.param is Sqlite:
        yield Sqlite(tmp_path)
        return
    with request.param() as server:
        yield server


@contextlib.contextmanager
def other_session(server, statements, last=None):
    """Somebody else's session with the server has done these statements, and does the last ones at the end. Without
    them its end undoes the others.
    """
    words = ["psql", "-X", "-q", "-h", str(server.folder), "-p", str(server.port), "-U", "postgres", "idempotency"]
    if isinstance(server, MariaDB):
        words = ["mariadb", "--no-defaults", "-n", "-u", "root", f"--socket={server.folder}/socket", "idempotency"]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    other.stdin.write(f"{statements}; SELECT 'done';\n")
    other.stdin.flush()
    until(lambda: "done" in other.stdout.readline(), statements)
    try:
        yield
    finally:
        other.communicate(last)


def locked(store):
    """Somebody else has the table, and lets go of it at the end."""
    if isinstance(store, Sqlite):
        return store.locked()
    lock = "LOCK TABLES idempotency WRITE" if isinstance(store, MariaDB) else "BEGIN; LOCK TABLE idempotency"
    return other_session(store, lock)


def deleted(server):
    """Somebody else has deleted all rows, and commits at the end."""
    return other_session(server, "BEGIN; DELETE FROM idempotency", "COMMIT;\n")


def threads(driven):
    return os.listdir(f"/proc/{driven.process.pid}/task")


# ---- a server that does not answer


def test_paused_server_is_not_waited_for(server, drive):
    """On a connection that waits for its next call, and on a new one, which the kernel still accepts."""
    driven = drive(server.url(), timeout_ms=300).attached()
    other = assert_not_waited_for(server, driven, drive)
    driven.ask("within", 5000)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    until(lambda: len(threads(other)) == 1, "nothing remains of the attempt")
    assert other.status("attach") == other.status("claim", 2, 1) == "SUCCESS"
    until(lambda: len(sockets(driven)) == len(sockets(other)) == 1, "what was left has been closed")


def test_nothing_is_done_after_its_deadline(server, drive):
    """Calls that were sent to a stopped server are read when it goes on. They must do nothing any more."""
    driven = drive(server.url()).attached()
    prepare_for_late_calls(driven)
    driven.ask("life", 3600000, 60000)
    assert driven.status("claim", 5, 1) == driven.status("claim", 6, 1) == "SUCCESS"
    sent = [*LATE, ("release", 6, 1)]
    others = [drive(server.url()).attached() for _ in sent]
    for other, words in zip(others, sent):  # the statement is known to the server
        other.ask(words[0], 90, *words[2:])
    send_too_late(server, others, sent)
    until(lambda: server.connections() == 1, "it has come to all of them, and has seen that nobody waits")
    assert_late_calls_did_nothing(driven)
    assert "state=1 token=1" in driven.ask("fetch", 6).details


def test_commit_that_hangs(drive):
    """A standby that does not confirm: nobody sees the claim yet, but it will come. Giving it back must not miss it."""
    with Postgres() as server:
        driven = drive(server.url()).attached()
        assert driven.status("claim", 2, 1) == "SUCCESS"
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
        assert driven.status("fetch", 1) == "NOTFOUND"
        until(lambda: server.sql("SHOW synchronous_standby_names") == "nobody", "commits wait")
        driven.ask("within", 400)
        assert driven.status("claim", 1, 1) == "TIMEUP"
        driven.ask("within", 5000)
        assert driven.status("fetch", 1) == "NOTFOUND"
        driven.ask("within", 400)
        for _ in range(2):
            assert driven.status("release", 1, 1) == "TIMEUP"
        server.sql("SET synchronous_commit = local", "ALTER SYSTEM RESET synchronous_standby_names",
                   "SELECT pg_reload_conf()")
        driven.ask("within", 5000)
        assert driven.status("release", 1, 1) in ("SUCCESS", "NOTFOUND")
        until(lambda: server.connections() == 1, "what hung has come to its end")
        assert driven.status("fetch", 1) == "NOTFOUND"
        assert driven.status("claim", 1, 2) == "SUCCESS"


def test_table_that_somebody_has_locked(store, drive):
    """Waiting for a lock ends by the deadline; the call succeeds if the lock is gone before."""
    driven = drive(store.url(), timeout_ms=300).attached()
    driven.ask("within", 400)
    with locked(store):
        for words in (("claim", 1, 1), ("settle", 2, 1, RECORD), ("release", 3, 1)):
            answer = driven.ask(*words)
            assert answer.status == "TIMEUP" and 390 <= answer.milliseconds < 400 + SLACK, (words, answer)
    driven.ask("within", 10000)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    assert driven.status("fetch", 2) == "NOTFOUND"
    with locked(store):
        driven.say("claim", 4, 1)
        time.sleep(0.7)  # twice what the database itself lets a statement wait
    assert driven.hear().status == "SUCCESS"


def test_claim_that_waits_beyond_its_deadline(server, drive):
    """It has looked at the time, waits for the lock of a row, and may come to it late; it is given back meanwhile."""
    owner, late, keeper = (drive(server.url(), timeout_ms=5000).attached() for _ in range(3))
    assert late.status("claim", 1000, 1) == "SUCCESS"
    late.ask("within", 600)  # and it has left the queue after as much again: until then the test has to see both in it
    owner.ask("life", 1, 1)
    for slot in range(10):
        assert owner.status("settle", slot, 1, RECORD) == "SUCCESS"
        until(lambda: owner.status("fetch", slot) == "NOTFOUND", "it has expired, and its row is there")
        with deleted(server):
            assert late.status("claim", slot, 2) == "TIMEUP"
            keeper.say("release", slot, 2)
            until(lambda: giving_back(server), "it waits for the row, too")
        assert keeper.hear().status in ("SUCCESS", "NOTFOUND")
        until(lambda: server.connections() == 2, "what was left has come to its end")
        assert owner.status("fetch", slot) == "NOTFOUND"


def waiting_for_locks(postgres):
    return int(postgres.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'idem' AND wait_event_type = 'Lock'"))


def giving_back(server):
    """Is that statement under way? In PostgreSQL as the second that waits."""
    if isinstance(server, Postgres):
        return waiting_for_locks(server) == 2
    return server.sql(
        "SELECT count(*) FROM information_schema.processlist WHERE user = 'idem' AND info LIKE 'DELETE%'") == "1"


def test_many_that_wait_are_left_and_forgotten(server, drive):
    """Each call that is left leaves a thread, which ends when its connection does."""
    driven = drive(server.url(), timeout_ms=300).attached()
    driven.ask("within", 20)
    with paused(server):
        for number in range(30):
            assert driven.status("claim", number, 1) == "TIMEUP"
    until(lambda: len(threads(driven)) <= 2, "the threads have ended")
    driven.ask("within", 5000)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    driven.ask("detach")
    until(lambda: len(threads(driven)) == 1, "the last thread has ended")
    assert not sockets(driven)


def test_process_that_ends_while_connections_come_to_life(server, drive, monkeypatch):
    """What was left by calls goes on when the server does, just when the process takes its libraries down."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")  # a connection that is being made at the end is nobody's loss
    for turn in range(10):
        driven = drive(server.url()).attached()
        driven.ask("within", 15)
        with paused(server):
            for number in range(10):
                assert driven.status("claim", number, 1) == "TIMEUP"
        time.sleep(turn /
                   500)  # seconds: connecting takes a few milliseconds, and the end comes at another of them each turn
        driven.process.stdin.close()
        assert driven.process.wait(60) == 0


# ---- a server that comes back


def test_restarted_server_is_used_at_once(server, drive):
    driven = drive(server.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    server.restart()
    answer = driven.ask("claim", 1, 2)
    assert answer.status == "EEXIST" and "state=1 token=1" in answer.details
    server.stop()
    answer = driven.ask("claim", 2, 1)
    assert answer.status not in ANSWERS and "cannot be reached" in answer.why
    server.start()
    assert driven.status("claim", 2, 1) == driven.status("release", 1, 1) == "SUCCESS"


def test_killed_server_keeps_what_it_acknowledged(server, drive):
    driven = drive(server.url()).attached()
    for number in range(20):
        assert driven.status("settle" if number % 2 else "claim", number, 1, RECORD) == "SUCCESS"
    server.kill()
    assert driven.status("fetch", 1) not in ANSWERS
    server.start()
    for number in range(20):
        assert f"state={2 if number % 2 else 1} token=1" in answered(driven, "fetch", number).details


def test_ended_connections_are_noticed(server, drive):
    """Nobody is told of them: even a call that would not be repeated is not lost."""
    driven = drive(server.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    for words, status in ((("renew", 1, 1), "SUCCESS"), (("claim", 1, 2), "EEXIST"), (("release", 1, 1), "SUCCESS")):
        server.terminate_backends()
        until(lambda: server.connections() == 0, "they are gone")
        answer = driven.ask(*words)
        assert answer.status == status, answer
    assert driven.status("fetch", 1) == "NOTFOUND"


def test_connection_that_ends_in_a_call(server, drive):
    """A claim is harmless twice and repeated; giving back is not, and its caller is told that nobody knows."""
    driven = drive(server.url()).attached()
    assert driven.status("claim", 1, 1) == driven.status("release", 9, 1).replace("NOTFOUND", "SUCCESS") == "SUCCESS"
    with locked(server):
        driven.say("claim", 2, 1)
        until(lambda: waiting(server), "it waits for the lock")
        server.terminate_backends()
        until(lambda: waiting(server), "it has been repeated")
    assert driven.hear().status == "SUCCESS"
    with locked(server):
        driven.say("release", 2, 1)
        until(lambda: waiting(server), "it waits for the lock")
        server.terminate_backends()
        answer = driven.hear()
    assert answer.status not in ANSWERS and "is lost" in answer.why
    assert driven.status("release", 2, 1) == "SUCCESS"


def waiting(server):
    """Does a statement of the store's wait for a lock?"""
    if isinstance(server, Postgres):
        return waiting_for_locks(server) == 1
    return server.sql(
        "SELECT count(*) FROM information_schema.processlist WHERE user = 'idem' AND state LIKE 'Waiting for%lock'"
    ) == "1"


def test_connections_are_used_again_and_not_inherited(server, drive):
    driven = drive(server.url()).attached()
    for number in range(20):
        assert driven.status("claim", number, 1) == "SUCCESS"
    assert server.connections() == 1
    assert_one_connection_not_inherited(driven)
    driven.ask("detach")
    assert not sockets(driven)
    until(lambda: server.connections() == 0, "the server has seen it")
    assert driven.attached().status("claim", 1, 2) == "EEXIST"


def test_row_that_is_none_of_ours(store, drive):
    driven = drive(store.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    store.sql("UPDATE idempotency SET value = 'rubbish'")
    assert driven.ask("fetch", 1).details == driven.ask("claim", 1, 2).details == "damaged"
    assert driven.ask("each").details == "visits=1"
    assert driven.status("release", 1, 2) == "ELOST" and driven.status("forget", 1) == "SUCCESS"


# ---- time and races


def test_lease_outlives_its_time_to_live_while_it_is_renewed(store, drive):
    driven = drive(store.url()).attached()
    assert_lives_while_renewed(driven)
    until(lambda: driven.status("fetch", 1) == "NOTFOUND", "nobody renews it, and its time is over")


def test_lapsed_lease_is_taken_over_by_one(store, drive):
    drivers = [drive(store.url()).attached() for _ in range(4)]
    drivers[0].ask("life", 3600000, 50)
    for slot in range(20):
        assert drivers[0].status("claim", slot, 1) == "SUCCESS"
        until(lambda: "dead=1" in drivers[0].ask("fetch", slot).details, "it lapses")
        for number, driven in enumerate(drivers):
            driven.ask("life", 3600000, 60000)
            driven.say("takeover", slot, 1, 2 + number)
        statuses = sorted(driven.hear().status for driven in drivers)
        assert statuses == ["ELOST", "ELOST", "ELOST", "SUCCESS"]
        drivers[0].ask("life", 3600000, 50)
        assert drivers[0].status("renew", slot, 1) == drivers[0].status("settle", slot, 1, RECORD) == "ELOST"


def test_what_is_given_back_is_free_for_one(store, drive):
    """Giving back races with claims; the slot is never two's, and never nobody's for good."""
    drivers = [drive(store.url()).attached() for _ in range(3)]
    held = 1
    assert drivers[0].status("claim", 1, held) == "SUCCESS"
    for turn in range(40):
        drivers[0].say("release", 1, held)
        for number in (1, 2):
            drivers[number].say("claim", 1, 10 + 2 * turn + number)
        assert drivers[0].hear().status == "SUCCESS"
        won = [10 + 2 * turn + number for number in (1, 2) if drivers[number].hear().status == "SUCCESS"]
        assert len(won) <= 1
        held = won[0] if won else 9
        if not won:
            assert drivers[0].status("claim", 1, held) == "SUCCESS"


def test_readers_do_not_wait_for_a_writer(tmp_path, drive):
    sqlite = Sqlite(tmp_path)
    driven = drive(sqlite.url()).attached()
    assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    driven.ask("within", 300)
    with sqlite.locked():
        assert driven.status("fetch", 1) == "SUCCESS" and driven.ask("each").details == "visits=1"
        assert driven.status("claim", 2, 1) == "TIMEUP"
