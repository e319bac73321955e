# SPDX-License-Identifier: Apache-2.0
"""Two hosts and one store: races between them, and one host's answers given by the other."""
import random
import time

import pytest

import env

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyLease 5s
IdempotencyStoreTimeout 1s
LogLevel idempotency:trace1
<Location /far/wait>
    IdempotencyConcurrent wait 20s
</Location>
<Location /far/gzip>
    SetOutputFilter DEFLATE
</Location>
"""
RACES, CROWD = 300, 8
NEAR_THE_LIMIT = (1 << 20) - 1024  # of the default IdempotencyMaxResponse
KINDS = {
    "binary": "/pay?size=5000&seed=b",
    "chunked": "/pay?size=70000&seed=c&parts=7",
    "empty": "/pay?status=204&body=",
    "empty-200": "/pay?status=200&body=",
    "repeated": "/pay?body=x&header=X-One:+b&header=X-One:+a&header=Link:+<1>&header=x-one:+b",
    "reason": "/pay?status=299&reason=Quite%20Fine&body=x",
    "error": "/pay?status=500&body=sorry",
    "large": f"/pay?size={NEAR_THE_LIMIT}&seed=l",
    "compressed": "/gzip?body=" + "hello+" * 200,
}


@pytest.fixture(scope="module")
def hosts(far_store):
    """One pair for all tests of this file: nothing is done to it."""
    for one in far_store.farm.hosts:
        one.start(CONFIG, far_store.url())
    return far_store.farm.hosts


def race(apis, path, key):
    """The answers to requests that are sent all at once, [api, answer]."""
    runners = [(api, api.connect()) for api in random.sample(apis * (CROWD // 2), CROWD)]
    for api, conn in runners:
        api.post_async(path, key=key, json={"amount": 1}, conn=conn)
    return [(api, conn.last_result()) for api, conn in runners]


def replay(api, path, key):
    def repeat():
        answer = api.post(path, key=key, json={"amount": 1})
        return answer if answer.problem != (409, "in-progress") else None
    return env.until(repeat, "the first one's answer")


def test_races(apis, origin, record_property):
    """Of all equal requests one is executed; the others get its answer, or are told to come back for it, or wait for
    it.
    """
    began, wins, replays, told = time.monotonic(), [0, 0], 0, 0
    for number in range(RACES):
        path, key = ("/race", "/wait/race")[number % 2] + str(number), f"k{number}"
        answers = race(apis, path, key)
        (winner, first), = [(api, answer) for api, answer in answers
                            if answer.problem == (201, None) and not answer.replayed]
        wins[apis.index(winner)] += 1
        for api, answer in answers:
            if answer.problem == (409, "in-progress"):
                told += 1
                answer = replay(api, path, key)
            assert answer is first or answer.replayed
            assert answer.recorded == first.recorded
            replays += answer is not first
    ran = [run["path"] for run in origin.runs()]
    assert len(ran) == len(set(ran)) == RACES
    assert replays == RACES * (CROWD - 1) and min(wins) > 0
    seconds = time.monotonic() - began
    print(f"{RACES} races of {CROWD}: {len(ran)} executions, won by {wins}, {told} told to come back, {seconds:.1f} s")
    record_property("executions", len(ran))
    record_property("told_to_come_back", told)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executed_at", [0, 1])
def test_answer_of_the_other_host(apis, origin, kind, executed_at):
    here, there = apis[executed_at], apis[1 - executed_at]
    request = {"key": "k1", "body": b"1", "headers": [("Accept-Encoding", "gzip")]}
    first = here.post(KINDS[kind], **request)
    assert not first.replayed and len(first.body) == int(first["Content-Length"] or len(first.body))
    replays = [api.post(KINDS[kind], **request) for api in (there, here, there)]
    assert len(origin.runs(KINDS[kind].split("?")[0])) == 1
    for again in replays:
        assert again.replayed and again.version == first.version
        assert again.recorded == first.recorded
        assert again.all("Content-Length") in (first.all("Content-Length"), [str(len(first.body))])
    heads = [[field for field in again.headers if field[0] not in ("Date", "Server")] for again in replays]
    assert heads[0] == heads[1] == heads[2]  # to the byte, and in order
    if kind == "compressed":
        assert first["Content-Encoding"] == "gzip"


def test_key_of_another_request(apis, origin):
    assert apis[0].post("/pay", key="k1", body=b"1").status == 201
    assert apis[1].post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    assert origin.executions("/pay") == 1


def test_waiting_for_the_other_host(hosts, apis, origin, record_property):
    with origin.hold("/wait") as held:
        first = apis[0].post_async("/wait", key="k1")
        held.wait_until_entered()
        waiting = [apis[1].post_async("/wait", key="k1") for _ in range(3)]
        log = hosts[1].server.log
        env.until(lambda: sum("-> WAITING, wait" in line for line in log.lines()) >= 3, "the duplicates wait")
    first, released = first.result(), time.monotonic()
    assert first.problem == (201, None)
    for answer in [conn.last_result() for conn in waiting]:
        assert answer.replayed and answer.recorded == first.recorded
    record_property("seconds_until_the_waiters_knew", time.monotonic() - released)
    assert origin.executions("/wait") == 1


def test_key_that_the_other_host_gave_back(apis, origin):
    """The application says "not done": the next one, wherever it comes, is executed."""
    assert apis[0].post("/pay?status=503", key="k1").problem == (503, None)
    assert apis[1].post("/pay?status=503", key="k1").problem == (503, None)
    assert origin.executions("/pay") == 2
