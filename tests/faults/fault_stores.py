# SPDX-License-Identifier: Apache-2.0
"""The stores of the sweep: how to start each, and how to end its idle connections, so that the next call has to
connect.

A store whose server is not installed, or whose driver is not built, is left out, and said.
"""
import pathlib
import shutil
import tempfile

import mariadb_server
import memcached_server
import postgres_server
import redis_server


class Local:
    """Needs no server."""
    forgets = False

    def __init__(self, url, seals=False):
        self.url, self.seals = lambda: url, seals

    def start(self):
        return self

    stop = disconnect = start


class Remote:
    seals = False

    def __init__(self, make, disconnect, forgets=False):
        self.make, self.end_connections, self.forgets = make, disconnect, forgets

    def start(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="idem-faults-store-"))
        self.folder.chmod(0o755)  # some servers change their user
        self.server = self.make(self.folder / "server").start()
        return self

    def url(self):
        return f'"{self.server.url()}"'

    def disconnect(self):
        self.end_connections(self.server)

    def stop(self):
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)


STORES = {
    "lmdb": Local("lmdb"),
    "sealed": Local("lmdb", seals=True),
    "socache:shmcb": Local("socache:shmcb"),
    "redis": Remote(redis_server.Redis, lambda server: server.cli("CLIENT", "KILL", "TYPE", "normal")),
    "memcache": Remote(lambda folder: memcached_server.Memcached(folder, "-M"),
                       lambda server: (server.kill(), server.start()),
                       forgets=True),
    "pgsql": Remote(lambda folder: postgres_server.Postgres(), lambda server: server.terminate_backends()),
    "mariadb": Remote(lambda folder: mariadb_server.MariaDB(), lambda server: server.terminate_backends()),
}


def is_installed(name):
    servers = {"redis": redis_server, "memcache": memcached_server, "pgsql": postgres_server, "mariadb": mariadb_server}
    return name not in servers or servers[name].is_installed()
