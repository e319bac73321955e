# SPDX-License-Identifier: Apache-2.0
"""The promises of docs/stores.md for each store, put to the test: all of the store is killed and started again, power
fails, a node is lost with its disk, the store is full.
"""
import os
import re
import shutil
import signal
import sys

import pytest

import env
from checks import settled
from client import Api
from httpd import Here
from power import Power
from test_store_files import tmpfs

sys.path.append(str(env.REPO / "tests/store/servers"))
from setups import ROWS, Setup  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyLease 4s
IdempotencyStoreTimeout 1300ms
"""
KEYS = 12
TROUBLE = re.compile(r"IDEM(010|014|02[0-9]|062|064|065|090|091)")
FORGETS = {"socache:shmcb", "redis, nothing on disk", "memcache, -M", "memcache, evicting"}
# What is written to them is on its way to their disk a while after it was acknowledged.
LATER = {
    "redis, AOF everysec": lambda redis: redis.info("aof_buffer_length") == "0",
    "redis, snapshots": lambda redis: redis.cli("SAVE") == "OK"
}


@pytest.fixture(params=list(ROWS))
def row(request):
    return request.param


@pytest.fixture
def setup(row, tmp_path):
    with Setup(row, tmp_path / "store") as setup:
        yield setup


@pytest.fixture
def server(setup, new_httpd):
    server = new_httpd(CONFIG, setup.url)
    setup.prepare(server.root, env.USER)
    yield server.start()
    assert [line for line in server.log.faults() if not TROUBLE.search(line)] == []
    server.log.mark()


@pytest.fixture
def api(server, host):
    return Api(server.address, host, "/proxy")


def kill_all(server, setup):
    """At once, as when the machine stops, but for what only the disk's own memory would lose."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(env.CLIENT_TIMEOUT)
    env.until(lambda: not server.answers(), "the last child has gone, and its listening socket")
    setup.kill()
    server.stop()  # there is nothing to stop, and the harness is to know it


def start_all(server, setup, api):
    setup.start()
    server.start()
    env.until(lambda: api.post("/warm", key=os.urandom(8).hex()).status == 201, "the store is used")


def record(api, count=KEYS):
    for number in range(count):
        assert api.post(f"/pay{number}", key=f"k{number}", body=b"1").problem == (201, None)


def replayed(api, count=KEYS):
    return [api.post(f"/pay{number}", key=f"k{number}", body=b"1").replayed for number in range(count)]


def test_everything_is_killed_and_started_again(row, setup, server, api, origin):
    """Acknowledged entries are there, and the outcomes of running requests are unknown. Or, where the table says so,
    everything is forgotten.
    """
    record(api)
    with origin.hold("/held") as held:
        first = api.post_async("/held", key="held", body=b"1")
        held.wait_until_entered()
        if row in LATER:
            env.until(lambda: LATER[row](setup.servers[0]), "it is written")
        kill_all(server, setup)
    start_all(server, setup, api)
    first.sock.close()
    kept = replayed(api)
    if row in FORGETS:
        assert kept == [False] * KEYS
        return
    assert kept == [True] * KEYS
    assert settled(api, "/held", "held").problem == (409, "outcome-unknown")
    assert origin.executions("/held") == 1


@pytest.mark.parametrize("row", ["redis, snapshots"], indirect=True)
def test_what_came_after_the_last_snapshot_is_lost(setup, server, api, origin):
    record(api)
    assert setup.servers[0].cli("SAVE") == "OK"
    api.post("/late", key="late")
    kill_all(server, setup)
    start_all(server, setup, api)
    assert replayed(api) == [True] * KEYS
    assert not api.post("/late", key="late").replayed
    assert origin.executions("/late") == 2


# ---- power


@pytest.fixture
def power(stage):
    return Power(stage)


@pytest.fixture
def powered(row, power, tmp_path, new_httpd, host):
    """(setup, server, api), where the store's servers tell what they flush."""
    with Setup(row, tmp_path / "store", power.environment) as setup:
        server = new_httpd(CONFIG, setup.url).start()
        yield setup, server, Api(server.address, host, "/proxy")
        server.log.mark()


