# SPDX-License-Identifier: Apache-2.0
"""The suite every driver passes, on one memcached and on two; and races between processes that share nothing but them.
"""
import pytest

from memcached_server import Memcached, url

ROUNDS = ("-n", "1000", "-k", "15")
UNPROMISED = ("its owners live by renewing", "its orphans take their time", "it needs no sweep",
              "it cannot list its entries", "this store does not promise it", "it is too large to be filled")
PROCESSES, RACES = 4, 150


def skipped(said):
    """How much was; and for no other reason than that memcached cannot do it, or keeps nothing."""
    lines = [line for line in said.splitlines() if "# skipped" in line]
    assert [line for line in lines if not any(reason in line for reason in UNPROMISED)] == []
    return len(lines)


@pytest.fixture
def pair(tmp_path):
    with Memcached(tmp_path / "one", "-M") as one, Memcached(tmp_path / "two", "-M") as two:
        yield one, two


def test_one_server(tmp_path, conformance):
    with Memcached(tmp_path / "memcached", "-M") as server:
        assert skipped(conformance(*ROUNDS, server.url())) == 10


def test_two_servers(pair, conformance):
    assert skipped(conformance("-n", "300", "-k", "5", url(*pair))) == 10
    counts = [int(server.stats()["cmd_set"]) for server in pair]
    assert min(counts) > max(counts) / 3, counts


def test_server_that_evicts(tmp_path, conformance):
    """It promises less, and what it does promise holds."""
    with Memcached(tmp_path / "memcached") as server:
        assert skipped(conformance("-n", "100", "-s", "claim", server.url())) == 0
        assert skipped(conformance("-s", "everyone writes", server.url())) == 0
        assert skipped(conformance("-s", "killed writers", server.url())) == 1


@pytest.mark.parametrize("most", ["512k", "4m"])
def test_largest_value_follows_the_servers_limit(tmp_path, conformance, most):
    with Memcached(tmp_path / "memcached", "-M", "-I", most) as server:
        for case in ("the largest value", "one byte more"):
            assert "1 passed, 0 failed, 0 skipped" in conformance("-s", case, server.url())


def race(drivers, *words):
    """The same operation from each at once, each with its own token; the statuses."""
    for number, driven in enumerate(drivers, 1):
        driven.say(*words, number)
    return [driven.hear().status for driven in drivers]


def test_processes_race(pair, drive):
    """As on hosts of their own, that name the servers in different orders: one claim wins, and one takeover."""
    drivers = [drive(url(*(pair if i % 2 else pair[::-1]))).attached() for i in range(PROCESSES)]
    for driven in drivers:
        driven.ask("life", 3600000, 1)
    claims = [race(drivers, "claim", slot) for slot in range(RACES)]
    assert {tuple(sorted(statuses)) for statuses in claims} == {("EEXIST",) * (PROCESSES - 1) + ("SUCCESS",)}

    owners = [statuses.index("SUCCESS") + 1 for statuses in claims]
    for slot, owner in enumerate(owners):
        while "dead=1" not in (answer := drivers[0].ask("fetch", slot)).details:
            assert f"token={owner} " in answer.details
    for slot, owner in enumerate(owners):
        for number, driven in enumerate(drivers, 11):
            driven.say("takeover", slot, owner, number)
        statuses = [driven.hear().status for driven in drivers]
        # The first may see the winner's lease; who comes later sees that it lives.
        assert statuses.count("SUCCESS") == 1 and set(statuses) <= {"SUCCESS", "ELOST"}, statuses
        heir = statuses.index("SUCCESS") + 11
        assert drivers[owner - 1].status("settle", slot, owner, 2) == "ELOST"
        assert drivers[heir - 11].status("settle", slot, heir, 2) == "SUCCESS"
        assert f"state=2 token={heir} " in drivers[0].ask("fetch", slot).details
