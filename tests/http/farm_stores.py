# SPDX-License-Identifier: Apache-2.0
"""
The stores that hosts share, a row each: how one is started for a farm, and what it promises to the tests.

    with Store(ROWS[0], farm) as store: host.start(config, store.url()); store.kill(); store.start()
"""
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
import typing
import unittest.mock

import env

sys.path.append(str(env.REPO / "tests/store/servers"))
import memcached_server  # noqa: E402 (found by the line above)
from mariadb_server import MariaDB  # noqa: E402
from postgres_server import Postgres  # noqa: E402
from redis_server import Redis  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    make: typing.Callable  # (folder, address) -> servers, not started
    url: typing.Callable  # servers -> what IdempotencyStore is given
    keeps: bool = True  # what it acknowledged is there again when its servers were killed and started
    bounds: bool = True  # a call that is inside when its server hangs ends in time; False: when the server goes on
    revives: bool = True  # a lease that has lapsed, and that nobody took over, can be renewed
    clock_of_day: bool = True  # it measures by a clock that can be set; False: by one that cannot
    grain: float = 0.0  # seconds: how much later than told a lease or an entry may end

    def __str__(self):
        return self.name


def redis(folder, address):
    return [
        Redis(folder / "redis",
              "--protected-mode",
              "no",
              "--appendonly",
              "yes",
              "--appendfsync",
              "always",
              address=address)
    ]


def memcache(folder, address):
    """Items of 4 MB, so that the largest response of the tests fits."""
    options = ["-M", "-m", "64", "-I", "4m"]
    return [memcached_server.Memcached(folder / name, *options, address=address) for name in ("one", "two")]


ROWS = [
    Row("redis", redis, lambda servers: servers[0].url()),
    Row("memcache", memcache, lambda servers: memcached_server.url(*servers), keeps=False, bounds=False,
        revives=False, clock_of_day=False, grain=2.0),
    Row("pgsql", lambda folder, address: [Postgres(address=address)], lambda servers: f'"{servers[0].url()}"'),
    Row("mariadb", lambda folder, address: [MariaDB(address=address)], lambda servers: servers[0].url()),
]


class Store:
    """All servers of one store; what happens, happens to each of them."""

    def __init__(self, row, farm, environment=None):
        self.row, self.farm, self.environment, self.running = row, farm, environment or {}, False
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="store", dir=farm.stage.root))
        self.folder.chmod(0o755)  # some servers change their user
        with farm.store_network:
            self.servers = row.make(self.folder, farm.store_address)

    def url(self):
        return self.row.url(self.servers)

    def start(self):
        with self.farm.store_network, unittest.mock.patch.dict(os.environ, self.environment):
            for server in self.servers:
                server.start()
        self.running = True
        return self

    def kill(self):
        self.running = False
        for server in self.servers:
            server.kill()

    def pause(self):
        for server in self.servers:
            server.pause()

    def resume(self):
        for server in self.servers:
            server.resume()

    def mend(self):
        """Whatever was done to it: it runs."""
        self.resume() if self.running else self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        with self.farm.store_network:
            for server in self.servers:
                server.stop()
                server.__exit__()
        shutil.rmtree(self.folder)
