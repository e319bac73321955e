# SPDX-License-Identifier: Apache-2.0
"""
A SQLite database with the project's table, in a folder; with the members that tests expect of a database server.

    sqlite = Sqlite(folder); sqlite.url()
"""
import contextlib
import pathlib
import sqlite3

from database import SCHEMAS


class Sqlite:
    def __init__(self, folder, schema=None):
        self.path = pathlib.Path(folder) / "idempotency.db"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            database.executescript((SCHEMAS / "sqlite3.sql").read_text() if schema is None else schema)

    def url(self):
        return f"dbd:sqlite3:{self.path}"

    def sql(self, *statements):
        """What the last one gives, a line a row."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as database:
            for statement in statements:
                rows = database.execute(statement).fetchall()
        return "\n".join("\t".join(map(str, row)) for row in rows)

    def rows(self):
        return int(self.sql("SELECT count(*) FROM idempotency"))

    @contextlib.contextmanager
    def locked(self):
        """Somebody else writes."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")
