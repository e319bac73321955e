# SPDX-License-Identifier: Apache-2.0
"""The failures that all stores with a server of their own share: scenes, and checks."""
import contextlib
import os
import pathlib
import time

from private_server import until

RECORD, TOMBSTONE, UNKNOWN = 2, 3, 4
SLACK = 10000  # milliseconds beyond a deadline: a busy machine; without a deadline it would be for ever
ANSWERS = ("SUCCESS", "EEXIST", "NOTFOUND", "ELOST", "EALIVE")
CALLS = [("claim", 50, 1), ("takeover", 50, 1, 2), ("renew", 50, 1), ("settle", 50, 1, RECORD), ("release", 50, 1),
         ("fetch", 50), ("forget", 50), ("status", ), ("each", )]
LATE = [("claim", 1, 1), ("claim", 2, 2), ("takeover", 3, 1, 2), ("takeover", 4, 1, 2), ("settle", 5, 1, RECORD)]


@contextlib.contextmanager
def paused(server):
    server.pause()
    try:
        yield
    finally:
        server.resume()


def answered(driven, *words):
    """The operation's answer, once there is one."""
    def answer():
        said = driven.ask(*words)
        return said if said.status in ("SUCCESS", "EEXIST", "NOTFOUND") else None
    return until(answer, words)


def sockets(driven):
    folder = pathlib.Path(f"/proc/{driven.process.pid}/fd")
    return [fd for fd in os.listdir(folder) if os.readlink(folder / fd).startswith("socket:")]


def assert_one_connection_not_inherited(driven):
    [only] = sockets(driven)
    flags = int(pathlib.Path(f"/proc/{driven.process.pid}/fdinfo/{only}").read_text().split("flags:")[1].split()[0], 8)
    assert flags & os.O_CLOEXEC


def assert_not_waited_for(server, driven, drive):
    """Pauses the server: each call on the connection that waits for its next one ends in time, and so does a new
    driver's attempt to connect. Returns that driver.
    """
    driven.ask("within", 200)
    with paused(server):
        for words in CALLS:
            answer = driven.ask(*words)
            assert answer.status == "TIMEUP" and "did not answer in time" in answer.why, (words, answer)
            assert 195 <= answer.milliseconds < 200 + SLACK, (words, answer)
        other = drive(server.url(), timeout_ms=300)
        for operation in ("open", "attach"):
            answer = other.ask(operation)
            assert answer.status == "TIMEUP" and answer.milliseconds < 300 + SLACK, answer
    return other


def prepare_for_late_calls(driven):
    """What LATE would change: a lease that lapses at once, and an outcome that is not known."""
    driven.ask("life", 3600000, 1)
    assert driven.status("claim", 3, 1) == "SUCCESS"
    assert driven.status("settle", 4, 1, UNKNOWN) == "SUCCESS"


def send_too_late(server, drivers, calls):
    """Each driver sends its call to the server, which is stopped, and gives up."""
    with paused(server):
        for driven, words in zip(drivers, calls):
            driven.ask("within", 100)
            assert driven.status(*words) == "TIMEUP", words


def assert_late_calls_did_nothing(driven):
    assert driven.status("fetch", 1) == "NOTFOUND" and driven.status("fetch", 2) == "NOTFOUND"
    assert "state=1 token=1" in driven.ask("fetch", 3).details
    assert "state=4 token=1" in driven.ask("fetch", 4).details
    assert "state=1 token=1" in driven.ask("fetch", 5).details


def assert_lives_while_renewed(driven):
    """A lease whose entry would be gone long ago; nobody renews it after this."""
    driven.ask("life", 100, 2000)
    assert driven.status("claim", 1, 1) == "SUCCESS"
    began = time.monotonic()
    while time.monotonic() - began < 5:
        answer = driven.ask("fetch", 1)
        assert answer.status == "SUCCESS" and "dead=0" in answer.details, answer
        assert driven.status("renew", 1, 1) == "SUCCESS"
        time.sleep(0.5)  # a quarter of the lease: how often it is renewed
