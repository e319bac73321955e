# SPDX-License-Identifier: Apache-2.0
"""Where secrets come from: a file that others cannot read, or a command; what is wrong is said at configtest, without
the secret.
"""
import os
import shutil
import stat

import pytest

import env
from client import Api
from raw_store import RawStore
from secrets_of_tests import SEALS, SLOT, write_secret

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = "IdempotencySecret file:{root}/secret\n"


@pytest.fixture
def server(new_httpd):
    return new_httpd(CONFIG)


def refused(server):
    """What configtest says about IdempotencySecret."""
    code, said = server.check_config()
    assert code != 0, "it was accepted"
    lines = [line for line in said.splitlines() if "IDEM060" in line]
    assert len(lines) == 1, said
    assert "of this test" not in said and "this test has recorded" not in said
    return lines[0]


def accepted(server):
    code, said = server.check_config()
    assert code == 0, said


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
def test_modes_that_keep_others_out(server, mode):
    write_secret(server, "old").chmod(mode)
    accepted(server)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o660, 0o666])
def test_modes_that_let_others_in(server, mode):
    write_secret(server, "old").chmod(mode)
    assert "must not be readable for others, nor writable for its group: chmod 640, or 600" in refused(server)


@pytest.mark.skipif(not env.ROOT, reason="only root may give files away")
@pytest.mark.parametrize("owner, good", [("root", True), (env.USER, True), ("nobody", False)])
def test_owner(server, owner, good):
    shutil.chown(write_secret(server, "old"), owner)
    if good:
        accepted(server)
    else:
        assert "must belong to root or to the server's user" in refused(server)


def test_symbolic_link_is_followed(server):
    """As secrets that a container is given are; the file it leads to is what counts."""
    real = write_secret(server, "old", name="elsewhere")
    (server.root / "secret").symlink_to(real)
    accepted(server)
    real.chmod(0o644)
    assert "must not be readable for others" in refused(server)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_no_regular_file(server, make):
    make(server.root / "secret", 0o600)
    assert "must be a regular file" in refused(server)


def test_device(new_httpd):
    server = new_httpd("IdempotencySecret file:/dev/zero\n")
    assert stat.S_ISCHR(os.stat("/dev/zero").st_mode)
    assert "must be a regular file" in refused(server)


def test_file_that_is_not_there(server):
    assert "cannot be read: No such file or directory" in refused(server)


def test_path_relative_to_the_server_root(new_httpd):
    server = new_httpd("IdempotencySecret file:secret\n")
    write_secret(server, "old")
    accepted(server)


@pytest.mark.parametrize("text, said", [
    ("", "needs one line"),
    (SLOT, "needs one line"),
    (SLOT + SEALS["old"] + "sael: of this test and long enough, surely\n", "does not begin with slot: or seal:"),
    (SLOT + "seal: of this test\n", "shorter than 32 bytes"),
    (SLOT * 2 + SEALS["old"], "has more than one slot: line"),
    (SLOT + SEALS["old"] + "#" * 65536, "has more than 65535 bytes"),
])
def test_wrong_text(server, text, said):
    write_secret(server).write_text(text)
    assert said in refused(server)


# ---- a command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(new_httpd):
    """A server whose secrets come from a shell script."""
    def make(script, arguments=""):
        server = new_httpd(f'IdempotencySecret "exec:{{root}}/script {arguments}"\n')
        (server.root / "script").write_text("#!/bin/sh\n" + script.replace("{root}", str(server.root)))
        (server.root / "script").chmod(0o700)
        return server
    return make


PRINTS = f"printf '%s' '{SLOT}{SEALS['old']}'\n"


def test_secrets_that_a_command_prints(command, host):
    server = command('test "$1" = "two words" && test "$2" = x && echo ran >> {root}/runs && ' + PRINTS,
                     "'two words' x").start()
    api = Api(server.address, host)
    first = api.post("/pay?body=nobody-reads-this", key="k1")
    assert api.post("/pay?body=nobody-reads-this", key="k1").recorded == first.recorded
    assert b"nobody" not in RawStore(server).bytes()
    assert (server.root / "runs").read_text() == "ran\n"  # once for a start, whatever httpd reads twice


def test_command_finds_the_servers_environment(command):
    command('test -n "$PATH" && test -n "$TMPDIR" && ' + PRINTS).start()


def test_configtest_runs_no_command(command):
    server = command("echo ran >> {root}/runs\nexit 1\n")
    accepted(server)
    assert not (server.root / "runs").exists()


@pytest.mark.parametrize("script, said", [
    ("exit 7\n", "failed with exit code 7"),
    (PRINTS + "exit 1\n", "failed with exit code 1"),
    ("kill -9 $$\n", "was ended by signal 9"),
    ("true\n", "needs one line"),
    ("yes | head -c 100000\n", "has more than 65535 bytes"),
])
def test_command_that_fails_stops_the_start(command, script, said):
    assert said in start_refused(command(script))


def test_command_that_is_not_there_stops_the_start(command):
    server = command("")
    (server.root / "script").unlink()
    assert "cannot be run: No such file or directory" in start_refused(server)


def start_refused(server):
    with pytest.raises(AssertionError):
        server.start()
    assert "of this test" not in server.said()
    return " ".join(line for line in server.said().splitlines() if "IDEM060" in line)


# ---- one store has one secret ----------------------------------------------------------------------------------------


def test_two_secrets_for_one_store(new_httpd):
    server = new_httpd(CONFIG + "<VirtualHost *:*>\nIdempotencySecret file:{root}/other\n</VirtualHost>\n")
    write_secret(server, "old")
    write_secret(server, "new", name="other")
    assert "IdempotencySecret differs between virtual hosts that share a store" in refused(server)
