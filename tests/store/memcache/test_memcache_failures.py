# SPDX-License-Identifier: Apache-2.0
"""A server that ends, restarts, stops, fills up or closes connections; and what time does to leases and their keys."""
import socket
import time

import pytest

from failures import (ANSWERS, RECORD, SLACK, TOMBSTONE, UNKNOWN, assert_lives_while_renewed,
                      assert_one_connection_not_inherited, paused, sockets)
from fake_memcached import FakeMemcached
from memcached_server import Memcached, url
from private_server import until

QUICK = 200  # milliseconds: half of what asking a server that is silent takes
DAY = 86400


@pytest.fixture
def server(tmp_path):
    with Memcached(tmp_path / "memcached", "-M") as server:
        yield server


@pytest.fixture
def pair(tmp_path):
    with Memcached(tmp_path / "one", "-M") as one, Memcached(tmp_path / "two", "-M") as two:
        yield one, two


def slots_of(server):
    return {key.split(":")[1] for key in server.items()}


def ends_of(server, kind):
    """When the keys of a kind end: C, R or H; by attempt."""
    return [end for key, end in sorted(server.items().items()) if key.split(":")[3] == kind]


def is_answer(answer):
    return answer.status in ANSWERS


# ---- one server of two


def test_slots_stay_with_their_server(pair, drive):
    """While one is away its slots are refused, the others' are served, and none moves."""
    one, two = pair
    driven = drive(url(one, two)).attached()
    for slot in range(40):
        assert driven.status("claim", slot, 1) == "SUCCESS"
    before = slots_of(one), slots_of(two)
    assert min(map(len, before)) > 5 and not before[0] & before[1]
    one.kill()
    answers = [driven.ask("claim", slot, 2) for slot in range(40)]
    assert sum(answer.status == "EEXIST" for answer in answers) == len(before[1])
    away = [answer for answer in answers if answer.status != "EEXIST"]
    assert len(away) == len(before[0]) and not any(is_answer(answer) for answer in away)
    assert all(f"memcached at {one.place()}" in answer.why and answer.milliseconds < SLACK for answer in away)
    assert slots_of(two) == before[1]
    assert drive(url(one, two)).attached().status("status") == "SUCCESS"
    one.start()
    answers = [
        until(lambda: (answer := driven.ask("claim", slot, 3)).status in ("SUCCESS", "EEXIST") and answer, "it is back")
        for slot in range(40)
    ]
    assert sum(answer.status == "SUCCESS" for answer in answers) == len(before[0])  # it has forgotten them
    assert slots_of(one) == before[0]


def test_nothing_is_asked_of_a_server_that_is_away(server, drive):
    driven = drive(server.url()).attached()
    server.kill()
    first = driven.ask("claim", 1, 1)
    assert "cannot be reached" in first.why
    for operation in (("takeover", 1, 1, 2), ("renew", 1, 1), ("settle", 1, 1, RECORD), ("release", 1, 1), ("fetch", 1),
                      ("forget", 1)):
        answer = driven.ask(*operation)
        assert not is_answer(answer) and answer.why == first.why and answer.milliseconds < QUICK, answer


# ---- a server that comes back


def test_restarted_server_is_used_at_once(server, drive):
    driven = drive(server.url()).attached()
    for number in range(3):
        assert driven.status("claim", 1, number) == "SUCCESS"
        server.restart()
        assert driven.status("fetch", 1) == "NOTFOUND"  # it keeps nothing
    assert driven.status("settle", 1, 2, RECORD) == "SUCCESS"  # what it lost is healed by its owner
    assert "state=2 token=2" in driven.ask("fetch", 1).details


@pytest.mark.parametrize("words, status", [(("claim", 1, 2), "SUCCESS"), (("takeover", 1, 1, 2), "NOTFOUND"),
                                           (("renew", 1, 1), "NOTFOUND"), (("release", 1, 1), "NOTFOUND"),
                                           (("settle", 1, 1, RECORD), "SUCCESS"), (("fetch", 1), "NOTFOUND"),
                                           (("forget", 1), "NOTFOUND")])
