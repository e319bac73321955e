# SPDX-License-Identifier: Apache-2.0
"""A Redis that is spoken to over TLS: files that only root can read, what a check of the configuration says of them,
what a start says of certificates that are not accepted, and idemctl.
"""
import os
import sys

import pytest

import ctl
import env
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from certificates import Authority  # noqa: E402 (found by the line above)
from redis_server import Redis, Tls  # noqa: E402

pytestmark = pytest.mark.mpm_independent
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(scope="module")
def ca(stage):
    return Authority(stage.root / "ca-of-redis")


@pytest.fixture
def redis(ca, tmp_path):
    with Redis(tmp_path / "redis", *ALWAYS, tls=Tls(ca, clients=True)) as redis:
        yield redis


def store_of(redis, **changed):
    options = dict(word.split("=", 1) for word in redis.tls.options()) | changed
    return " ".join([redis.url(), *(f"{name}={value}" for name, value in options.items())])


def test_replay_and_a_key_that_is_for_root_only(redis, new_httpd, host, origin):
    """The children run as another user: what they need was read before."""
    assert redis.tls.pair.key.stat().st_mode & 0o777 == 0o600 and redis.tls.pair.key.stat().st_uid == os.geteuid()
    server = new_httpd(store=store_of(redis)).start()
    api = Api(server.address, host, "/proxy")
    assert api.post("/pay", key="k1").problem == (201, None)
    assert api.post("/pay", key="k1").replayed
    assert origin.executions("/pay") == 1
    assert not [line for line in server.startup if "IDEM062" in line]


def test_idemctl_speaks_tls(redis, new_httpd, host):
    server = new_httpd(store=store_of(redis)).start()
    assert Api(server.address, host, "/proxy").post("/pay", key="k1").problem == (201, None)
    idemctl = ctl.Ctl(redis.url(), *(f"--option={word}" for word in redis.tls.options()))
    (entry, ) = idemctl.json("list")
    assert entry["state"] == "record"
    assert idemctl("forget", entry["slot"]).code == ctl.OK
    assert idemctl.json("list") == []
    stranger = ctl.Ctl(redis.url(), *(f"--option={word}" for word in redis.tls.options()[:1]))("list")
    assert stranger.code == ctl.FAILED and "it wants a certificate of its clients" in stranger.err


def test_configtest_says_what_is_wrong_and_where(ca, redis, new_httpd):
    text = redis.folder / "text"
    text.write_text("no certificate")
    other = ca.issue("other").key
    for changed, sentence in (
        ({"ca": "/nowhere/ca.pem"}, "option ca=/nowhere/ca.pem: it cannot be read: No such file or directory"),
        ({"cert": text}, f"option cert={text}: it contains no certificate"),
        ({"key": other}, f"option key={other}: it is not the key of the certificate in {redis.tls.pair.cert}"),
        ({"kay": other}, "a Redis store has the options"),
    ):
        server = new_httpd(store=store_of(redis, **changed))
        code, said = server.check_config()
        (line, ) = [line for line in said.splitlines() if "IDEM060" in line]
        assert code != 0 and f"IdempotencyStore: {sentence}" in line, said
        assert "httpd.conf:" in line or "line " in line, line
    redis.tls.pair.key.chmod(0o640)
    assert new_httpd(store=store_of(redis)).check_config()[0] == 0
    redis.tls.pair.key.chmod(0o644)
    code, said = new_httpd(store=store_of(redis)).check_config()
    assert code != 0 and "it must not be readable for others" in said


def test_own_certificate_that_has_expired(ca, redis, new_httpd):
    """The server starts, and says what Redis answers; guarded requests would get 503."""
    old = ca.expired("old")
    server = new_httpd(store=store_of(redis, cert=old.cert, key=old.key)).start()
    said = [line for line in server.startup if "IDEM064" in line]
    assert said and "certificate expired" in said[0]
    server.stop()
    server.log.mark()


def test_wrong_authority_is_said_and_refused(redis, tmp_path, new_httpd, host, origin):
    other = Authority(tmp_path / "other")
    server = new_httpd(store=store_of(redis, ca=other.cert)).start()
    assert Api(server.address, host, "/proxy").post("/pay", key="k1").problem == (503, "store-unavailable")
    said = [line for line in server.startup if "IDEM064" in line]
    assert said and f"its certificate is not trusted by ca={other.cert}" in said[0]
    assert origin.executions("/pay") == 0
    server.stop()
    server.log.mark()
