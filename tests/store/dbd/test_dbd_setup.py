# SPDX-License-Identifier: Apache-2.0
"""The start tells what a database's setup means. A setup that cannot be used is refused with a reason and a remedy."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

from database import PASSWORD, SCHEMAS
from driven import Driven
from mariadb_server import MariaDB
from postgres_server import Postgres
from redis_server import free_port, until
from sqlite_file import Sqlite

DURABLE = {Postgres: ["fsync=on"], MariaDB: ["--innodb-flush-log-at-trx-commit=1"]}


def warning_of(drive, url, *options):
    answer = drive(url, *options).ask("open")
    assert answer.status == "SUCCESS", answer
    flags, warning = answer.details.split(" warning=")
    return flags.removeprefix("flags="), warning


def refused(drive, url, *options, status=None):
    """By open() and attach() alike; the reason."""
    said = set()
    for operation in ("open", "attach"):
        answer = drive(url, *options).ask(operation)
        assert answer.status != "SUCCESS" and status in (None, answer.status), answer
        assert PASSWORD not in answer.why and "hunter2" not in answer.why
        said.add(answer.why)
    assert len(said) == 1, said
    return said.pop()


@pytest.fixture
def postgres():
    with Postgres() as server:
        yield server


@pytest.fixture
def mariadb():
    with MariaDB() as server:
        yield server


# ---- what is said


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_right_setup_is_not_complained_of(kind, drive):
    with kind(*DURABLE[kind]) as server:
        assert warning_of(drive, server.url()) == ("offline", "none")


@pytest.mark.parametrize("setting, said", [
    ("fsync=off", "fsync is off: a crash of its host can lose or damage entries"),
    ("synchronous_commit=off", "synchronous_commit is off: a crash of PostgreSQL can lose the latest entries"),
])
def test_postgres_that_may_lose_commits(drive, setting, said):
    with Postgres("fsync=on", setting) as server:
        flags, warning = warning_of(drive, server.url())
        assert flags == "offline" and warning.startswith(said) and "can run again" in warning


def test_postgres_table_that_a_crash_empties(drive):
    with Postgres("fsync=on") as server:
        server.sql("ALTER TABLE idempotency SET UNLOGGED")
        flags, warning = warning_of(drive, server.url())
        assert flags == "volatile,offline" and "UNLOGGED" in warning


@pytest.mark.parametrize("option, said", [
    ("--innodb-flush-log-at-trx-commit=0", "innodb_flush_log_at_trx_commit is 0: a crash can lose the latest entries"),
    ("--innodb-flush-log-at-trx-commit=2", "innodb_flush_log_at_trx_commit is 2"),
    ("--log-bin", "sync_binlog is not 1"),
])
def test_mariadb_that_may_lose_commits(drive, option, said):
    with MariaDB(*DURABLE[MariaDB], "--server-id=1", option) as server:
        flags, warning = warning_of(drive, server.url())
        assert flags == "offline" and said in warning


def test_mariadb_that_replicates_statements(drive):
    with MariaDB(*DURABLE[MariaDB], "--server-id=1", "--log-bin", "--sync-binlog=1",
                 "--binlog-format=STATEMENT") as server:
        assert "binlog_format is STATEMENT" in warning_of(drive, server.url())[1]


def test_mariadb_table_without_transactions(drive):
    with MariaDB(*DURABLE[MariaDB]) as server:
        server.sql("ALTER TABLE idempotency ENGINE = MyISAM ROW_FORMAT = DEFAULT")
        warning = warning_of(drive, server.url())[1]
        assert "the table's engine is MyISAM" in warning and "ENGINE = InnoDB" in warning


def test_sqlite_without_a_log(tmp_path, drive):
    assert warning_of(drive, Sqlite(tmp_path / "right").url()) == ("offline", "none")
    sqlite = Sqlite(tmp_path / "wrong")
    sqlite.sql("PRAGMA journal_mode = DELETE")
    assert "journal_mode is delete" in warning_of(drive, sqlite.url())[1]


def test_largest_packet_bounds_the_largest_value(drive):
    with MariaDB("--max-allowed-packet=512K") as server:
        driven = drive(server.url()).attached()
        assert driven.status("claim", 1, 1) == "SUCCESS"
        answer = driven.ask("settle-large", 1, 1, 2)
        assert answer.status == "ETOOBIG" and "a value of 1000000 bytes" in answer.why
        assert "state=1 token=1" in driven.ask("fetch", 1).details
        assert driven.status("settle", 1, 1, 3) == "SUCCESS"


def test_state_of_the_store(drive, tmp_path):
    with Postgres() as postgres, MariaDB() as mariadb:
        for server, title in ((postgres, "PostgreSQL 15"), (mariadb, "MySQL 10.11"), (Sqlite(tmp_path), "SQLite 3.")):
            driven = drive(server.url()).attached()
            assert driven.status("claim", 1, 1) == driven.status("claim", 2, 1) == "SUCCESS"
            details = driven.ask("status").details
            assert details.startswith("known=1 entries=2 ") and title in details and "table idempotency" in details


# ---- what is refused


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_table_that_is_missing(kind, drive):
    with kind() as server:
        schema = "postgresql.sql" if kind is Postgres else "mysql.sql"
        assert f"load conf/schema/{schema}" in refused(drive, server.url(), "table=other")
        server.sql("DROP TABLE idempotency")
        assert f"the database has no table idempotency that this user can see: load conf/schema/{schema}" in refused(
            drive, server.url())
        server.load((SCHEMAS / schema).read_text())
        server.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO idem" + ("" if kind is Postgres else "@'%'"))
        driven = drive(server.url()).attached()
        assert driven.status("claim", 1, 1) == "SUCCESS"


def test_table_of_a_file_that_is_missing(tmp_path, drive):
    said = refused(drive, f"dbd:sqlite3:{tmp_path}/none.db")
    assert said.startswith("there is no database") and f"sqlite3 {tmp_path}/none.db < conf/schema/sqlite3.sql" in said
    assert not (tmp_path / "none.db").exists()
    assert "has no table idempotency: sqlite3" in refused(drive,
                                                          Sqlite(tmp_path, schema="CREATE TABLE other (a)").url())
    (tmp_path / "text").write_text("no database, " * 1000)
    assert "not a database" in refused(drive, f"dbd:sqlite3:{tmp_path}/text", status="EDAMAGED")


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
def test_rights_that_are_missing(right, postgres, mariadb, drive):
    postgres.sql(f"REVOKE {right} ON idempotency FROM idem")
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency" in refused(drive, postgres.url())
    mariadb.sql(f"REVOKE {right} ON idempotency FROM idem@'%'")
    answer = drive(mariadb.url()).ask("open")
    assert answer.status != "SUCCESS" and f"{right} command denied" in answer.why


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_wrong_password(kind, drive):
    with kind() as server:
        said = refused(drive, server.url(password="hunter2"))
        assert ("authentication failed" if kind is Postgres else "Access denied") in said
        refused(drive, server.url(user="nobody", password="hunter2"))


def test_standby(drive):
    with Postgres() as server:
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        assert "the address leads to a PostgreSQL standby: name the primary" in refused(drive, server.url())


def test_database_that_is_read_only(drive):
    with MariaDB("--read-only") as server:
        assert "leads to a read-only database: name the primary" in refused(drive, server.url())


@pytest.mark.parametrize("url", [
    "dbd:pgsql:host=127.0.0.1 port={port} user=idem password=hunter2", "dbd:pgsql:host={folder} user=idem",
    "dbd:mysql:host=127.0.0.1,port={port},user=idem,pass=hunter2", "dbd:mysql:sock={folder}/none,user=idem",
    "dbd:pgsql:host=no.such.host.invalid user=idem password=hunter2"
])
def test_nobody_there(url, tmp_path, drive):
    assert "cannot be reached" in refused(drive, url.format(port=free_port(), folder=tmp_path))


@pytest.mark.parametrize(
    "url", ["dbd:pgsql:host=127.0.0.1 port={port} user=idem", "dbd:mysql:host=127.0.0.1,port={port},user=idem"])
def test_host_that_does_not_even_refuse(url, drive):
    """Its queue of connections is full: the kernel drops what comes, as a host does that is gone."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        for operation in ("open", "attach"):
            answer = drive(url.format(port=deaf.getsockname()[1]), timeout_ms=300).ask(operation)
            assert answer.status == "TIMEUP" and 290 < answer.milliseconds < 10000, answer
        for one in waiting:
            one.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="hiding a folder from one process needs root")
