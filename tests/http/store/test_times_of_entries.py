# SPDX-License-Identifier: Apache-2.0
"""Every store says how old an entry is and how long it will live, and since when a request has been running."""
import contextlib
import shutil
import sys

import pytest

import env
from checks import status_field as said
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
import memcached_server  # noqa: E402 (found by the line above)
import redis_server  # noqa: E402
from mariadb_server import MariaDB  # noqa: E402
from postgres_server import Postgres  # noqa: E402
from sqlite_file import Sqlite  # noqa: E402

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyStoreTimeout 1s
IdempotencyLease 4s
IdempotencyStatusHeader X-Once
IdempotencyMaxRun 2s
"""


@contextlib.contextmanager
def store_of(kind, folder, stage):
    if kind == "memcache":
        with memcached_server.Memcached(folder) as server:
            yield memcached_server.url(server)
    elif kind == "redis":
        with redis_server.Redis(folder) as server:
            yield server.url()
    elif kind == "sqlite3":
        place = stage.root / "times"
        file = Sqlite(place)
        if env.ROOT:
            for path in (place, file.path):
                shutil.chown(path, env.USER)
        yield file.url()
        shutil.rmtree(place)
    else:
        with (Postgres if kind == "pgsql" else MariaDB)() as server:
            yield f'"{server.url()}"'


@pytest.mark.parametrize("kind", ["redis", "memcache", "pgsql", "mysql", "sqlite3"])
def test_times(kind, tmp_path, stage, new_httpd, host, origin):
    with store_of(kind, tmp_path / "store", stage) as url:
        server = new_httpd(CONFIG, url).start()
        api = Api(server.address, host)
        assert said(api.post("/pay", key="k1")) == {"outcome": "executed", "settlement": "recorded", "ttl": 86400}
        told = said(api.post("/pay", key="k1"))
        assert told["outcome"] == "replayed" and 86000 < told["ttl"] <= 86400 and told["age"] < 400
        with origin.hold("/slow") as held:
            first = api.post_async("/slow", key="k2")
            held.wait_until_entered()
            problems = []

            def given_up():  # behind renewals, which come each 1.3 seconds
                problems.append(api.post("/slow", key="k2").problem)
                return problems[-1] == (409, "outcome-unknown")
            env.until(given_up, "it has taken too long")
            assert set(problems) <= {(409, "in-progress"), (409, "outcome-unknown")}
        assert first.result().status == 201
        assert api.post("/slow", key="k2").replayed
        server.stop()