def test_each_operation_survives_a_stale_connection(server, drive, words, status):
    driven = drive(server.url()).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    server.restart()
    assert driven.status(*words) == status


def test_idle_connection_that_the_server_closes(tmp_path, drive):
    with Memcached(tmp_path / "memcached", "-M", "-o", "idle_timeout=1") as server:
        driven = drive(server.url()).attached()
        assert driven.status("claim", 1, 1) == "SUCCESS"
        until(lambda: server.stats()["curr_connections"] == "2", "it has closed ours")  # one is its own
        assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
        assert driven.status("claim", 1, 2) == "EEXIST"


def test_connections_are_used_again_and_not_inherited(server, drive):
    driven = drive(server.url()).attached()
    assert driven.status("claim", 0, 1) == "SUCCESS"
    before = int(server.stats()["total_connections"])
    for slot in range(1, 30):
        assert driven.status("claim", slot, 1) == "SUCCESS"
    assert int(server.stats()["total_connections"]) - before == 1  # the question's own
    assert_one_connection_not_inherited(driven)
    driven.ask("detach")
    assert not sockets(driven)


# ---- a server that stops


def test_stopped_server_is_not_attached_to(server, drive):
    other = drive(server.url(), timeout_ms=300)
    with paused(server):
        for operation in ("open", "attach"):
            answer = other.ask(operation)
            assert answer.status == "TIMEUP" and "did not answer in time" in answer.why
            assert answer.milliseconds < 300 + SLACK
    assert other.attached().status("claim", 1, 1) == "SUCCESS"


@pytest.mark.parametrize("words", [("claim", 2, 1), ("takeover", 1, 1, 2), ("renew", 1, 1)])
def test_lease_that_comes_too_late_is_none(server, drive, words):
    """A call inside a server that has stopped ends when it goes on. What was sent is done, and is told to be in doubt.
    """
    driven = drive(server.url()).attached()
    driven.ask("life", 3600000, 60000)
    if words[0] == "takeover":
        assert driven.status("settle", 1, 1, UNKNOWN) == "SUCCESS"
    else:
        assert driven.status("claim", 1, 1) == "SUCCESS"
    driven.ask("within", 1000)
    with paused(server):
        driven.say(*words)
        until(lambda: server.unread(), "it has been sent")
        time.sleep(1.2)  # the lateness that is tested
    answer = driven.hear()
    assert answer.status == "TIMEUP" and answer.why
    driven.ask("within", 5000)
    slot, token = words[1], words[-1]
    assert driven.status("release", slot, token) in ("SUCCESS", "NOTFOUND", "ELOST")  # withdrawn
    other = drive(server.url()).attached()
    assert other.status("claim", slot, 9) == ("EEXIST" if words[0] == "takeover" else "SUCCESS")


def test_no_key_is_made_after_the_deadline(server, drive):
    driven = drive(server.url()).attached()
    assert driven.status("fetch", 1) == "NOTFOUND"
    driven.ask("within", 1000)
    with paused(server):
        driven.say("claim", 1, 1)
        until(lambda: server.unread(), "its first question has been sent")
        time.sleep(1.2)  # the lateness that is tested
    assert driven.hear().status == "TIMEUP"
    assert server.items() == {}


def kind_of(words):
    """Of a command's key: C, R or H."""
    return words[1].split(":")[3]


def test_lease_that_is_acknowledged_too_late_is_none(drive):
    with FakeMemcached() as fake:
        def tarry(connection):
            time.sleep(1.5 if kind_of(fake.asked[-1]) == "C" else 0)  # the lateness that is tested
            connection.sendall(b"STORED\r\n")
        fake.answers["add"] = tarry
        driven = drive(fake.url()).attached()
        driven.ask("within", 1000)
        answer = driven.ask("claim", 1, 1)
        assert answer.status == "TIMEUP" and "answered too late" in answer.why