def power_fails(power, setup, server, api):
    kill_all(server, setup)
    power.fails(setup.servers[0].folder)
    start_all(server, setup, api)


@pytest.mark.parametrize("row", ["redis, AOF always", "rediss, AOF always"], indirect=True)
def test_power_fails_and_nothing_is_lost(power, powered, origin):
    setup, server, api = powered
    record(api)
    power_fails(power, *powered)
    assert replayed(api) == [True] * KEYS
    assert origin.executions("/pay0") == 1


@pytest.mark.parametrize("row", ["redis, AOF everysec"], indirect=True)
def test_power_fails_and_the_last_second_is_lost(power, powered, origin):
    """Recorded between two of its flushes, which come once a second; what was flushed is there."""
    setup, server, api = powered
    record(api)
    before = power.flushes()
    env.until(lambda: power.flushes() > before, "it flushes")
    for attempt in range(100):
        before = power.flushes()
        api.post(f"/late{attempt}", key=f"late{attempt}")
        setup.servers[0].pause()
        if power.flushes() == before:
            break
        setup.servers[0].resume()
    power_fails(power, *powered)
    assert replayed(api) == [True] * KEYS
    assert not api.post(f"/late{attempt}", key=f"late{attempt}").replayed
    assert origin.executions(f"/late{attempt}") == 2


@pytest.mark.parametrize("row", ["redis, snapshots"], indirect=True)
def test_power_fails_and_the_last_snapshot_is_there(power, powered, origin):
    setup, server, api = powered
    record(api)
    assert setup.servers[0].cli("SAVE") == "OK"
    api.post("/late", key="late")
    power_fails(power, *powered)
    assert replayed(api) == [True] * KEYS
    assert not api.post("/late", key="late").replayed
    assert origin.executions("/late") == 2


# ---- the node


@pytest.mark.parametrize("row", [row for row in ROWS if not re.search("sentinel|standby|replica", row)], indirect=True)
def test_its_node_is_lost(row, setup, server, api, origin):
    """With its disk: there is no other copy, and another one begins empty."""
    record(api)
    kill_all(server, setup)
    setup.lose(server.root)
    setup.prepare(server.root, env.USER)
    start_all(server, setup, api)
    assert replayed(api) == [False] * KEYS
    assert origin.executions("/pay0") == 2


@pytest.mark.parametrize("url", ["lmdb", "lmdb:{root}/store sync=off", "socache:shmcb", "socache:dbm:{root}/run/dbm"])
def test_another_host_knows_nothing(new_httpd, host, origin, url):
    """A store of one host: a retry that comes to another one is executed."""
    here, there = (Api(new_httpd(store=url).start().address, host, "/proxy") for _ in range(2))
    assert here.post("/pay", key="k1").problem == there.post("/pay", key="k1").problem == (201, None)
    assert origin.executions("/pay") == 2


# ---- room


def fill(api, size, most=3000, name="fill"):
    """New keys until one is refused; how many were taken."""
    for number in range(most):
        answer = api.post(f"/{name}{number}?size={size}", key=f"{name}{number}")
        if answer.status == 503:
            return number
        assert answer.status == 201
    return most


def fill_and_ask_again(server, api, origin, size):
    """The answers to retries of all that a store took before it was full, when it is."""
    taken = fill(api, size)
    assert taken > 50 and server.log.count("IDEM010")
    more = fill(api, size, name="more")  # a gap may have been left for some
    assert more < taken
    answers = [api.post(f"/fill{number}?size={size}", key=f"fill{number}") for number in range(taken)]
    assert origin.executions() == taken + more
    assert sum(answer.replayed
               for answer in answers) > 30  # memcached has room for claims long after the last for a response
    return [answer for answer in answers if not answer.replayed]


def assert_drops(api, origin, size, count):
    """Nobody is refused, and what it has dropped is gone: executed again, or unknown where a claim is left."""
    assert fill(api, size, count) == count
    answers = [api.post(f"/fill{number}?size={size}", key=f"fill{number}") for number in range(count)]
    gone = [answer.problem for answer in answers if not answer.replayed]
    assert len(gone) > count / 8 and set(gone) <= {(201, None), (409, "in-progress"), (409, "outcome-unknown")}
    assert origin.executions() == count + gone.count((201, None))


