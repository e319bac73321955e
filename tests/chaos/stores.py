"""
The stores that a round can be fought over: one class a kind of server, one row a store. A place has servers that the
monkey can kill, stop and start again; promises.py says what each may lose by that.
"""
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "store/servers"))

import redis_server
from redis_server import Redis


class Place:
    """servers: each has start, stop, kill, pause, resume. Started by one thread that lives as long as the round, since
    servers die with the thread that started them."""

    def __init__(self):
        self.servers = []

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


class OneRedis(Place):
    def __init__(self, folder, address, *options):
        super().__init__()
        self.servers = [Redis(folder / "redis", *options, address=address)]
        self.url = self.servers[0].url()


class RedisGroup(Place):
    """A primary, a replica and a sentinel. Who is killed comes back as a replica of whoever is the primary then."""

    def __init__(self, folder, address, *options):
        super().__init__()
        self.folder, self.address, self.options, self.watchers = folder, address, options, []

    def start(self):
        self.servers, self.watchers = redis_server.start_group(self.folder, options=KEEPS_ALL, address=self.address)
        self.url = " ".join([self.watchers[0].url(), *self.options])

    def revive(self, number):
        other, server = self.servers[1 - number], self.servers[number]
        redis_server.until(lambda: self.watchers[0].primary_port() == other.port and other.info("role") == "master",
                           "the other one is the primary")
        server.primary, other.primary = other, None
        server.start()
        other.await_replicas(1)

    def resume(self, number):
        """Whoever is the primary then, the other one is its replica in the end."""
        self.servers[number].resume()
        redis_server.until(self.in_order, "the one is the other's replica", 30)

    def in_order(self):
        primary = next(server for server in self.servers if server.port == self.watchers[0].primary_port())
        return primary.info("role") == "master" and "state=online" in primary.info("slave0")

    def close(self):
        redis_server.end_group(self.servers, self.watchers)


KEEPS_ALL = ("--appendonly", "yes", "--appendfsync", "always")
KEEPS_MOST = ("--appendonly", "yes", "--appendfsync", "everysec")

# name -> what makes it of a folder and an address. Not here: lmdb, which is no server.
STORES = {
    "redis": lambda *where: OneRedis(*where, *KEEPS_ALL),
    "redis-everysec": lambda *where: OneRedis(*where, *KEEPS_MOST),
    "redis-memory": lambda *where: OneRedis(*where),
    "redis-wait": lambda *where: RedisGroup(*where, "wait=1,300"),
}
