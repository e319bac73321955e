# SPDX-License-Identifier: Apache-2.0
"""What the address and the options of a Redis store may be, and what a wrong one is answered with. No server runs here.
"""
import os

import pytest

WRONG = {
    "redis:localhost": 'begins with "//"',
    "redis://": "no host is named",
    "redis://user@host": "a user without a password",
    "redis://:%zz@host": "percent-encoded",
    "redis://host:port": "not HOST[:PORT]",
    "redis://host:99999": "not HOST[:PORT]",
    "redis://host/one": '"one" is not the number of a database',
    "redis://host/-1": '"-1" is not the number of a database',
    "redis://host/1/2": "is not the number of a database",
    "redis://one,two": "a store is on one server",
    "redis+unix:relative/path": "absolute path of Redis's socket",
    "redis-sentinel://host": "needs the name by which the sentinels know the primary",
    "redis-sentinel://,,/main": "no host is named",
    "redis-sentinel://host/main/x": "is not the number of a database",
    "redis-sentinel://" + ",".join(["host"] * 17) + "/main": "more than 16 servers",
}
WRONG_OPTIONS = {
    "wait": 'not "wait"',
    "timeout=5": 'not "timeout=5"',
    "wait=": "takes 1 to 32 replicas",
    "wait=1": "takes 1 to 32 replicas",
    "wait=0,100": "takes 1 to 32 replicas",
    "wait=33,100": "takes 1 to 32 replicas",
    "wait=1,0": "takes 1 to 32 replicas",
    "wait=1,10001": "takes 1 to 32 replicas",
    "wait=1,100ms": "takes 1 to 32 replicas",
    "wait=1,2,3": "takes 1 to 32 replicas",
    "password=file:secret": "needs an absolute path",
    "password=file:/nowhere/at/all": "cannot be read: No such file",
}
RIGHT = [
    "redis://host", "redis://:secret@host", "redis://user:secret@host:1/15", "redis://[::1]:6379/1",
    "redis://127.0.0.1/", "redis+unix:/run/redis.sock", "redis-sentinel://a,b:1,[::1]:2/main",
    "redis-sentinel://u:p@a/main/3"
]


@pytest.mark.parametrize("url", WRONG)
def test_wrong_address(refusal, url):
    assert WRONG[url] in refusal(url)


@pytest.mark.parametrize("option", WRONG_OPTIONS)
def test_wrong_option(refusal, option):
    assert WRONG_OPTIONS[option] in refusal("redis://host", option)


@pytest.mark.parametrize("url", RIGHT)
def test_right_address(drive, url):
    drive(url)


def test_password_in_the_configuration_is_not_repeated(refusal):
    said = refusal("redis://host", "password=hunter2")
    assert "file:PATH" in said and "hunter2" not in said
    for url in ("redis://user:hunter2@host/x", "redis://user:hunter2@", "redis-sentinel://u:hunter2@a:b/m"):
        assert "hunter2" not in refusal(url)


def test_password_in_two_places(refusal, tmp_path):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hunter2\n")
    assert "already has a password" in refusal("redis://:else@host", f"password=file:{secret}")


@pytest.mark.parametrize("content", ["", "\nsecond line", "x" * 1025])
def test_password_file_without_a_password(refusal, tmp_path, content):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(content)
    said = refusal("redis://host", f"password=file:{secret}")
    assert "its first line must be the password" in said and "xxx" not in said


def test_user_with_a_password_file(drive, tmp_path):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hunter2")
    drive("redis://user@host", f"password=file:{secret}")


@pytest.mark.parametrize("url", ["redis://host", "dbd:pgsql:host=a", "dbd:mysql:host=a"])
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_password_file_that_others_can_read(refusal, tmp_path, url, mode):
    """As the file of IdempotencySecret."""
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(mode)
    said = refusal(url, f"password=file:{secret}")
    assert "must not be readable for others, nor writable for its group: chmod 640, or 600" in said
    assert "hunter2" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_password_file_of_somebody_else(refusal, tmp_path):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hunter2")
    os.chown(secret, 12345, 12345)
    assert "must belong to root or to the server's user" in refusal("redis://host", f"password=file:{secret}")


def test_password_file_that_is_no_file(refusal, tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "must be a regular file" in refusal("redis://host", f"password=file:{tmp_path}/pipe")