def fills(setup, folder):
    """The one server of a store gets room for a hundred responses of 30,000 bytes; what is put into folder has no more.
    """
    server = setup.servers[0]
    if setup.name == "redis, AOF always":
        server.cli("CONFIG", "SET", "maxmemory", str(int(server.info("used_memory")) + 3000000))
    elif setup.name == "dbd:pgsql":
        (folder / "pgsql").mkdir()
        shutil.chown(folder / "pgsql", "nobody", "nogroup")
        server.sql(f"CREATE TABLESPACE small LOCATION '{folder}/pgsql'")
        server.sql("ALTER TABLE idempotency SET TABLESPACE small",
                   "ALTER TABLE idempotency ALTER value SET STORAGE EXTERNAL")


@pytest.mark.skipif(not env.ROOT, reason="only root may mount a file system")
@pytest.mark.parametrize("row", ["redis, AOF always", "memcache, -M", "dbd:pgsql"], indirect=True)
def test_full_store_refuses_and_keeps_what_it_has(setup, server, api, origin):
    with tmpfs(server.root / "disk", "size=8m,mode=777"):
        fills(setup, server.root / "disk")
        rest = fill_and_ask_again(server, api.at("/fpm"), origin, 30000)
        # There was room for a claim only, and for the last ones not even for the word that their response is not kept.
        assert all(answer.status == 409 for answer in rest)
        kill_all(server, setup)


@pytest.mark.parametrize("row", ["redis, evicting", "memcache, evicting"], indirect=True)
def test_full_store_drops_what_it_has(server, api, origin):
    assert_drops(api.at("/fpm"), origin, 30000, 300)


def test_full_shmcb_drops_what_it_has(new_httpd, host, origin):
    server = new_httpd(store='"socache:shmcb:{root}/run/small(300000)"').start()
    assert_drops(Api(server.address, host, "/fpm"), origin, 500, 600)


@pytest.mark.skipif(not env.ROOT, reason="only root may mount a file system")
def test_full_dbm_refuses_and_loses_some(new_httpd, host, origin):
    """Its file is written in place: what was being moved in it when the disk was full may be gone."""
    server = new_httpd(store="socache:dbm:{root}/disk/dbm")
    with tmpfs(server.root / "disk", "size=512k,mode=777"):
        server.start()
        rest = fill_and_ask_again(server, Api(server.address, host, "/fpm"), origin, 300)
        assert {answer.problem for answer in rest} <= {(503, "store-unavailable"), (409, "response-not-kept")}
        server.stop()
    server.log.mark()


@pytest.mark.parametrize("url, said", [
    ("socache:shmcb", "drops its oldest entries when its 8388608 bytes are full, and loses everything at each restart"),
    ("socache:dbm:{root}/run/dbm", "may lose entries when the machine or a process dies while it writes")])
def test_what_may_be_lost_is_said_at_start(new_httpd, url, said):
    server = new_httpd(store=url).start()
    assert any("IDEM062" in line and said in line for line in server.startup)


def test_lmdb_is_flushed(new_httpd, power, host):
    """A claim and a settlement for each key, and each of them waited for the disk."""
    server = new_httpd()
    server.place = type("Place", (Here,), {"environment": power.environment})
    server.start()
    record(Api(server.address, host, "/proxy"))
    assert power.flushes(server.root / "store" / "data.mdb") >= 2 * KEYS


@pytest.mark.parametrize("row", ["dbd:pgsql", "dbd:mysql", "dbd:sqlite3"], indirect=True)
def test_database_flushes_before_it_acknowledges(row, power, tmp_path, new_httpd, host):
    """As lmdb does. A database that was told to wait for its disk has its own ways with a loss of power."""
    with Setup(row, tmp_path / "store", power.environment) as setup:
        server = new_httpd(CONFIG, setup.url)
        setup.prepare(server.root, env.USER)
        if not setup.servers:
            server.place = type("Place", (Here,), {"environment": power.environment})
        server.start()
        before = power.flushes()
        record(Api(server.address, host, "/proxy"))
        assert power.flushes() >= before + 2 * KEYS
        server.stop()