def test_server_that_has_gone_silent_is_left_alone_for_a_while(drive):
    """It takes connections, as a host does whose server has stopped; who finds out spares the others."""
    with FakeMemcached() as fake:
        driven = drive(fake.url(), timeout_ms=400).attached()
        driven.ask("within", 400)
        assert driven.status("claim", 2, 1) == "SUCCESS"
        fake.answers["stats settings"] = lambda connection: None
        fake.hang_up()
        answers = [driven.ask("claim", 1, 1) for _ in range(5)]
        assert answers[0].status == "TIMEUP" and 350 < answers[0].milliseconds < 400 + SLACK
        assert all(answer.why == answers[0].why and answer.milliseconds < QUICK for answer in answers[1:]), answers
        fake.answers["stats settings"] = b"ERROR\r\n"
        until(lambda: driven.status("claim", 1, 1) == "SUCCESS", "it is asked again")


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("words, kind", [(("claim", 1, 1), "H"), (("claim", 1, 1), "C"),
                                         (("settle", 1, 1, RECORD), "R"), (("settle", 1, 1, RECORD), "C")])
def test_connection_that_breaks_before_an_answer(drive, words, kind, done):
    """Whether what was sent had been done or not is looked at; it is done once."""
    with FakeMemcached() as fake:
        def break_off(connection):
            if kind_of(fake.asked[-1]) != kind:
                connection.sendall(b"STORED\r\n")
                return
            if not done:
                fake.kept.pop(fake.asked[-1][1])
            del fake.answers["add"]
            connection.shutdown(socket.SHUT_RDWR)
        fake.answers["add"] = break_off
        driven = drive(fake.url()).attached()
        assert driven.status(*words) == "SUCCESS"
        assert sorted(map(kind_of,
                          [("", name) for name in fake.kept])) == (["C", "H"] if words[0] == "claim" else ["C", "R"])
        assert driven.ask("fetch",
                          1).details.startswith("state=1 token=1 " if words[0] == "claim" else "state=2 token=1 ")


# ---- room


def test_value_larger_than_an_item(tmp_path, drive):
    with Memcached(tmp_path / "memcached", "-M", "-I", "512k") as server:
        driven = drive(server.url())
        driven.ask("open")
        driven.attached()
        assert driven.status("claim", 1, 1) == "SUCCESS"
        answer = driven.ask("settle-large", 1, 1, RECORD)
        assert answer.status == "ETOOBIG" and "523776 is the most that memcached keeps (-I)" in answer.why
        assert "state=1 token=1" in driven.ask("fetch", 1).details
        assert driven.status("settle", 1, 1, TOMBSTONE) == "SUCCESS"


def test_server_that_takes_less_than_it_was_thought_to(tmp_path, drive):
    """It was not there when the limit was to be known."""
    with Memcached(tmp_path / "memcached", "-M", "-I", "512k") as server:
        driven = drive(server.url()).attached()
        assert driven.status("claim", 1, 1) == "SUCCESS"
        answer = driven.ask("settle-large", 1, 1, RECORD)
        assert answer.status == "EFULL" and "has no room for a value of 1000009 bytes" in answer.why
        assert driven.status("settle", 1, 1, TOMBSTONE) == "SUCCESS"


def test_full_server_refuses_new_keys_and_keeps_the_old(tmp_path, drive):
    with Memcached(tmp_path / "memcached", "-M", "-m", "1", "-I", "512k") as server:
        driven = drive(server.url()).attached()
        slot, answer = 0, None
        while (answer := driven.ask("claim", slot, 1)).status == "SUCCESS":
            slot += 1
        assert answer.status == "EFULL" and f"memcached at {server.place()} has no room for a value" in answer.why
        assert slot > 100
        for known in range(0, slot, 50):
            assert driven.status("claim", known, 2) == "EEXIST"
            assert "state=1 token=1 " in driven.ask("fetch", known).details
        assert driven.status("fetch", slot) == "NOTFOUND"
        assert server.stats()["evictions"] == "0"
        assert len(ends_of(server, "C")) == slot


