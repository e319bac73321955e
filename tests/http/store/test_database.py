# SPDX-License-Identifier: Apache-2.0
"""A database as the store: two servers share it, what they are configured with stays secret, and a database that goes
away.
"""
import os
import shutil
import sys

import pytest

import env
from client import Api
from outage import (CONFIG, assert_recorded_once_it_is_back, assert_refused_while_away, assert_used_again_soon,
                    started_without_its_store, tolerate_trouble)

sys.path.append(str(env.REPO / "tests/store/servers"))
from database import PASSWORD  # noqa: E402 (found by the line above)
from mariadb_server import MariaDB  # noqa: E402
from postgres_server import Postgres  # noqa: E402
from sqlite_file import Sqlite  # noqa: E402

LEASES = ["IDEM090", "IDEM091"]  # those of the requests that run meanwhile
KINDS = [
    "/pay?size=5000&seed=b", "/pay?size=300000&seed=c&parts=7", "/pay?status=204&body=", "/pay?status=500&body=sorry",
    "/pay?body=x&header=X-One:+b&header=X-One:+a"
]


class OwnSqlite(Sqlite):
    """Where the server's user may write."""

    def __init__(self, folder):
        super().__init__(folder)
        if env.ROOT:
            for path in (folder, self.path):
                shutil.chown(path, env.USER)


@pytest.fixture(params=["pgsql", "mysql", "sqlite3"])
def place(request, stage):
    """Its address as the directive has it."""
    if request.param == "sqlite3":
        folder = stage.root / "database"
        yield OwnSqlite(folder).url()
        shutil.rmtree(folder)
        return
    with (Postgres if request.param == "pgsql" else MariaDB)() as server:
        yield f'"{server.url()}"'


@pytest.fixture(params=[Postgres, MariaDB])
def database(request):
    with request.param() as server:
        yield server


@pytest.fixture
def server(database, new_httpd):
    return new_httpd(CONFIG, f'"{database.url()}"').start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def test_one_server_executes_and_the_other_replays(place, new_httpd, host, origin):
    apis = [Api(new_httpd("", place).start().address, host) for _ in range(2)]
    for number, path in enumerate(KINDS):
        before = origin.executions("/pay")
        first = apis[number % 2].post(path, key=f"k{number}", json={"amount": 1})
        second = apis[1 - number % 2].post(path, key=f"k{number}", json={"amount": 1})
        assert first["Idempotent-Replayed"] is None and second.replayed, (path, first, second)
        assert second.recorded == first.recorded
        assert origin.executions("/pay") == before + 1
        assert apis[number % 2].post(path, key=f"k{number}", json={"amount": 2}).problem == (422, "key-reused")


@pytest.mark.mpm_independent
@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_database_that_goes_away(database, server, api, origin, how):
    env.until(lambda: api.post("/pay", key="k1").problem == (201, None), "a child has its first connection")
    assert_refused_while_away(database, api, origin, how)
    tolerate_trouble(server, PASSWORD, *LEASES)


@pytest.mark.mpm_independent
def test_database_that_is_gone_at_the_end_of_a_request(database, server, api, origin):
    assert_recorded_once_it_is_back(database, api, origin, "paused")
    tolerate_trouble(server, PASSWORD, *LEASES)


@pytest.mark.mpm_independent
def test_server_starts_without_its_database(database, new_httpd, host, origin):
    database.stop()
    server = new_httpd(CONFIG, f'"{database.url()}"').start()
    api = started_without_its_store(server, host)
    assert not any(PASSWORD in line for line in server.startup)
    database.start()
    assert_used_again_soon(api)
    tolerate_trouble(server, PASSWORD, *LEASES)


@pytest.mark.mpm_independent
def test_setup_is_said_at_start(new_httpd):
    with Postgres("synchronous_commit=off") as database:
        server = new_httpd(CONFIG, f'"{database.url()}"').start()
        server.stop()
        said = [line for line in server.startup if "IDEM062" in line]
        assert said and "fsync is off" in said[0] and "synchronous_commit is off" in said[0] and PASSWORD not in said[0]


@pytest.mark.mpm_independent
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server that changes its user")
def test_database_knows_who_comes_without_a_password(new_httpd, host, origin):
    """Peer authentication: who looks at start is who comes later, the server's user and not root."""
    with Postgres() as database:
        (database.data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all peer\n")
        database.sql("SELECT pg_reload_conf()", f'CREATE ROLE "{env.USER}" LOGIN',
                     f'GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO "{env.USER}"')
        server = new_httpd("", f'"{database.unix_url(user=env.USER, password=None)}"').start()
        assert not any("IDEM064" in line for line in server.startup)
        assert Api(server.address, host).post("/pay", key="k1").problem == (201, None)
