# SPDX-License-Identifier: Apache-2.0
"""Stores in each setup with a promise in docs/stores.md, a row each: the servers that run for it, and its address.

    with Setup("redis, AOF always", folder) as setup: new_httpd(CONFIG, setup.url); setup.kill(); setup.start()

Addresses of stores without a server are for tests/http: they have {root}, the folder of an httpd.
"""
import dataclasses
import os
import shutil
import typing
import unittest.mock

from certificates import Authority
from database import Database, run, template
from mariadb_server import MariaDB
from memcached_server import Memcached
from postgres_server import Postgres, program
from private_server import unprivileged, until
from redis_server import Redis, Tls, start_group
from sqlite_file import Sqlite

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
SEMI_SYNCHRONOUS = ("--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--log-bin=binlog", "--binlog-format=ROW",
                    "--rpl-semi-sync-master-enabled=ON", "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
                    "--rpl-semi-sync-master-timeout=4294967295")
SYNCHRONOUS = ("fsync=on", "synchronous_commit=on", "synchronous_standby_names=*")


class Standby(Postgres):
    """Has all that its primary has, and follows it; sql("SELECT pg_promote()") makes it the primary."""

    def __init__(self, primary, *options):
        super().__init__("fsync=on", *options)
        shutil.rmtree(self.data)
        run([
            *unprivileged(),
            program("pg_basebackup"), "-h", primary.folder, "-p", primary.port, "-U", "postgres", "-D", self.data, "-R",
            "-X", "stream", "-c", "fast", "--no-sync"
        ],
            cwd="/")


def start_pair():
    """A primary that acknowledges what its standby has, too; both run."""
    primary = Postgres(*SYNCHRONOUS).start()
    standby = Standby(primary).start()
    until(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync", "the standby is in step")
    return [primary, standby]


def pair_url(servers):
    """Whichever of them takes writes."""
    return servers[0].url().replace(
        f"host={servers[0].address} port={servers[0].port}",
        f"host={servers[0].address},{servers[1].address} port={servers[0].port},{servers[1].port} "
        "target_session_attrs=read-write")


def start_mariadb_pair(*options):
    """A primary, by its options with semi-synchronous replication, and its replica; both run, and have the same table.
    """
    primary, replica = MariaDB(*options).start(), MariaDB("--server-id=2", "--rpl-semi-sync-slave-enabled=ON").start()
    # Until there is a replica, nothing that is written would end.
    primary.sql("SET GLOBAL rpl_semi_sync_master_enabled = OFF", "CREATE USER replica@'%' IDENTIFIED BY 'secret'",
                "GRANT REPLICATION SLAVE ON *.* TO replica@'%'", "SET GLOBAL rpl_semi_sync_master_enabled = ON")
    file, position = primary.sql("SHOW MASTER STATUS").split("\t")[:2]
    replica.sql(
        f"CHANGE MASTER TO MASTER_HOST='{primary.address}', MASTER_PORT={primary.port}, MASTER_USER='replica', "
        f"MASTER_PASSWORD='secret', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}, MASTER_CONNECT_RETRY=1",
        "START SLAVE")
    until(lambda: primary.sql("SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'").split()[-1] == "1",
          "the replica follows")
    return [primary, replica]


@dataclasses.dataclass(frozen=True)
class Row:
    start: typing.Callable  # folder -> servers, which run
    url: typing.Callable  # servers -> IdempotencyStore's arguments


def local(url):
    return Row(lambda folder: [], lambda servers: url)


def server(make, *options):
    return Row(lambda folder: [make(folder, *options).start()], lambda servers: f'"{servers[0].url()}"')


def database(kind, *options):
    return server(lambda folder, *given: kind(*given), *options)


def sentinel(*options):
    def start(folder):
        servers, sentinels = start_group(folder, replicas=1, sentinels=1, options=ALWAYS)
        return [*servers, *sentinels]
    return Row(start, lambda servers: " ".join([servers[-1].url(), *options]))


def tls_server(*options):
    return Row(lambda folder: [Redis(folder / "redis", *options, tls=Tls(Authority(folder / "ca"))).start()],
               lambda servers: " ".join([servers[0].url(), *servers[0].tls.options()]))


def tls_sentinel(*options):
    """Everybody has to show a certificate."""
    def start(folder):
        tls = Tls(Authority(folder / "ca"), clients=True)
        servers, sentinels = start_group(folder, replicas=1, sentinels=1, options=ALWAYS, tls=tls)
        return [*servers, *sentinels]
    return Row(start, lambda servers: " ".join([servers[-1].url(), *servers[-1].tls.options(), *options]))


ROWS = {
    "lmdb sync=on": local("lmdb"),
    "lmdb sync=off": local("lmdb:{root}/store sync=off"),
    "socache:shmcb": local("socache:shmcb"),
    "socache:dbm": local("socache:dbm:{root}/run/dbm"),
    "memcache, -M": server(Memcached, "-M", "-m", "8"),
    "memcache, evicting": server(Memcached, "-m", "8"),
    "redis, AOF always": server(Redis, *ALWAYS),
    "redis, AOF everysec": server(Redis, "--appendonly", "yes", "--appendfsync", "everysec"),
    "redis, snapshots": server(Redis, "--save", "3600 1"),
    "redis, nothing on disk": server(Redis),
    "redis, evicting": server(Redis, *ALWAYS, "--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"),
    "redis-sentinel": sentinel(),
    "redis-sentinel wait=": sentinel("wait=1,400"),
    "rediss, AOF always": tls_server(*ALWAYS),
    "rediss-sentinel wait=": tls_sentinel("wait=1,400"),
    "dbd:pgsql": database(Postgres, "fsync=on"),
    "dbd:pgsql, synchronous standby": Row(lambda folder: start_pair(), lambda servers: f'"{pair_url(servers)}"'),
    "dbd:mysql": database(MariaDB, "--innodb-flush-log-at-trx-commit=1"),
    "dbd:mysql, semi-synchronous replica": Row(lambda folder: start_mariadb_pair(*SEMI_SYNCHRONOUS),
                                               lambda servers: servers[0].url()),
    "dbd:sqlite3": local("dbd:sqlite3:{root}/sqlite/idempotency.db"),
}


class Setup:
    """environment: what the store's servers are started with, in addition."""

    def __init__(self, name, folder, environment=None):
        self.name = name
        with unittest.mock.patch.dict(os.environ, environment or {}):
            self.servers = ROWS[name].start(folder)
        self.url = ROWS[name].url(self.servers)

    def prepare(self, root, owner):
        """What has to be in the folder of an httpd before it starts."""
        if self.name == "dbd:sqlite3":
            path = Sqlite(root / "sqlite").path
            for one in (path.parent, path) if os.geteuid() == 0 else ():
                shutil.chown(one, owner, owner)

    def kill(self):
        for one in self.servers:
            one.kill()

    def start(self):
        for one in self.servers:
            one.start()

    def lose(self, root):
        """Everything that it has on disks, wherever that is. The next server begins empty. root: an httpd's folder."""
        for path in [root / "store", *(root / "run").glob("dbm*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if self.name == "dbd:sqlite3":
            shutil.rmtree(root / "sqlite")
        for one in self.servers:
            if isinstance(one, Database):
                shutil.rmtree(one.data)
                run(["cp", "-a", template(type(one)), one.data])
            else:
                shutil.rmtree(one.folder)
                one.folder.mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.servers:
            one.__exit__()
