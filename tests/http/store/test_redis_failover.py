# SPDX-License-Identifier: Apache-2.0
"""
Redis fails over while two hosts are under load: with wait= no key is executed twice, without it some may be.

"killed": the replica is cut off for a moment before the primary dies, as by a slow or broken network. Entries that the
primary acknowledges alone in that time are lost with it. "hung": the primary stops, and comes back when it has a
successor, of which it is told some seconds later; until then there are two. There is one failover only, the one that
the test wants: before and behind it the sentinel takes nobody for dead.
"""
import collections
import itertools
import re
import sys
import threading
import time

import pytest

import env
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import NEVER, SOON, end_group, start_group, until  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
PASSWORD = "of-the-servers"
CONFIG = """
IdempotencyStoreTimeout 500ms
IdempotencyLease 10s
"""
CLIENTS = 6
CUT_OFF = 1.0  # seconds: what is tested; far less than what a sentinel takes for a replica too old to be promoted
EXPECTED = re.compile(r"IDEM(010|022|062|065|090|091)")  # a store in trouble, leases that cannot be renewed


@pytest.fixture
def group(tmp_path):
    servers, sentinels = start_group(tmp_path / "redis", replicas=1, sentinels=1, password=PASSWORD)
    yield servers, sentinels[0]
    end_group(servers, sentinels)


@pytest.fixture
def hosts(new_httpd, group, tmp_path):
    def start(*options):
        secret = tmp_path / "password"
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD)
        store = " ".join([group[1].url(), f"password=file:{secret}", *options])
        return [new_httpd(CONFIG, store).start() for _ in range(2)]
    return start


class Load:
    """Clients that send each key to one host and repeat it at the other, whatever the first answer was."""

    def __init__(self, apis):
        self.apis, self.numbers, self.stopping = apis, itertools.count(), threading.Event()
        self.answers = collections.defaultdict(list)
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]

    def send(self, number, api):
        answer = api.post(f"/pay{number}", key=f"k{number}")
        self.answers[number].append((answer.status, answer["Idempotency-Error"], answer.body))
        return answer

    def run(self):
        while not self.stopping.is_set():
            number = next(self.numbers)
            for turn in (number, number + 1):
                if self.send(number, self.apis[turn % len(self.apis)]).status == 503:
                    time.sleep(
                        0.05)  # it is refused at once; nobody who comes back at once leaves a machine time to recover

    def done(self):
        return sum(any(status == 201 for status, _, _ in answers) for answers in list(self.answers.values()))

    def repeat_all(self):
        """…, now that the store is there; each child of a host finds that out for itself."""
        for number in list(self.answers):
            env.until(lambda: self.send(number, self.apis[number % len(self.apis)]).status != 503,
                      f"key {number} is answered")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def cut_off(replica):
    replica.cli("CONFIG", "SET", "masterauth", "another")
    replica.cli("CLIENT", "KILL", "TYPE", "master")
    until(lambda: replica.info("master_link_status") == "down", "the replica is cut off")


def mend(replica):
    """Or it could follow nobody who is promoted later."""
    replica.cli("CONFIG", "SET", "masterauth", PASSWORD)


def await_promotion(replica, sentinel):
    sentinel.judge(SOON)
    until(lambda: sentinel.primary_port() == replica.port and replica.info("role") == "master",
          "the replica is promoted")
    sentinel.judge(NEVER)


def killed(primary, replica, sentinel):
    cut_off(replica)
    time.sleep(CUT_OFF)
    primary.kill()
    await_promotion(replica, sentinel)
    mend(replica)
    primary.options += ["--replicaof", "127.0.0.1", str(replica.port)]
    primary.start()


def hung(primary, replica, sentinel):
    primary.pause()
    await_promotion(replica, sentinel)
    primary.resume()
    until(lambda: primary.info("role") == "slave", "the old primary is told of its successor")


def fail_over(failure, servers, sentinel, load):
    """Under load throughout; over when the old primary is the new one's replica and the store is used again."""
    until(lambda: load.done() > 20, "the load runs")
    failure(*servers, sentinel)
    servers[1].await_replicas(1)
    before = load.done()
    until(lambda: load.done() > before + 20, "the store is used again")


def check_logs(servers):
    for server in servers:
        assert [line for line in server.log.faults() if not EXPECTED.search(line)] == []
        server.log.mark()


def executions(origin, load):
    """How often each key was executed, for keys that were."""
    runs = collections.Counter(run["path"] for run in origin.runs())
    assert set(runs) <= {f"/pay{number}" for number in load.answers}
    return runs


@pytest.mark.parametrize("failure, options", [(killed, ("wait=1,300",)), (hung, ("wait=1,300",)), (killed, ())],
                         ids=["killed-wait", "hung-wait", "killed-no-wait"])
def test_failover_under_load(group, hosts, host, origin, failure, options, record_property):
    servers, sentinel = group
    httpds = hosts(*options)
    with Load([Api(httpd.address, host, "/proxy") for httpd in httpds]) as load:
        fail_over(failure, servers, sentinel, load)
    load.repeat_all()
    runs = executions(origin, load)
    twice = sum(count > 1 for count in runs.values())
    record_property("keys", len(load.answers))
    record_property("executed_twice", twice)
    print(f"{len(load.answers)} keys, {len(runs)} executed, {twice} of them twice")
    assert max(runs.values()) <= (1 if options else 2)  # one failover loses a claim once
    assert all(answers[-1][0] in (201, 409) for answers in load.answers.values())
    check_logs(httpds)
