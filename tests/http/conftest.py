# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one stage for the run, one httpd for each module of tests and store, one host name and a clean ledger for
each test.

A module of tests says CONFIG (more configuration, with {stage} and {root} for the two directories and {peer} for the
port of a backend whose every byte a test sends, {port} for the server's own), BASE (what the paths of api begin with),
STORES (where its behaviour depends on durability) and MODULES (more modules of httpd) where it needs them.
"""
import itertools
import signal

import pytest

import env
import mpms
from checks import passwords
from client import Api
from farm import Farm
from farm_stores import ROWS, Store
from httpd import Httpd
from origin import Origin, Stage
from private_server import run_folder  # where farm_stores looks for servers
from peer import Peer

HOST_NUMBERS = itertools.count(1)


def pytest_configure(config):
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 143))  # servers are stopped then, too
    config.addinivalue_line("markers", "mpm_independent: does not depend on the MPM; run on event only")
    config.addinivalue_line("markers",
                            "mpm: depends on what the MPM does; make test runs it on worker and prefork, too")
    config.addinivalue_line("markers",
                            "memory: looks at the memory of a process; not run under sanitizers, which have their own")
    config.addinivalue_line("markers", "browser: needs Chromium; run by make browser, not by make integration")
    config.addinivalue_line("markers", "long: takes its time; run by make hosts, not by make integration")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from spread import Spread
    return Spread(config, log)


@pytest.hookimpl(tryfirst=True)  # before markers select
def pytest_collection_modifyitems(config, items):
    for item in items:
        if mpms.depends(item, env.MPM):
            item.add_marker(pytest.mark.mpm)
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist
        from spread import longest_first
        longest_first(items)


def pytest_make_parametrize_id(val, argname):
    """Bytes can hold the time of day, and a test has to have one name in all workers."""
    return argname if isinstance(val, bytes) else None


def pytest_generate_tests(metafunc):
    if "store" in metafunc.fixturenames:
        stores = getattr(metafunc.module, "STORES", ["lmdb", "socache:shmcb"])
        metafunc.parametrize("store", stores, scope="module")


@pytest.fixture(scope="session")
def stage():
    stage = Stage(run_folder("http"))
    passwords(stage.root, "alice", "bob")
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def peer_of_module():
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def peer(peer_of_module):
    peer_of_module.requests = 0
    return peer_of_module


@pytest.fixture(scope="module")
def httpd(request, stage, store):
    config = getattr(request.module, "CONFIG", "")
    if "{peer}" in config:
        config = config.replace("{peer}", str(request.getfixturevalue("peer_of_module").port))
    server = Httpd(stage, config, store, getattr(request.module, "MODULES", []))
    yield server.start()
    server.stop()


@pytest.fixture
def new_httpd(stage):
    """Makes servers of a test's own; they end with it."""
    made = []

    def make(config="", store="lmdb", modules=()):
        made.append(Httpd(stage, config, store, modules))
        return made[-1]
    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module", params=ROWS, ids=str)
def far_store(request, stage):
    """Each store that hosts share, running, in a farm for the tests of one module."""
    with Farm(stage) as farm, Store(request.param, farm) as store:
        yield store


@pytest.fixture
def hosts(request, far_store):
    """Its two hosts, for one test, which may do to them and to the store what it likes."""
    hosts = far_store.farm.hosts
    for one in hosts:
        one.start(request.module.CONFIG, far_store.url())
    yield hosts
    for one in hosts:
        one.mend()
    far_store.mend()
    for one in hosts:
        one.stop_server()


@pytest.fixture
def tolerate(hosts, expect_log):
    """Warnings that the two may have logged, as often as they met trouble; no others."""
    allowed = set()
    yield lambda *numbers: allowed.update(f"IDEM{number:03d}" for number in numbers)
    for one in hosts:
        assert [line for line in one.server.log.faults() if not any(number in line for number in allowed)] == []
        one.server.log.mark()


@pytest.fixture
def apis(hosts, host):
    """A client of each."""
    return [Api(one.server.address, host, "/far") for one in hosts]


@pytest.fixture
def host():
    return f"t{next(HOST_NUMBERS)}.test"


@pytest.fixture
def api(request, httpd, host):
    return Api(httpd.address, host, getattr(request.module, "BASE", "/cgi"))


@pytest.fixture(params=env.KINDS)
def each_api(request, api):
    """The same test on every kind of origin."""
    return api.at("/" + request.param)


@pytest.fixture
def origin(stage, host):
    origin = Origin(stage.root, host)
    origin.clear()
    return origin


@pytest.fixture(autouse=True)
def expect_log(stage):
    """Fails a test that leaves a warning, an error or a crash in an error log, or not the ones it said it would."""
    expected = []
    for server in stage.servers:
        server.log.mark()
    servers = stage.watched = list(stage.servers)  # those of the test's own join when they start

    def expect(*numbers):
        expected.extend(f"IDEM{number:03d}" if isinstance(number, int) else number for number in numbers)
    yield expect
    faults = [line for server in servers for line in server.log.faults()]
    assert [line for line in faults if not any(text in line for text in expected)] == []
    assert [text for text in expected if not any(text in line for line in faults)] == [], "expected and never logged"
