# SPDX-License-Identifier: Apache-2.0
"""Private PostgreSQL servers, from the installed package: own folder below /tmp, own port and unix socket, own
processes, run as an unprivileged user where root starts them. The database has the project's table and a user with a
password.

    with Postgres() as postgres: postgres.url()
    Postgres("fsync=on", address="10.0.0.2", port=5432, prefix=("ip", "netns", "exec", "store"))

Writes are flushed to disk only if an option says so. A killed server keeps its writes, since the kernel does. Nothing
of theirs outlives the test: a server gets a signal when the thread that started it ends.
"""
import os
import pathlib
import shutil
import signal
import subprocess

from database import DATABASE, PASSWORD, PATIENCE, SCHEMAS, USER, Database, run, unprivileged


def program(name):
    """Debian keeps the server's programs out of PATH, a folder for each version."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name)


class Postgres(Database):
    """options are settings: "fsync=on", "synchronous_commit=off"."""
    STOPS = signal.SIGINT  # ends connections, and writes what is to be written

    def initialise(self):
        run([*unprivileged(), program("initdb"), "-D", self.data, "-U", "postgres", "--auth-local=trust",
             "--auth-host=scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"], cwd="/")
        with open(self.data / "pg_hba.conf", "a") as hba:
            hba.write("host all all all scram-sha-256\n")

    def prepare(self):
        self.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", database="postgres")
        self.sql(f"CREATE DATABASE {DATABASE}", database="postgres")
        self.load((SCHEMAS / "postgresql.sql").read_text())
        self.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO {USER}")

    def command(self):
        settings = [
            f"port={self.port}", f"listen_addresses={self.address or ''}", f"unix_socket_directories={self.folder}",
            "fsync=off", "max_connections=300", "shared_buffers=32MB", "log_statement=none", *self.options
        ]
        return [program("postgres"), "-D", self.data, *(word for setting in settings for word in ("-c", setting))]

    def answers(self):
        done = subprocess.run([program("pg_isready"), "-q", "-h", self.folder, "-p", str(self.port)], timeout=PATIENCE)
        return done.returncode == 0

    def sql(self, *statements, database=DATABASE, user="postgres"):
        """What psql prints, without decoration."""
        words = [word for statement in statements for word in ("-c", statement)]
        return run([
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", self.port, "-U", user,
            "-d", database, *words
        ])

    def load(self, script, database=DATABASE):
        run([
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", self.port, "-U", "postgres", "-d",
            database
        ],
            input=script)

    def params(self, password=PASSWORD, user=USER, host=None):
        login = f" password={password}" if password else ""
        return f"host={host or self.address} port={self.port} dbname={DATABASE} user={user}{login}"

    def url(self, **more):
        return "dbd:pgsql:" + self.params(**more)

    def unix_url(self, **more):
        return self.url(host=self.folder, **more)

    def terminate_backends(self):
        """Ends the connections of the store's user, and waits until they are gone."""
        self.sql(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{USER}'")

    def connections(self):
        return int(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'"))

    def rows(self):
        return int(self.sql("SELECT count(*) FROM idempotency"))


def is_installed():
    return program("postgres") is not None and shutil.which("psql") is not None and os.access(SCHEMAS, os.R_OK)
