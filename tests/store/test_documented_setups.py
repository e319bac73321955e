# SPDX-License-Identifier: Apache-2.0
"""The setups that docs/stores.md calls right are started as they stand there; a store with one has nothing to complain
of.
"""
import contextlib
import pathlib
import re

import pytest

from certificates import Authority
from mariadb_server import MariaDB
from memcached_server import Memcached
from private_server import until
from redis_server import Redis
from setups import Standby, pair_url, start_mariadb_pair
from postgres_server import Postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/stores.md").read_text()
CONFORMANCE = ("-n", "100", "-k", "3")


def block(name):
    found = re.findall(rf"<!-- runs: {re.escape(name)} -->\n```\n(.*?)```\n", PAGE, re.DOTALL)
    assert len(found) == 1, f"docs/stores.md has {len(found)} blocks about {name}"
    return found[0].splitlines()


def without_warning(drive, url, *options):
    answer = drive(url, *options, timeout_ms=5000).ask("open")
    assert answer.status == "SUCCESS" and answer.details == "flags=offline warning=none", answer


def settings(name):
    """NAME = VALUE lines, as PostgreSQL's and MariaDB's files have them."""
    return ["".join(part.strip(" '") for part in re.split("(=)", line, maxsplit=1)) for line in block(name)]


def redis_of_the_page(folder):
    return Redis(folder, *[word for line in block("redis") for word in (f"--{line.split()[0]}", *line.split()[1:])])


def test_redis(tmp_path, drive):
    with redis_of_the_page(tmp_path / "redis") as redis:
        without_warning(drive, redis.url())


def test_redis_user(tmp_path, drive, conformance):
    (line,) = block("redis acl")
    assert re.findall(r"~idem:\*(?: \+[\w|]+)+", line)[0] in (ROOT / "docs/manual.md").read_text()
    with redis_of_the_page(tmp_path / "redis") as redis:
        redis.cli(*line.split())
        without_warning(drive, redis.url("httpd:a-long-password@"))
        conformance(*CONFORMANCE, redis.url("httpd:a-long-password@"))


def test_memcached(tmp_path, drive):
    with Memcached(tmp_path / "memcached",
                   *[word for line in block("memcached") for word in line.split()]) as memcached:
        answer = drive(memcached.url()).attached().ask("open")
        assert answer.details.startswith("flags=volatile,offline warning=memcached keeps everything in memory")


def test_postgresql(drive):
    with contextlib.ExitStack() as running:
        primary = running.enter_context(Postgres(*settings("postgresql")))
        standby = running.enter_context(Standby(primary))
        until(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync", "the standby is in step")
        without_warning(drive, pair_url([primary, standby]))


def test_mariadb(drive):
    with MariaDB(*[f"--{line}" for line in settings("mariadb")]) as mariadb:
        without_warning(drive, mariadb.url())


def test_mariadb_waits_for_its_replica(drive):
    """A write that the replica has not heard of is not acknowledged. An acknowledged write is there when the replica
    takes over.
    """
    primary, replica = start_mariadb_pair(*[f"--{line}" for line in settings("mariadb semi-synchronous")])
    with primary, replica:
        without_warning(drive, primary.url())
        driven = drive(primary.url()).attached()
        driven.ask("within", 1000)
        assert driven.status("claim", 1, 1) == "SUCCESS"
        replica.pause()
        assert driven.status("claim", 2, 1) not in ("SUCCESS", "EEXIST")
        primary.kill()
        replica.resume()
        until(lambda: replica.rows() >= 1, "the replica has it")
        assert "token=1" in drive(replica.url()).attached().ask("claim", 1, 2).details


@pytest.mark.parametrize("line", re.findall(r"^IdempotencyStore .*$", PAGE, re.MULTILINE))
def test_address(line, drive, tmp_path):
    """Each address of the page is one: it is read, and nothing is asked."""
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("secret\n")
    words = re.findall(r'"([^"]*)"|(\S+)', line.removeprefix("IdempotencyStore "))
    words = [
        re.sub(r"password=file:\S+", f"password=file:{tmp_path}/password", quoted or bare) for quoted, bare in words
    ]
    if any(word.startswith("ca=") for word in words):
        authority = Authority(tmp_path / "ca")
        client = authority.issue("client")
        own = {"ca": authority.cert, "cert": client.cert, "key": client.key}
        words = [re.sub(r"^(ca|cert|key)=.*", lambda found: f"{found[1]}={own[found[1]]}", word) for word in words]
    drive(*words)
