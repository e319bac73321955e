# SPDX-License-Identifier: Apache-2.0
"""A store that two hosts share dies, stops, or is cut off. Which answers do requests get, how soon, and how soon is the
store used again?
"""
import itertools
import statistics
import time

import pytest

import env
from crowd import Crowd, summary
from farm import CHILDREN

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
TIMEOUT = 0.4
BACK = 2.0  # seconds until a store that is back is used
PATIENCE = 0.5  # seconds beyond what a call may take: then a round is over, where a server that hangs ends no call
CONFIG = """
IdempotencyStoreTimeout 400ms
IdempotencyLease 5s
<Location /far/bypass>
    IdempotencyStoreFailure bypass
</Location>
"""
# A call failed; the store is not called; a request was let through; a child could not attach; leases were not renewed,
# or lost.
TROUBLE = (10, 22, 50, 65, 90, 91)
REFUSED, EXECUTED = (503, "store-unavailable"), (201, None)
ROUNDS, GUARDED = 15, 12  # of requests on each host while the store is away: more than it has workers
UNGUARDED = 40  # on each host before that
NUMBERS = itertools.count()


class Fault:
    """What is done to the store, and undone."""

    def __init__(self, how, store):
        if how == "cut off" and not store.farm.apart:
            pytest.skip(store.farm.reason)
        self.how, self.store, self.hosts = how, store, store.farm.hosts

    def begin(self):
        if self.how == "cut off":
            for host in self.hosts:
                host.cut_off()
        else:
            {"killed": self.store.kill, "paused": self.store.pause}[self.how]()

    def end(self):
        """Returns when the store could be used."""
        if self.how == "cut off":
            for host in self.hosts:
                host.mend()
        else:
            self.store.mend()
        return time.monotonic()


@pytest.fixture(params=["killed", "paused", "cut off"])
def fault(request, far_store, hosts):
    return Fault(request.param, far_store)


@pytest.fixture(autouse=True)
def store_in_trouble(tolerate):
    tolerate(*TROUBLE)


def fresh():
    return f"k{next(NUMBERS)}"


def unguarded(crowd, apis, seconds):
    """Executes requests without a key, and adds how long each took."""
    for api in apis:
        began = time.monotonic()
        assert api.post("/free").problem == EXECUTED
        seconds.append(time.monotonic() - began)
        crowd.look()


def guarded(crowd, apis, count):
    for _ in range(count):
        for api in apis:
            crowd.send(api, "/pay", key=fresh())
    for api in apis:
        crowd.send(api, "/bypass", key=fresh())


def under_load(apis, rounds, bounds):
    """Guarded requests on both hosts and unguarded ones between them: (guarded crowd, seconds of the unguarded). A
    round is over when it is answered, or should be.
    """
    crowd, free = Crowd(), []
    for _ in range(rounds):
        inside, ends = crowd.under_way(), time.monotonic() + 2 * TIMEOUT + (env.SLACK if bounds else PATIENCE)
        guarded(crowd, apis, GUARDED)
        while crowd.under_way() > inside and time.monotonic() < ends:
            unguarded(crowd, apis, free)
    return crowd, free


def await_use(apis, since):
    """When the last request was refused that came after the store was back; every child of every host has had its turn.
    """
    last, good = since, 0
    while good < 60:
        for api in apis:
            answer = api.post("/pay", key=fresh())
            good = good + 1 if answer.problem == EXECUTED else 0
            last = last if good else time.monotonic()
        assert time.monotonic() - since < env.CLIENT_TIMEOUT, answer
    return last - since


def check_refused(crowd, store, inside):
    """All in time; or, where a call inside a server that hangs cannot be ended, all but so many, which wait for its
    return.
    """
    assert crowd.under_way() <= (0 if store.row.bounds else inside)
    assert crowd.problems("/pay") <= {REFUSED} and crowd.problems("/bypass") <= {EXECUTED}
    assert max(crowd.seconds(), default=0) < 2 * TIMEOUT + env.SLACK