@pytest.mark.parametrize("refusal",
                         [b"SERVER_ERROR out of memory storing object\r\n", b"ERROR\r\n", b"SERVER_ERROR\r\n"])
def test_refused_is_not_stored(drive, refusal):
    with FakeMemcached({"add": refusal}) as fake:
        driven = drive(fake.url()).attached()
        assert driven.status("claim", 1, 1) == "EFULL"
        assert {kind_of(words)
                for words in fake.asked if words[0] == "add"} == {"H"}  # without a heart there is no claim


def test_nonsense_is_no_answer(drive):
    for answer in (b"VALUE x 0 nothing\r\n", b"hello\r\n", b"SERVER_ERROR x\r\n"):
        with FakeMemcached({"get": answer}) as fake:
            driven = drive(fake.url()).attached()
            for words in (("claim", 1, 1), ("fetch", 1), ("settle", 1, 1, RECORD), ("release", 1, 1)):
                assert not is_answer(driven.ask(*words))
            assert not [words for words in fake.asked if words[0] in ("add", "replace")]


# ---- time


def test_lease_outlives_its_time_to_live_while_it_is_renewed(server, drive):
    driven = drive(server.url()).attached()
    assert_lives_while_renewed(driven)
    until(lambda: "dead=1" in driven.ask("fetch", 1).details, "nobody renews it")


def test_heart_that_has_stopped_stays_stopped(server, drive):
    """Whether somebody has taken over or not; but who is late, and alone, can still settle."""
    driven = drive(server.url()).attached()
    driven.ask("life", 3600000, 1)
    for slot in (1, 2):
        assert driven.status("claim", slot, 1) == "SUCCESS"
        until(lambda: "dead=1" in driven.ask("fetch", slot).details, "it lapses")
        assert driven.status("renew", slot, 1) == "ELOST"
        answer = driven.ask("claim", slot, 1)
        assert answer.status == "TIMEUP" and "expired during its own claim" in answer.why
        assert "dead=1" in driven.ask("fetch", slot).details
    assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    assert driven.status("takeover", 1, 1, 2) == "ELOST"
    driven.ask("life", 3600000, 60000)
    assert driven.status("takeover", 2, 1, 2) == "SUCCESS"
    assert driven.status("settle", 2, 1, RECORD) == driven.status("release", 2, 1) == driven.status("renew", 2,
                                                                                                    1) == "ELOST"
    assert driven.status("claim", 2, 2) == "SUCCESS"
    assert "state=1 token=2" in driven.ask("fetch", 2).details


def test_whole_seconds_are_rounded_up(server, drive):
    """A second of memcached's may be over at once; neither a lease nor an entry may be over before its time."""
    driven, began, gone = drive(server.url()).attached(), {}, {}
    driven.ask("life", 1000, 1000)
    for slot in range(6):
        began[slot] = time.monotonic()
        assert driven.status("claim", slot, 1) == "SUCCESS"
        assert driven.status("settle", 100 + slot, 1, RECORD) == "SUCCESS"
        time.sleep(0.17)  # so that they begin in different parts of a second
    while len(gone) < len(began):
        for slot in began.keys() - gone.keys():
            answers = driven.ask("fetch", slot), driven.ask("fetch", 100 + slot)
            if "dead=0" not in answers[0].details and answers[1].status == "NOTFOUND":
                gone[slot] = time.monotonic() - began[slot]
            if time.monotonic() - began[slot] < 1:
                assert "dead=0" in answers[0].details and answers[1].status == "SUCCESS"
    assert 1 <= min(gone.values()) and max(gone.values()) < 5 + SLACK / 1000, gone


