# SPDX-License-Identifier: Apache-2.0
"""The flags of each store's setup, asked of its driver and its servers, are those from which docs/stores.md derives
what it promises.
"""
import pathlib
import re

import pytest

from setups import ROWS, Setup
from sqlite_file import Sqlite

TABLE = pathlib.Path(__file__).resolve().parents[1] / "lint" / "guarantees.txt"
SERVERS = [name for name in ROWS if name.partition(":")[0].split()[0] not in ("lmdb", "socache")]


def said(name):
    flags = re.search(rf"^\[{re.escape(name)}\]\nflags +([\w,-]+)", TABLE.read_text(), re.MULTILINE)
    assert flags, f"{TABLE} says nothing about {name}"
    return flags.group(1)


@pytest.mark.parametrize("name", SERVERS)
def test_flags_are_those_of_the_table(tmp_path, drive, name):
    with Setup(name, tmp_path / "store") as setup:
        words = [setup.url.strip('"')] if setup.url.startswith('"') else setup.url.split()
        if name == "dbd:sqlite3":
            words = [Sqlite(tmp_path / "sqlite").url()]
        answer = drive(*words, timeout_ms=5000).ask("open")
        assert answer.status == "SUCCESS", answer
        assert answer.details.startswith(f"flags={said(name)} warning=")
