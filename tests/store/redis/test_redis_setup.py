# SPDX-License-Identifier: Apache-2.0
"""The start tells what a server's setup means. A setup that cannot be used is refused with a reason, and nothing waits
for it.
"""
import socket

import pytest

from fake_redis import INFO, FakeRedis
from fake_server import deaf_host, trickle
from redis_server import Redis, end_group, free_port, start_group

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


def warning_of(drive, url, *options):
    answer = drive(url, *options).ask("open")
    assert answer.status == "SUCCESS", answer
    flags, warning = answer.details.split(" warning=")
    return flags.removeprefix("flags="), warning


@pytest.mark.parametrize("options, flags, said", [
    (ALWAYS, "offline", ["none"]),
    (("--appendonly", "yes", "--appendfsync", "everysec"), "offline", ["appendfsync everysec can lose the last second"
                                                                       ]),
    (("--appendonly", "yes", "--appendfsync", "no"), "offline", ["appendfsync no can lose half a minute"]),
    (("--save", "3600 1"), "offline", ["without appendonly it loses every entry that is newer than its last snapshot"]),
    ((), "volatile,offline", ["it keeps nothing on disk", "after its restart every operation can run again"]),
    ((*ALWAYS, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), "evicts,offline",
     ["maxmemory-policy allkeys-lru drops live entries", "set noeviction"]),
    ((*ALWAYS, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"), "evicts,offline",
     ["volatile-ttl drops live entries"]),
    ((*ALWAYS, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction"), "offline", ["none"]),
    ((*ALWAYS, "--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"), "offline", ["none"]),
])
def test_setup_is_read_and_said(tmp_path, drive, options, flags, said):
    with Redis(tmp_path / "redis", *options) as redis:
        known, warning = warning_of(drive, redis.url())
        assert known == flags
        for part in said:
            assert part in warning if part != "none" else warning == "none"


def test_replicas_and_who_waits_for_them(tmp_path, drive):
    servers, sentinels = start_group(tmp_path, replicas=2, sentinels=1, options=ALWAYS)
    try:
        assert "without wait=N,MS a failover can lose the latest claims" in warning_of(drive, servers[0].url())[1]
        assert "without wait=N,MS" in warning_of(drive, sentinels[0].url())[1]
        assert warning_of(drive, servers[0].url(), "wait=2,100")[1] == "none"
        assert "wait=1,100, and 2 replicas: a failover to a replica that has not" in warning_of(
            drive, servers[0].url(), "wait=1,100")[1]
        assert "wait=3,100 needs more replicas, only 2 replicas are connected" in warning_of(
            drive, servers[0].url(), "wait=3,100")[1]
        refused = drive(servers[1].url()).ask("open")
        assert refused.status != "SUCCESS" and "the address leads to a Redis replica" in refused.why
    finally:
        end_group(servers, sentinels)


def test_what_is_refused_is_said_to_be_unknown(tmp_path, drive):
    with Redis(tmp_path / "redis", *ALWAYS) as redis:
        redis.cli("ACL", "SETUSER", "careful", "on", ">secret", "~*", "+@all", "-config")
        flags, warning = warning_of(drive, redis.url("careful:secret@"))
        assert flags == "offline"
        assert warning == "it refuses CONFIG: the module cannot tell how much it loses with power"
        redis.cli("ACL", "SETUSER", "shy", "on", ">secret", "~*", "+@all", "-config", "-info")
        flags, warning = warning_of(drive, redis.url("shy:secret@"))
        assert flags == "evicts,volatile,offline"
        assert "it refuses INFO: the module cannot tell whether it drops live entries" in warning
        assert "the module cannot tell whether entries survive its restart" in warning
        driven = drive(redis.url("shy:secret@")).attached()
        assert driven.status("claim", 1, 1) == "SUCCESS"
        assert "Redis of an unknown version" in driven.ask("status").details


def test_wrong_password(tmp_path, drive):
    with Redis(tmp_path / "redis", password="right") as redis:
        for login, reason in (("", "NOAUTH"), (":hunter2@", "WRONGPASS"), ("nobody:hunter2@", "WRONGPASS")):
            for operation in ("open", "attach"):
                answer = drive(redis.url(login)).ask(operation)
                assert answer.status != "SUCCESS" and reason in answer.why
                assert "hunter2" not in answer.why and "hunter2" not in answer.details


def test_nobody_there(drive, tmp_path):
    for url in (f"redis://127.0.0.1:{free_port()}", f"redis+unix:{tmp_path}/none"):
        for operation in ("open", "attach"):
            answer = drive(url).ask(operation)
            assert answer.status != "SUCCESS" and "cannot be reached" in answer.why
    answer = drive("redis://no.such.host.invalid").ask("attach")
    assert answer.status != "SUCCESS" and "no.such.host.invalid has no known address" in answer.why


@pytest.mark.parametrize("change, reason", [
    (("7.0.15", "5.0.14"), "Redis has version 5.0.14, which is too old: use 6 or newer"),
    (("cluster_enabled:0", "cluster_enabled:1"), "a node of a Redis Cluster"),
    (("loading:0", "loading:1"), "still loading its data"),
])
def test_server_that_cannot_be_used(drive, change, reason):
    with FakeRedis(info=INFO.replace(*change)) as fake:
        for operation in ("open", "attach"):
            answer = drive(fake.url()).ask(operation)
            assert answer.status != "SUCCESS" and reason in answer.why


@pytest.mark.parametrize("version", ["6.0.0", "7.2.4", "10.1.0"])
def test_versions_that_can(drive, version):
    with FakeRedis(info=INFO.replace("7.0.15", version)) as fake:
        assert drive(fake.url()).status("attach") == "SUCCESS"


def trickle_a_string(connection):
    connection.sendall(b"$100000\r\n")
    trickle(connection)


@pytest.mark.parametrize("info, reason", [
    (b"", "did not answer in time"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the connection to Redis was lost: Protocol error"),
    (b"$50000\r\nabc", "did not answer in time"),
    (lambda connection: connection.shutdown(socket.SHUT_RDWR), "the connection to Redis was lost"),
    (trickle_a_string, "did not answer in time"),
])
def test_broken_answers_end_by_the_deadline(drive, info, reason):
    with FakeRedis() as fake:
        fake.answers["INFO"] = info if info else lambda connection: None
        answer = drive(fake.url(), timeout_ms=300).ask("attach")
        assert answer.status != "SUCCESS" and reason in answer.why
        assert answer.milliseconds < 10000


def test_host_that_does_not_even_refuse(drive):
    with deaf_host() as port:
        answer = drive(f"redis://127.0.0.1:{port}", timeout_ms=300).ask("attach")
        assert answer.status != "SUCCESS" and 250 < answer.milliseconds < 10000, answer
