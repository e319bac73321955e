# SPDX-License-Identifier: Apache-2.0
"""Sentinels say who the primary is, and the driver goes where they say."""
import contextlib

import pytest

from redis_server import NEVER, SOON, Sentinel, end_group, free_port, start_group, until

SLACK = 10000  # milliseconds beyond a deadline: a busy machine; without a deadline it would be for ever
RECORD = 2


@pytest.fixture
def group(tmp_path):
    servers, sentinels = start_group(tmp_path, replicas=1, sentinels=3)
    yield servers, sentinels
    end_group(servers, sentinels)


def used(driven, *words):
    """The operation's answer, once there is one."""
    def answer():
        said = driven.ask(*words)
        return said if said.status in ("SUCCESS", "EEXIST") else None
    return until(answer, "the store is used")


def test_failover_is_followed(group, drive):
    """With wait=1 what was acknowledged is there afterwards, and nothing is acknowledged until there is a replica
    again.
    """
    (primary, replica), (first, *others) = group
    driven = drive(first.url(*others, db=3), "wait=1,1000").attached()
    driven.ask("within", 2000)
    assert driven.status("claim", 1, 1) == driven.status("settle", 1, 1, RECORD) == driven.status("claim", 2,
                                                                                                  1) == "SUCCESS"
    primary.kill()
    answer = driven.ask("claim", 3, 1)
    assert answer.status not in ("SUCCESS", "EEXIST")
    for sentinel in (first, *others):
        sentinel.judge(SOON)
    until(lambda: first.primary_port() == replica.port, "the sentinels promote the replica")
    for sentinel in (first, *others):
        sentinel.judge(NEVER)
    until(lambda: "only 0 of 1 replicas" in driven.ask("claim", 1, 2).why, "the new primary is asked")
    primary.start()
    answer = used(driven, "claim", 1, 2)
    assert answer.status == "EEXIST" and "state=2 token=1" in answer.details
    assert "state=1 token=1" in driven.ask("claim", 2, 2).details
    assert driven.status("settle", 2, 1, RECORD) == "SUCCESS"
    assert primary.info("role") == "slave"


def test_demoted_primary_is_left(group, drive):
    """A planned failover: the old primary lives on, as a replica, and closes or refuses what is said to it."""
    (primary, replica), (first, *others) = group
    driven = drive(first.url(*others)).attached()
    assert driven.status("claim", 1, 1) == "SUCCESS"
    first.cli("SENTINEL", "failover", "main")
    until(lambda: replica.info("role") == "master" and primary.info("role") == "slave", "they have changed places")
    used(driven, "claim", 2, 1)
    assert driven.status("fetch", 1) == "SUCCESS"
    assert int(replica.info("db0").split("keys=")[1].split(",")[0]) == 2


def test_sentinels_that_are_gone_or_hang_are_passed_over(group, drive):
    (primary, _), (first, second, third) = group
    first.kill()
    second.pause()
    driven = drive(first.url(second, third), timeout_ms=3000)
    answer = driven.ask("attach")
    assert answer.status == "SUCCESS" and answer.milliseconds < 3000
    primary.cli("CLIENT", "KILL", "TYPE", "normal")
    answer = driven.ask("claim", 1, 1)
    # The one that answered last is asked first, and none that hangs.
    assert answer.status == "SUCCESS" and answer.milliseconds < 3000
    third.pause()
    with contextlib.ExitStack() as until_here:
        until_here.callback(second.resume)
        until_here.callback(third.resume)
        answer = drive(first.url(second, third), timeout_ms=600).ask("attach")
        assert answer.status != "SUCCESS" and "sentinel 127.0.0.1:" in answer.why
        assert answer.milliseconds < 600 + SLACK


def test_name_that_no_sentinel_knows(tmp_path, drive):
    servers, sentinels = start_group(tmp_path, replicas=0, sentinels=1)
    try:
        answer = drive(sentinels[0].url().replace("/main", "/other")).ask("attach")
        assert "the sentinel knows no primary named other" in answer.why and answer.status not in ("SUCCESS",
                                                                                                   "NOTFOUND")
        answer = drive(servers[0].url().replace("redis:", "redis-sentinel:") + "/main").ask("attach")
        assert "Redis refused: ERR unknown command" in answer.why
        answer = drive(f"redis-sentinel://127.0.0.1:{free_port()}/main").ask("open")
        assert answer.status != "SUCCESS" and "cannot be reached" in answer.why
    finally:
        end_group(servers, sentinels)


def test_sentinel_that_names_yesterdays_primary(tmp_path, drive):
    """It was cut off from the others: whom it names is a replica now. The next one is asked."""
    servers, sentinels = start_group(tmp_path, replicas=1, sentinels=1)
    try:
        stale = Sentinel(tmp_path / "stale", servers[1])
        with stale:
            assert stale.primary_port() == servers[1].port
            driven = drive(stale.url(sentinels[0]), timeout_ms=2000)
            assert "the address leads to a Redis replica" in driven.ask("attach").why
            assert driven.status("attach") == "SUCCESS"
            assert driven.status("claim", 1, 1) == "SUCCESS"
            assert servers[0].info("db0")
    finally:
        end_group(servers, sentinels)