def test_more_than_thirty_days_is_a_date(server, drive):
    driven = drive(server.url()).attached()
    driven.ask("life", 40 * DAY * 1000, 60000)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    now = int(server.stats()["time"])
    for kind in ("C", "R"):
        assert 40 * DAY - 5 <= ends_of(server, kind)[0] - now < 40 * DAY + 200
    assert ends_of(server, "H")[0] - now < 200
    assert driven.status("claim", 1, 2) == "EEXIST"


def test_claims_of_earlier_attempts_last_as_long_as_what_stands(server, drive):
    """Else the slot would begin anew beside it."""
    driven = drive(server.url()).attached()
    driven.ask("life", 1000, 5000)
    for token in (1, 2, 3):
        assert driven.status("claim", 1, token) == driven.status("release", 1, token) == "SUCCESS"
    driven.ask("life", DAY * 1000, 5000)
    assert driven.status("claim", 1, 4) == "SUCCESS"
    now = int(server.stats()["time"])
    claims, results = ends_of(server, "C"), ends_of(server, "R")
    assert len(claims) == 4 and min(claims) - now >= DAY
    assert len(results) == 3 and min(results) >= min(claims)
    assert driven.status("settle", 1, 4, UNKNOWN) == driven.status("takeover", 1, 4, 5) == "SUCCESS"
    driven.ask("life", 2 * DAY * 1000, 5000)
    assert driven.status("settle", 1, 5, RECORD) == "SUCCESS"
    claims, results = ends_of(server, "C"), ends_of(server, "R")
    assert len(claims) == len(results) == 5 and min(claims) - now >= 2 * DAY and min(results) >= min(claims)


def test_result_outlives_its_claim(server, drive):
    """Else what has expired would read as a dead owner's lease for a while."""
    driven = drive(server.url()).attached()
    driven.ask("life", DAY * 1000, 5000)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    driven.ask("life", 1000, 5000)
    assert driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    assert ends_of(server, "R")[0] > ends_of(server, "C")[0]
    while (answer := driven.ask("fetch", 1)).status == "SUCCESS":
        assert "state=2" in answer.details
    assert answer.status == "NOTFOUND"
    assert driven.status("claim", 1, 2) == "SUCCESS"


def test_key_is_released_again_and_again(server, drive):
    driven = drive(server.url()).attached()
    for token in range(60):
        assert driven.status("claim", 1, token) == driven.status("release", 1, token) == "SUCCESS"
        assert driven.status("fetch", 1) == "NOTFOUND"
    assert driven.status("settle", 1, 99, RECORD) == "SUCCESS"
    assert "state=2 token=99" in driven.ask("claim", 1, 100).details


# ---- what others have written


@pytest.mark.parametrize("content", ["", "x", "C" * 200, "V" * 300])
def test_damaged_keys_are_never_believed(server, drive, content):
    driven = drive(server.url()).attached()
    assert driven.status("claim", 1, 1) == driven.status("settle", 1, 1, RECORD) == "SUCCESS"
    for kind in ("R", "C"):
        key = next(key for key in server.items() if key.split(":")[3] == kind)
        assert server.say("set", key, "0", "0", f"{len(content)}\r\n{content}") == ["STORED"]
        assert driven.ask("fetch", 1).details == driven.ask("claim", 1, 2).details == "damaged"
        assert driven.status("takeover", 1, 1, 2) == driven.status("settle", 1, 2, RECORD) == driven.status(
            "release", 1, 2) == "ELOST"
    assert driven.status("forget", 1) == "SUCCESS"
    assert driven.status("fetch", 1) == "NOTFOUND"
    assert driven.status("claim", 1, 3) == "SUCCESS"
    assert "state=1 token=3" in driven.ask("fetch", 1).details