@pytest.mark.parametrize("engine", ["pgsql", "mysql", "sqlite3"])
def test_driver_that_is_not_installed(engine, tmp_path, drive):
    """The folder of APR's drivers is empty for this process."""
    ready = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    if ready.returncode:
        pytest.skip("there are no mount namespaces here")
    folder = next(pathlib.Path("/usr/lib").glob("*/apr-util-1"))
    program = pathlib.Path(drive("dbd:pgsql:").process.args[0])
    starter = tmp_path / "program"
    starter.write_text(
        f"#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {tmp_path} {folder}; exec {program} \"$@\"' sh \"$@\"\n")
    starter.chmod(0o755)
    path = Sqlite(tmp_path).path
    driven = Driven(starter, f"dbd:{engine}:{path if engine == 'sqlite3' else ''}", [], None)
    for operation in ("open", "attach"):
        answer = driven.ask(operation)
        assert answer.status != "SUCCESS" and f"Debian's package is libaprutil1-dbd-{engine}" in answer.why
    driven.end()


# ---- no room


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 16 megabytes."""
    disk = pathlib.Path(tempfile.mkdtemp(prefix="idem-disk-", dir="/tmp"))
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=777", "none", disk],
                                      capture_output=True).returncode:
        disk.rmdir()
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    until(lambda: subprocess.run(["umount", disk], capture_output=True).returncode == 0, "nobody uses the disk")
    disk.rmdir()


def fill(driven):
    """Settles large records until there is no room; the number of the one that found none."""
    number = 0
    driven.ask("within", 20000)
    while (answer := driven.ask("settle-large", number, 1, 2)).status == "SUCCESS":
        number += 1
        assert number < 20
    assert answer.status == "EFULL" and ("full" in answer.why or "No space left" in answer.why), answer
    return number


def check_full(driven):
    """Entries stand as they were. A write without room left no trace. Room comes back when an entry goes."""
    assert driven.status("claim", 99, 1) == "SUCCESS"
    failed = fill(driven)
    assert failed > 0 and "length=1000000" in driven.ask("fetch", failed - 1).details
    assert driven.status("fetch", failed) == "NOTFOUND"
    assert "state=1 token=1" in driven.ask("fetch", 99).details
    assert driven.status("settle-large", 99, 1, 2) == "EFULL"
    assert "state=1 token=1" in driven.ask("fetch", 99).details


def test_full_sqlite(small_disk, drive):
    driven = drive(Sqlite(small_disk).url()).attached()
    check_full(driven)
    driven.end()


def test_full_postgres(small_disk, postgres, drive):
    shutil.chown(small_disk, "nobody")
    postgres.sql(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    postgres.sql("ALTER TABLE idempotency SET TABLESPACE small")
    check_full(drive(postgres.url()).attached())
    postgres.kill()


def test_full_mariadb(drive):
    """Its own bound: on a disk without room it ends itself."""
    with MariaDB("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:24M") as server:
        server.sql("DROP TABLE idempotency")
        server.load((SCHEMAS / "mysql.sql").read_text())
        check_full(drive(server.url()).attached())
