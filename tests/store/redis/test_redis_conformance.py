# SPDX-License-Identifier: Apache-2.0
"""The suite every driver passes, on Redis in each way it may be set up and reached."""
import pytest

from redis_server import Redis, end_group, start_group

ROUNDS = ("-n", "2000", "-k", "15")
ACL = ("~idem:*", "+eval", "+evalsha", "+set", "+get", "+mget", "+del", "+getrange", "+setrange", "+pexpireat", "+time",
       "+wait", "+scan", "+dbsize", "+info", "+config|get", "+select")


def all_ran(said, *skipped):
    """Only cases for stores of one host were skipped, and the named ones."""
    expected = ("its owners live by renewing", "its orphans take their time", "it needs no sweep", *skipped)
    lines = [line for line in said.splitlines() if "# skipped" in line]
    assert [line for line in lines if not any(reason in line for reason in expected)] == []
    assert len(lines) < 10
    return True


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_plain(tmp_path, conformance, where):
    with Redis(tmp_path / "redis", "--appendonly", "yes") as redis:
        url = redis.url() if where == "tcp" else redis.unix_url()
        assert all_ran(conformance(*ROUNDS, url), "it is too large to be filled")
        assert redis.info("db0")


def test_password_and_database(tmp_path, conformance):
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("p@ss/word,:%\nnot this\n")
    with Redis(tmp_path / "redis", "--appendonly", "yes", password="p@ss/word,:%") as redis:
        said = conformance("-n", "200", "-k", "5", redis.url(":p%40ss%2Fword%2C%3A%25@", db=5))
        assert all_ran(said, "it is too large to be filled")
        assert redis.info("db5") and not redis.info("db0")
        conformance("-s", "claim", redis.url(db=6), f"password=file:{secret}")
        assert redis.info("db6")


def test_user_with_no_more_rights_than_needed(tmp_path, conformance):
    with Redis(tmp_path / "redis") as redis:
        redis.cli("ACL", "SETUSER", "httpd", "on", ">secret", *ACL)
        conformance("-n", "200", "-k", "5", redis.url("httpd:secret@"))
        redis.cli("ACL", "SETUSER", "httpd", "-setrange")
        with pytest.raises(AssertionError, match="NOPERM|can't run|no permissions"):
            conformance("-s", "renewing", redis.url("httpd:secret@"))


def test_every_write_waits_for_a_replica(tmp_path, conformance):
    servers, _ = start_group(tmp_path, replicas=1, sentinels=0, options=("--appendonly", "yes"))
    try:
        said = conformance("-n", "300", "-k", "5", servers[0].url(), "wait=1,5000")
        assert all_ran(said, "it is too large to be filled")
        assert servers[0].cli("DBSIZE") == servers[1].cli("DBSIZE")
    finally:
        end_group(servers)


def test_full_store(tmp_path, conformance):
    with Redis(tmp_path / "redis", "--maxmemory", "6mb", "--maxmemory-policy", "noeviction") as redis:
        said = conformance("-s", "full", redis.url())
        assert "1 passed, 0 failed, 0 skipped" in said
        assert redis.info("evicted_keys") == "0"


def test_behind_sentinels(tmp_path, conformance):
    servers, sentinels = start_group(tmp_path, replicas=1, sentinels=1)
    try:
        conformance("-n", "200", "-k", "5", sentinels[0].url(db=2), "wait=1,5000")
        assert servers[0].info("db2")
    finally:
        end_group(servers, sentinels)
