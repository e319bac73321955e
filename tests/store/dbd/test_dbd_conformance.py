# SPDX-License-Identifier: Apache-2.0
"""The suite every driver passes, on each kind of database, with no more rights than the schema files grant."""
import pytest

from database import PASSWORD
from mariadb_server import MariaDB
from postgres_server import Postgres
from sqlite_file import Sqlite

ROUNDS = ("-n", "1000", "-k", "10")


def all_ran(said):
    """Only cases for stores of one host were skipped, and those for stores that a test can fill."""
    expected = ("its owners live by renewing", "its orphans take their time", "it is too large to be filled")
    lines = [line for line in said.splitlines() if "# skipped" in line]
    assert [line for line in lines if not any(reason in line for reason in expected)] == []
    assert len(lines) < 10
    return True


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
@pytest.mark.parametrize("where", ["url", "unix_url"])
def test_server(kind, where, conformance):
    with kind() as server:
        rounds = ROUNDS if where == "url" else ("-n", "100", "-k", "3")
        assert all_ran(conformance(*rounds, getattr(server, where)()))
        assert server.rows() > 0


def test_file(tmp_path, conformance):
    sqlite = Sqlite(tmp_path)
    assert all_ran(conformance("-n", "300", "-k", "5", sqlite.url()))
    assert sqlite.rows() > 0


def test_fewer_connections_than_threads(conformance):
    """Two processes with eight threads each, and a server that has seven connections for them."""
    with Postgres("max_connections=10") as server:
        conformance("-s", "many threads", server.url(), "connections=2")
    with Postgres("max_connections=10") as server, pytest.raises(AssertionError,
                                                                 match="too many clients|remaining connection slots"):
        conformance("-s", "many threads", server.url())


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_password_in_a_file_and_another_table(kind, tmp_path, conformance):
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD + "\nnot this\n")
    with kind() as server:
        if kind is Postgres:
            server.sql("CREATE SCHEMA shop", "ALTER TABLE idempotency SET SCHEMA shop",
                       "ALTER TABLE shop.idempotency RENAME TO spent", "GRANT USAGE ON SCHEMA shop TO idem")
        else:
            server.sql("CREATE DATABASE shop", "RENAME TABLE idempotency TO shop.spent",
                       "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.spent TO idem@'%'")
        conformance("-s", "a claim wins", server.url(password=None), f"password=file:{secret}", "table=shop.spent")
        assert int(server.sql("SELECT count(*) FROM shop.spent")) > 0