def test_store_away_when_requests_come(far_store, hosts, apis, fault, record_property):
    before, kept = [], apis[0].post("/pay", key="kept")
    for _ in range(UNGUARDED):
        unguarded(Crowd(), apis, before)
    fault.begin()
    noticing, during = under_load(apis, 1, far_store.row.bounds)
    check_refused(noticing, far_store, inside=len(hosts) * (GUARDED + 1))
    crowd, meanwhile = under_load(apis, ROUNDS, far_store.row.bounds)
    check_refused(crowd, far_store,
                  inside=len(hosts) * CHILDREN * len(far_store.servers))  # whom nobody had asked before
    inside, refused, during = noticing.under_way() + crowd.under_way(), summary(crowd.seconds()), during + meanwhile
    # Most did not wait for the store at all, and nobody without a key did.
    assert statistics.median(crowd.seconds()) < TIMEOUT / 2 + GUARDED * statistics.median(during)
    assert statistics.median(during) < 3 * statistics.median(before) + TIMEOUT / 4
    back = await_use(apis, fault.end())
    assert back < BACK + env.SLACK
    for one in (noticing, crowd):
        one.await_all()
    if far_store.row.keeps or fault.how != "killed":
        assert all(api.post("/pay", key="kept").recorded == kept.recorded for api in apis)
    figures = f"refused: {refused}, {inside} inside until its return; unguarded: before {summary(before)}, " \
              f"meanwhile {summary(during)}; used again after {back * 1000:.0f} ms"
    print(f"\n{far_store.row} {fault.how}: {figures}")
    record_property("figures", figures)


def test_store_away_when_a_request_is_done(far_store, hosts, apis, origin, fault, record_property):
    with origin.hold("/pay") as held:
        runs = [api.post_async("/pay", key=f"/pay{number}") for number, api in enumerate(apis)]
        held.wait_until_entered(len(runs))
        fault.begin()
    began = time.monotonic()
    if far_store.row.bounds or fault.how == "killed":
        firsts = [run.last_result() for run in runs]
        answered = time.monotonic() - began
        assert answered < 2 * TIMEOUT + env.SLACK
        began = fault.end()
    else:
        began = fault.end()
        firsts = [run.last_result() for run in runs]
        answered = time.monotonic() - began
        assert answered < BACK + env.SLACK
    assert [first.problem for first in firsts] == [EXECUTED] * 2
    if far_store.row.bounds or fault.how == "killed":
        for host in hosts:
            env.until(lambda: host.server.log.count("IDEM072"), "the record is there")
    recorded = time.monotonic() - began
    for number, first in enumerate(firsts):
        assert [api.post("/pay", key=f"/pay{number}").recorded == first.recorded for api in apis] == [True, True]
    assert recorded < BACK + env.SLACK
    assert origin.executions("/pay") == 2
    figures = f"answered {answered * 1000:.0f} ms after the handler's end, " \
              f"recorded {recorded * 1000:.0f} ms after the store's return"
    print(f"\n{far_store.row} {fault.how}: {figures}")
    record_property("figures", figures)


@pytest.mark.parametrize("answers_only", [False, True], ids=["blackhole", "answers-lost"])
def test_one_host_is_cut_off(far_store, hosts, apis, origin, answers_only):
    """It says so to its clients; the other one does not notice."""
    if not far_store.farm.apart:
        pytest.skip(far_store.farm.reason)
    first, crowd, paths = apis[0].post("/pay", key="k1"), Crowd(), [f"/new{number}" for number in range(8)]
    hosts[0].cut_off(answers_only)
    for path in paths:
        crowd.send(apis[0], path, key=path)
        assert apis[1].post("/pay", key=fresh()).problem == EXECUTED
    ends = time.monotonic() + 2 * TIMEOUT + (env.SLACK if far_store.row.bounds else PATIENCE)
    while crowd.under_way() and time.monotonic() < ends:
        crowd.look(0.1)
    check_refused(crowd, far_store, inside=len(paths))
    assert apis[1].post("/pay", key="k1").recorded == first.recorded
    hosts[0].mend()
    assert await_use(apis[:1], time.monotonic()) < BACK + env.SLACK
    crowd.await_all()
    # What was perhaps claimed was not executed: it is given back. Only a call that had to wait may have gone on to
    # execute.
    for path in paths:
        env.until(lambda: apis[1].post(path, key=path).status == 201, "the claim is withdrawn")
        assert origin.executions(path) == 1
    assert hosts[1].server.log.faults() == []
