# SPDX-License-Identifier: Apache-2.0
"""
The stores that a round can be fought over: one class a kind of server, one row a store. A place has servers that the
monkey can kill, stop and start again; promises.py says what each may lose by that.
"""
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "store/servers"))

import memcached_server
import redis_server
from certificates import Authority
from mariadb_server import MariaDB
from memcached_server import Memcached
from postgres_server import Postgres
from redis_server import Redis


class Place:
    """servers: each has start, stop, kill, pause, resume; url and options: IdempotencyStore's. Started by one thread
    that lives as long as the round, since servers die with the thread that started them.
    """

    options = ""

    def __init__(self, *servers):
        self.servers = list(servers)
        if servers:
            self.url = servers[0].url()

    def start(self):
        for server in self.servers:
            server.start()

    def revive(self, number):
        self.servers[number].start()

    def resume(self, number):
        self.servers[number].resume()

    def close(self):
        for server in self.servers:
            server.__exit__()


class RedisOverTls(Place):
    """Nothing is spoken but TLS, and every client has to show a certificate."""

    def __init__(self, folder, address):
        authority = Authority(folder / "authority")
        tls = redis_server.Tls(authority, authority.issue("server", f"IP:{address}"), clients=True)
        super().__init__(Redis(folder / "redis", *KEEPS_ALL, address=address, tls=tls))
        self.options = " ".join(tls.options())


class RedisGroup(Place):
    """A primary, a replica and a sentinel. Who is killed comes back as a replica of whoever is the primary then."""

    def __init__(self, folder, address, options):
        super().__init__()
        self.folder, self.address, self.options, self.watchers = folder, address, options, []

    def start(self):
        self.servers, self.watchers = redis_server.start_group(self.folder, options=KEEPS_ALL, address=self.address,
                                                                down_after_ms=DOWN_AFTER)
        self.url = self.watchers[0].url()

    def revive(self, number):
        other, server = self.servers[1 - number], self.servers[number]
        redis_server.until(lambda: self.watchers[0].primary_port() == other.port and other.info("role") == "master",
                           "the other one is the primary")
        server.primary, other.primary = other, None
        server.start()
        self.await_order()

    def resume(self, number):
        """Where the sentinel has made the other one the primary there are two for a moment. It tells the old one after
        ten seconds or more, whoever keeps a watch on it sooner.
        """
        other, server = self.servers[1 - number], self.servers[number]
        server.resume()
        time.sleep(TWO_PRIMARIES)
        redis_server.until(self.agreed, "the sentinel and the primary agree")
        if self.watchers[0].primary_port() == other.port and server.info("role") == "master":
            server.cli("REPLICAOF", other.address, str(other.port))
        self.await_order()

    def await_order(self):
        """A replica that has just been given everything writes it to its disk, and does not end before that is done."""
        redis_server.until(lambda: any("state=online" in one.info("slave0") for one in self.servers),
                           "the replica is in step", 30)
        for server in self.servers:
            redis_server.until(lambda: server.info("aof_rewrite_in_progress") == "0", "the replica has written it all")

    def agreed(self):
        primary = next(server for server in self.servers if server.port == self.watchers[0].primary_port())
        return primary.info("role") == "master"

    def close(self):
        redis_server.end_group(self.servers, self.watchers)


class TwoMemcached(Place):
    """Each slot is one server's; the driver numbers them in the order of their names."""

    def __init__(self, folder, address, *options):
        super().__init__()
        servers = [Memcached(folder / f"memcached{number}", *options, address=address) for number in range(2)]
        self.servers = sorted(servers, key=Memcached.place)
        self.url = memcached_server.url(*self.servers)


TWO_PRIMARIES = 1  # second
DOWN_AFTER = 1500  # milliseconds: longer than a sentinel needs to meet servers whose roles have changed
KEEPS_ALL = ("--appendonly", "yes", "--appendfsync", "always")
KEEPS_MOST = ("--appendonly", "yes", "--appendfsync", "everysec")

# name -> what makes it of a folder and an address. Not here: lmdb and sqlite, which are no servers.
STORES = {
    "redis": lambda folder, address: Place(Redis(folder / "redis", *KEEPS_ALL, address=address)),
    "redis-everysec": lambda folder, address: Place(Redis(folder / "redis", *KEEPS_MOST, address=address)),
    "redis-memory": lambda folder, address: Place(Redis(folder / "redis", address=address)),
    "redis-wait": lambda folder, address: RedisGroup(folder, address, "wait=1,300"),
    "redis-tls": RedisOverTls,
    "memcache": lambda folder, address: TwoMemcached(folder, address, "-M"),
    "pgsql": lambda _, address: Place(Postgres(address=address)),
    "pgsql-async": lambda _, address: Place(Postgres("synchronous_commit=off", address=address)),
    "mariadb": lambda _, address: Place(MariaDB(address=address)),
}
