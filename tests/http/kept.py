"""
Stores in each setup that docs/stores.md makes a promise about, a row each: what runs for it, and what it is given as its address.

    with Setup(ROWS["redis, AOF always"], folder) as setup: new_httpd(CONFIG, setup.url); setup.kill(); setup.start()
"""
import dataclasses
import os
import sys
import typing
import unittest.mock

import env

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis, start_group  # noqa: E402 (found by the line above)

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@dataclasses.dataclass(frozen=True)
class Row:
    start: typing.Callable  # folder -> servers, which run
    url: typing.Callable  # servers -> IdempotencyStore's arguments


def local(url):
    return Row(lambda folder: [], lambda servers: url)


def redis(*options):
    return Row(lambda folder: [Redis(folder / "redis", *options).start()], lambda servers: servers[0].url())


def sentinel(*options):
    def start(folder):
        servers, sentinels = start_group(folder, replicas=1, sentinels=1, options=ALWAYS)
        return [*servers, *sentinels]
    return Row(start, lambda servers: " ".join([servers[-1].url(), *options]))


ROWS = {
    "lmdb sync=on": local("lmdb"),
    "lmdb sync=off": local("lmdb:{root}/store sync=off"),
    "socache:shmcb": local("socache:shmcb"),
    "socache:dbm": local("socache:dbm:{root}/run/dbm"),
    "redis, AOF always": redis(*ALWAYS),
    "redis, AOF everysec": redis("--appendonly", "yes", "--appendfsync", "everysec"),
    "redis, snapshots": redis("--save", "3600 1"),
    "redis, nothing on disk": redis(),
    "redis, evicting": redis(*ALWAYS, "--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"),
    "redis-sentinel": sentinel(),
    "redis-sentinel wait=": sentinel("wait=1,400"),
}


class Setup:
    """environment: what the store's servers are started with, in addition."""

    def __init__(self, row, folder, environment=None):
        with unittest.mock.patch.dict(os.environ, environment or {}):
            self.servers = row.start(folder)
        self.url = row.url(self.servers)

    def kill(self):
        for server in self.servers:
            server.kill()

    def start(self):
        for server in self.servers:
            server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.__exit__()
