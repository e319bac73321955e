# SPDX-License-Identifier: Apache-2.0
"""The start tells what a server's setup means. A setup that cannot be used is refused with a reason, and nothing waits
for it.
"""
import socket

import pytest

from fake_memcached import FakeMemcached, stats
from fake_server import deaf_host, trickle
from memcached_server import Memcached, url
from private_server import free_port

FORGETS = "memcached keeps everything in memory: after a restart of a server its operations can run again"


def warning_of(drive, address):
    answer = drive(address).ask("open")
    assert answer.status == "SUCCESS", answer
    flags, warning = answer.details.split(" warning=")
    return flags.removeprefix("flags="), warning


def test_server_that_refuses_when_it_is_full(tmp_path, drive):
    with Memcached(tmp_path / "memcached", "-M") as server:
        assert warning_of(drive, server.url()) == ("volatile,offline", FORGETS)


def test_server_that_evicts(tmp_path, drive):
    with Memcached(tmp_path / "a", "-M") as strict, Memcached(tmp_path / "b") as lax:
        flags, warning = warning_of(drive, url(strict, lax))
        assert flags == "evicts,volatile,offline"
        assert warning == (
            f"{FORGETS}; {lax.place()} drops live entries when it is full, and their operations can run again: "
            "run it with -M")


@pytest.mark.parametrize("refusal", [b"ERROR\r\n", b"CLIENT_ERROR no such thing\r\n", b"END\r\n"])
def test_what_is_refused_is_said_to_be_unknown(drive, refusal):
    with FakeMemcached({"stats settings": refusal}) as fake:
        flags, warning = warning_of(drive, fake.url())
        assert flags == "evicts,volatile,offline"
        assert f"127.0.0.1:{fake.port} does not show its settings: the module cannot tell whether it " \
               "drops live entries" in warning
        driven = drive(fake.url()).attached()
        assert "evictions unknown" in driven.ask("status").details
        assert driven.status("claim", 1, 1) == "SUCCESS"
        assert driven.status("settle-large", 1, 1,
                             2) != "ETOOBIG"  # a megabyte is what memcached takes unless it is told otherwise


def test_one_of_two_is_away(tmp_path, drive):
    with Memcached(tmp_path / "memcached", "-M") as server:
        away = f"127.0.0.1:{free_port()}"
        flags, warning = warning_of(drive, f"{server.url()},{away}")
        assert flags == "evicts,volatile,offline"  # the other one may
        assert f"memcached at {away} cannot be reached" in warning
        assert "its keys are refused until it is there" in warning
        assert f"memcached at {away} cannot be reached" in drive(f"{server.url()},{away}").attached().ask(
            "status").details


def test_state_is_told(tmp_path, drive):
    with Memcached(tmp_path / "memcached", "-M") as server:
        told = drive(server.url()).attached().ask("status").details
        assert f"memcached 1." in told and f"at {server.place()}, 0 of 64 MB, evictions off" in told
        assert drive(server.url()).attached().status("each") == "ENOTIMPL"


def test_nobody_there(drive):
    for operation in ("open", "attach"):
        answer = drive(f"memcache:127.0.0.1:{free_port()}").ask(operation)
        assert answer.status != "SUCCESS" and "cannot be reached: Connection refused" in answer.why
    answer = drive("memcache:no.such.host.invalid").ask("attach")
    assert answer.status != "SUCCESS" and "no.such.host.invalid has no known address" in answer.why


@pytest.mark.parametrize("answer, reason", [
    (lambda connection: None, "did not answer in time"),
    (b"STAT evictions off\r\n", "did not answer in time"),
    (trickle, "did not answer in time"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not show its time: the module cannot use it"),
    (b"STAT " + 40000 * b"x", "does not show its settings"),
    (lambda connection: connection.shutdown(socket.SHUT_RDWR), "does not show its settings"),
])
def test_broken_answers_end_by_the_deadline(drive, answer, reason):
    with FakeMemcached({"stats settings": answer, "stats": stats(version="0")}) as fake:
        for operation in ("open", "attach"):
            answer = drive(fake.url(), timeout_ms=300).ask(operation)
            assert answer.status != "SUCCESS" and reason in answer.why, answer
            assert answer.milliseconds < 10000


def test_many_servers_share_the_time_there_is(drive):
    silent = {"stats settings": lambda connection: None}
    with FakeMemcached(silent) as one, FakeMemcached(silent) as two, FakeMemcached() as three:
        address = ",".join(f"127.0.0.1:{fake.port}" for fake in (one, two, three))
        answer = drive(f"memcache:{address}", timeout_ms=600).ask("attach")
        assert answer.status == "SUCCESS" and answer.milliseconds < 10000, answer


def test_host_that_does_not_even_refuse(drive):
    with deaf_host() as port:
        answer = drive(f"memcache:127.0.0.1:{port}", timeout_ms=300).ask("attach")
        assert answer.status != "SUCCESS" and 250 < answer.milliseconds < 10000, answer
