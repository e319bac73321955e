# SPDX-License-Identifier: Apache-2.0
"""Private MariaDB servers, from the installed package: own folder below /tmp, own port and unix socket, own process,
run as an unprivileged user where root starts them. The database has the project's table and a user with a password.

    with MariaDB() as mariadb: mariadb.url()
    MariaDB("--innodb-flush-log-at-trx-commit=1", address="10.0.0.2", port=3306, prefix=("ip", "netns", "exec",
    "store"))

A commit is flushed to disk only if an option says so. A killed server keeps its writes, since the kernel does. Nothing
of theirs outlives the test: a server gets a signal when the thread that started it ends.
"""
import os
import shutil
import signal
import subprocess

from database import DATABASE, PASSWORD, PATIENCE, SCHEMAS, USER, Database, run, unprivileged

SMALL = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M", "--innodb-data-file-path=ibdata1:12M:autoextend"]


class MariaDB(Database):
    """options are mariadbd's own: "--max-allowed-packet=4M"."""
    STOPS = signal.SIGTERM

    def initialise(self):
        """A server that starts removes the temporary tables of its folder, so each has a folder of its own for them."""
        run([
            *unprivileged(), "env", f"TMPDIR={self.folder}", "mariadb-install-db", "--no-defaults",
            f"--datadir={self.data}", "--skip-test-db", "--auth-root-authentication-method=normal", *SMALL
        ],
            cwd="/")

    def prepare(self):
        self.sql(f"CREATE DATABASE {DATABASE}", database="mysql")
        self.load((SCHEMAS / "mysql.sql").read_text())
        self.sql(f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'",
                 f"GRANT SELECT, INSERT, UPDATE, DELETE ON {DATABASE}.idempotency TO {USER}@'%'")

    def command(self):
        place = [f"--port={self.port}", f"--bind-address={self.address}"] if self.address else ["--skip-networking"]
        return [
            "mariadbd", "--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.folder}",
            f"--socket={self.folder}/socket", *place, f"--pid-file={self.folder}/pid",
            "--innodb-flush-log-at-trx-commit=2", "--max-connections=300", "--skip-name-resolve", *SMALL, *self.options
        ]

    def answers(self):
        done = subprocess.run(
            ["mariadb-admin", "--no-defaults", "-u", "root", f"--socket={self.folder}/socket", "ping"],
            capture_output=True,
            timeout=PATIENCE)
        return done.returncode == 0

    def sql(self, *statements, database=DATABASE):
        """What the client prints, without decoration."""
        return run([
            "mariadb", "--no-defaults", "-u", "root", f"--socket={self.folder}/socket", "-N", "-B", database, "-e",
            ";".join(statements)
        ])

    def load(self, script, database=DATABASE):
        run(["mariadb", "--no-defaults", "-u", "root", f"--socket={self.folder}/socket", database], input=script)

    def params(self, password=PASSWORD, user=USER):
        login = f",pass={password}" if password else ""
        return f"host={self.address},port={self.port},dbname={DATABASE},user={user}{login}"

    def url(self, **more):
        return "dbd:mysql:" + self.params(**more)

    def unix_url(self, password=PASSWORD, user=USER):
        return f"dbd:mysql:sock={self.folder}/socket,dbname={DATABASE},user={user},pass={password}"

    def terminate_backends(self):
        """Ends the connections of the store's user."""
        self.sql(f"KILL HARD CONNECTION USER {USER}")

    def connections(self):
        return int(self.sql(f"SELECT count(*) FROM information_schema.processlist WHERE user = '{USER}'"))

    def rows(self):
        return int(self.sql("SELECT count(*) FROM idempotency"))


def is_installed():
    return all(shutil.which(name)
               for name in ("mariadbd", "mariadb", "mariadb-install-db")) and os.access(SCHEMAS, os.R_OK)
