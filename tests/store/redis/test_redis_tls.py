# SPDX-License-Identifier: Apache-2.0
"""TLS to Redis and its sentinels, with real servers: who is believed and who is not, and that whatever goes wrong ends
within the timeout, with a sentence that names the cause.
"""
import contextlib
import pathlib
import socket
import subprocess
import threading

import pytest

from certificates import Authority
from private_server import die_with_parent
from redis_server import Redis, Tls, end_group, free_port, start_group, until

SLACK = 10000  # milliseconds beyond a deadline: a busy machine; without a deadline it would be for ever
RECORD = 2


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def redis(ca, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls") / "redis"
    with Redis(folder, "--appendonly", "yes", "--appendfsync", "always", tls=Tls(ca)) as redis:
        yield redis


def refused(drive, url, *options, timeout_ms=3000):
    """Why open and attach fail alike, in time."""
    driven = drive(url, *options, timeout_ms=timeout_ms)
    answers = [driven.ask(operation) for operation in ("open", "attach")]
    for answer in answers:
        assert answer.status != "SUCCESS" and answer.milliseconds < timeout_ms + SLACK, answer
    return answers[-1].why


# ---- what is believed


def test_conformance(redis, conformance):
    said = conformance("-n", "100", "-k", "3", redis.url(), *redis.tls.options())
    assert "0 failed" in said


def test_full_store(ca, tmp_path, conformance):
    with Redis(tmp_path / "redis", "--maxmemory", "6mb", "--maxmemory-policy", "noeviction", tls=Tls(ca)) as redis:
        assert "1 passed, 0 failed, 0 skipped" in conformance("-s", "full", redis.url(), *redis.tls.options())
        assert redis.info("evicted_keys") == "0"


def test_large_values(redis, drive):
    """Beyond one record of TLS, and beyond what a socket takes at once."""
    driven = drive(redis.url(), *redis.tls.options()).attached()
    assert driven.status("claim", 70, 1) == "SUCCESS"
    assert driven.status("settle-sized", 70, 1, RECORD, 16 * 1024 * 1024) == "SUCCESS"
    assert "state=2 token=1" in driven.ask("fetch", 70).details
    assert driven.status("forget", 70) == "SUCCESS"


@pytest.mark.parametrize("version", ["TLSv1.3", "TLSv1.2"])
def test_reconnect_resumes_its_session(ca, tmp_path, drive, version):
    with Redis(tmp_path / "redis", "--tls-protocols", version, tls=Tls(ca)) as redis:
        driven = drive(redis.url(), *redis.tls.options()).attached()
        assert driven.ask("status").details.endswith(f", {version}")
        for _ in range(3):
            redis.cli("CLIENT", "KILL", "TYPE", "normal")
            assert driven.status("claim", 1, 1) == "SUCCESS"
            assert driven.ask("status").details.endswith(f", {version} resumed")
        redis.restart()  # it has forgotten its sessions
        assert driven.status("claim", 1, 1) == "SUCCESS"
        assert driven.ask("status").details.endswith(f", {version}")
        redis.cli("CLIENT", "KILL", "TYPE", "normal")
        assert driven.status("claim", 1, 1) == "SUCCESS"
        assert driven.ask("status").details.endswith(f", {version} resumed")


def test_server_that_takes_no_session_back(ca, tmp_path, drive):
    """It gives out tickets, and fails with each of them: its clients are asked for certificates, and nothing says whose
    sessions these are.
    """
    with Redis(tmp_path / "redis", "--tls-session-caching", "no", tls=Tls(ca, clients=True)) as redis:
        driven = drive(redis.url(), *redis.tls.options()).attached()
        for _ in range(3):
            redis.cli("CLIENT", "KILL", "TYPE", "normal")
            assert driven.status("claim", 1, 1) == "SUCCESS"
            assert driven.ask("status").details.endswith(", TLSv1.3")


def test_name_and_number(ca, redis, tmp_path, drive):
    """The address is looked for in the certificate, or servername= is; a name is sent, too (SNI)."""
    local = redis.url().replace("127.0.0.1", "localhost")
    assert drive(local, *redis.tls.options()).status("attach") == "SUCCESS"
    said = refused(drive, redis.url(), *redis.tls.options(), "servername=redis.internal")
    assert "its certificate is not for redis.internal: name it as its certificate does, or say servername=" in said
    with Redis(tmp_path / "named", tls=Tls(ca, ca.issue("named", "DNS:*.shop.internal"))) as named:
        said = refused(drive, named.url(), *named.tls.options())
        assert "its certificate is not for 127.0.0.1" in said
        said = refused(drive, named.url().replace("127.0.0.1", "localhost"), *named.tls.options())
        assert "its certificate is not for localhost" in said
        assert drive(named.url(), *named.tls.options(), "servername=redis.shop.internal").status("attach") == "SUCCESS"
        assert "is not for a.b.shop.internal" in refused(drive, named.url(), *named.tls.options(),
                                                         "servername=a.b.shop.internal")


def test_own_certificate_instead_of_an_authority(redis, drive):
    """ca= may name the very certificate of the server."""
    assert drive(redis.url(), f"ca={redis.tls.pair.cert}").status("attach") == "SUCCESS"


# ---- what is not


def test_wrong_authority(redis, tmp_path, drive):
    other = Authority(tmp_path / "other")
    said = refused(drive, redis.url(), f"ca={other.cert}")
    assert f"its certificate is not trusted by ca={other.cert}: " in said and "certificate" in said.split(": ")[-1]
    said = refused(drive, redis.url())
    assert "its certificate is not trusted by this system (option ca= is not given)" in said


def test_expired(ca, tmp_path, drive):
    with Redis(tmp_path / "redis", tls=Tls(ca, ca.expired("old"))) as redis:
        said = refused(drive, redis.url(), f"ca={ca.cert}")
        assert "its certificate is not valid today: certificate has expired" in said


def test_client_certificate(ca, tmp_path, drive):
    other = Authority(tmp_path / "other")
    client, stranger, old = ca.issue("client"), other.issue("stranger"), ca.expired("old-client")
    for version in ("TLSv1.3", "TLSv1.2"):
        tls = Tls(ca, clients=True)
        with Redis(tmp_path / version, "--tls-protocols", version, tls=tls) as redis:
            trust = f"ca={ca.cert}"
            assert drive(redis.url(), trust, f"cert={client.cert}", f"key={client.key}").status("attach") == "SUCCESS"
            assert "it wants a certificate of its clients, options cert= and key=" in refused(drive, redis.url(), trust)
            said = refused(drive, redis.url(), trust, f"cert={stranger.cert}", f"key={stranger.key}")
            assert "alert unknown ca" in said
            said = refused(drive, redis.url(), trust, f"cert={old.cert}", f"key={old.key}")
            assert "alert certificate expired" in said


def test_plain_port(tmp_path, drive):
    """Redis waits for the rest of a line, or reads one in what is no line."""
    with Redis(tmp_path / "redis") as redis:
        said = refused(drive, redis.url().replace("redis:", "rediss:"), timeout_ms=500)
        assert "TLS handshake" in said and "its tls-port" in said
        relayed = f"rediss://127.0.0.1:{redis.port}"
        assert "TLS handshake" in refused(drive, relayed, timeout_ms=500)


def test_tls_port_without_tls(redis, drive):
    said = refused(drive, redis.url().replace("rediss:", "redis:"))
    assert "before its first answer: if that port speaks TLS, write rediss:" in said


@contextlib.contextmanager
def relay(port, serve):
    """Each connection is served by serve(connection, to Redis), in a thread."""
    def run():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                others.append(connection)
                server = socket.create_connection(("127.0.0.1", port))
                others.append(server)
                threading.Thread(target=guarded, args=(connection, server), daemon=True).start()

    def guarded(connection, server):
        with contextlib.suppress(OSError):
            serve(connection, server)

    others = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for one in others:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def pass_on(source, target, most):
    while most > 0 and (data := source.recv(min(most, 65536))):
        target.sendall(data)
        most -= len(data)


@pytest.mark.parametrize("passed", [0, 1, 5, 100, 600])
@pytest.mark.parametrize("then", ["cut", "silence"])
def test_handshake_that_ends_in_the_middle(redis, drive, passed, then):
    """So much of the server's part arrives, and then the end, or nothing more."""
    def serve(connection, server):
        threading.Thread(target=pass_on_quietly, args=(connection, server), daemon=True).start()
        pass_on(server, connection, passed)
        if then == "cut":
            connection.shutdown(socket.SHUT_RDWR)

    def pass_on_quietly(connection, server):
        with contextlib.suppress(OSError):
            pass_on(connection, server, 1 << 30)

    with relay(redis.port, serve) as port:
        said = refused(drive, f"rediss://127.0.0.1:{port}", *redis.tls.options(), timeout_ms=300)
        if then == "cut":
            assert said == f"the TLS handshake with Redis at 127.0.0.1:{port} failed: Redis closed it"
        else:
            assert said.startswith(f"Redis at 127.0.0.1:{port} did not answer in time: the TLS handshake was not fin")


@pytest.mark.parametrize("answer, reason", [
    (b"-ERR unknown command\r\n", "it does not speak TLS"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak TLS"),
    (b"\x15\x03\x03\x00\x02\x02\x28", "handshake failure"),
    (b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + b"x" * 16384, "TLS handshake"),
    (b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", "TLS handshake"),
])
def test_answer_that_is_no_handshake(redis, drive, answer, reason):
    def serve(connection, _):
        connection.recv(4096)
        connection.sendall(answer)
    with relay(redis.port, serve) as port:
        said = refused(drive, f"rediss://127.0.0.1:{port}", *redis.tls.options(), timeout_ms=500)
        assert "TLS handshake" in said and reason in said


def test_hung_server_is_not_waited_for(redis, drive):
    driven = drive(redis.url(), *redis.tls.options()).attached()
    driven.ask("within", 200)
    redis.pause()
    try:
        answer = driven.ask("claim", 60, 1)
        assert answer.status == "TIMEUP" and 195 <= answer.milliseconds < 200 + SLACK
        other = drive(redis.url(), *redis.tls.options(), timeout_ms=300).ask("attach")
        assert other.status == "TIMEUP" and "the TLS handshake was not finished" in other.why
        assert other.milliseconds < 300 + SLACK
    finally:
        redis.resume()


def test_renegotiation_is_refused(ca, tmp_path, drive):
    """A server of TLS 1.2 asks for it in the middle of our greeting: that ends, in time, and with a reason."""
    pair, port = ca.issue("renegotiates"), free_port()
    command = ["openssl", "s_server", "-port", str(port), "-cert", pair.cert, "-key", pair.key, "-tls1_2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=die_with_parent) as server:
        try:
            read_until(server, b"ACCEPT")
            driven = drive(f"rediss://127.0.0.1:{port}", f"ca={ca.cert}", timeout_ms=1000)
            driven.say("attach")
            read_until(server, b"TIME")  # the last word of our greeting, which is shown as it came
            server.stdin.write(b"R\n")
            server.stdin.flush()
            answer = driven.hear()
            assert answer.status != "SUCCESS" and answer.why and answer.milliseconds < 1000 + SLACK, answer
        finally:
            server.kill()


def read_until(process, word):
    seen = b""
    while word not in seen:
        data = process.stdout.read1(4096)
        assert data, seen
        seen += data


# ---- sentinels


def test_failover_over_tls(ca, tmp_path, drive):
    """Sentinels that speak TLS, and want a client certificate and a password, say where the primary is."""
    secret = tmp_path / "sentinel.password"
    secret.touch(mode=0o600)
    secret.write_text("of the sentinels")
    tls = Tls(ca, clients=True)
    servers, sentinels = start_group(tmp_path, replicas=1, sentinels=1, tls=tls)
    try:
        sentinel = sentinels[0]
        url, options = sentinel.url(), tls.options()
        question = "sentinel|get-master-addr-by-name"
        sentinel.cli("ACL", "SETUSER", "watcher", "on", ">of the sentinels", "+auth", f"+{question}")
        sentinel.cli("ACL", "SETUSER", "default", f"-{question}")
        said = refused(drive, url, *options)
        assert f"sentinel 127.0.0.1:{sentinel.port}: Redis refused: NOPERM" in said
        options += ["sentinel-user=watcher", f"sentinel-password=file:{secret}"]
        driven = drive(url, *options, "wait=1,5000").attached()
        until(lambda: driven.ask("claim", 1, 1).status == "SUCCESS", "the replica confirms")
        sentinel.cli("ACL", "SETUSER", "default", "+@all")
        sentinel.cli("SENTINEL", "failover", "main")
        until(lambda: servers[1].info("role") == "master", "the sentinel promotes the replica")
        driven = drive(url, *options).attached()  # nobody waits until the old primary has become a replica
        until(lambda: driven.ask("claim", 1, 2).status == "EEXIST", "the new primary is used, and knows the claim")
        assert "TLSv1.3" in driven.ask("status").details
    finally:
        end_group(servers, sentinels)


def test_password_of_sentinels(tmp_path, drive):
    secret = tmp_path / "sentinel.password"
    secret.touch(mode=0o600)
    secret.write_text("right")
    servers, sentinels = start_group(tmp_path, replicas=0, sentinels=1)
    try:
        sentinels[0].cli("ACL", "SETUSER", "default", "resetpass", ">right")
        sentinels[0].password = "right"
        assert "Redis refused: NOAUTH" in refused(drive, sentinels[0].url())
        option = f"sentinel-password=file:{secret}"
        assert drive(sentinels[0].url(), option).attached().status("claim", 1, 1) == "SUCCESS"
        secret.write_text("wrong")
        said = refused(drive, sentinels[0].url(), option)
        assert "Redis refused: WRONGPASS" in said and "wrong" not in said
    finally:
        end_group(servers, sentinels)


# ---- files


def test_files_are_looked_at(ca, tmp_path, refusal, drive):
    url, client, other = "rediss://host", ca.issue("files"), ca.issue("others")
    text, empty, torn = tmp_path / "text", tmp_path / "empty", tmp_path / "torn"
    text.write_text("no certificate\n")
    empty.touch()
    torn.write_text(ca.cert.read_text() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "pkey", "-in", client.key, "-aes256", "-passout", "pass:x", "-out", locked], check=True)
    for path in (text, locked):
        path.chmod(0o600)
    cert, key = f"cert={client.cert}", f"key={client.key}"
    for options, reason in (
        (["ca=relative"], 'option ca=PATH needs an absolute path, not "relative"'),
        (["ca=/nowhere/ca.pem"], "option ca=/nowhere/ca.pem: it cannot be read: No such file"),
        ([f"ca={tmp_path}"], "it must be a regular file"),
        ([f"ca={text}"], f"option ca={text}: it contains no certificate (PEM"),
        ([f"ca={empty}"], "it contains no certificate"),
        ([f"ca={torn}"], "it is damaged after 1 certificates"),
        ([cert], "options cert= and key= belong together: key= is missing"),
        ([key], "options cert= and key= belong together: cert= is missing"),
        ([f"cert={text}", key], f"option cert={text}: it contains no certificate"),
        ([cert, f"key={text}"], f"option key={text}: it contains no private key"),
        ([cert, f"key={locked}"], "it has a passphrase, and a server cannot ask for it"),
        ([cert, f"key={other.key}"], f"it is not the key of the certificate in {client.cert}"),
        (["servername="], "takes a name of 1 to 253 characters"),
        (["servername=a b"], 'takes the name of a host or its number, not "a b"'),
    ):
        said = refusal(url, *options)
        assert reason in said, (options, said)
    client.key.chmod(0o644)
    assert "it must not be readable for others" in refusal(url, cert, key)
    client.key.chmod(0o600)
    drive(url, f"ca={ca.cert}", cert, key, "servername=redis.internal")
    drive(url, f"ca={pathlib.Path('/etc/ssl/certs/ca-certificates.crt')}")


def test_options_that_an_address_has_no_use_for(ca, refusal):
    for option in (f"ca={ca.cert}", "cert=/x", "key=/x", "servername=x"):
        for url in ("redis://host", "redis+unix:/run/redis.sock", "redis-sentinel://host/main"):
            assert "is for TLS: write rediss:// or rediss-sentinel://" in refusal(url, option)
    for option in ("sentinel-user=x", "sentinel-password=file:/x"):
        for url in ("redis://host", "rediss://host"):
            assert "is for redis-sentinel:// and rediss-sentinel://" in refusal(url, option)
    assert "needs option sentinel-password=" in refusal("redis-sentinel://host/main", "sentinel-user=x")
    said = refusal("rediss-sentinel://host/main", "sentinel-password=hunter2")
    assert "option sentinel-password= takes file:PATH" in said and "hunter2" not in said


def test_expired_client_certificate_is_said_at_start(ca, redis, drive):
    """This server does not ask for one; others will refuse it."""
    old = ca.expired("old-one")
    answer = drive(redis.url(), *redis.tls.options(), f"cert={old.cert}", f"key={old.key}").ask("open")
    assert answer.status == "SUCCESS", answer
    assert answer.details.endswith(f"warning=the certificate cert={old.cert} has expired")
