# SPDX-License-Identifier: Apache-2.0
"""Where httpd knows the user, the user counts: not the nonce of the moment, not the password of the day.

And only where httpd does: a token that the application checks, behind a certificate that httpd does, is compared as
ever.
"""
import base64
import hashlib
import re
import shutil
import ssl
import subprocess

import pytest

import env
from checks import basic, parts_named
from client import Api, Connection

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["auth_digest", "auth_form", "session", "session_cookie", "lua", "ssl"]
CONFIG = """
<Location /cgi/digest>
    AuthType Digest
    AuthName realm
    AuthUserFile "{root}/digests"
    Require valid-user
</Location>
<Location /cgi/basic>
    AuthType Basic
    AuthName realm
    AuthUserFile "{root}/basic"
    Require valid-user
</Location>
<Location /cgi/basic/global>
    IdempotencyScope none
</Location>
<Location /cgi/lua>
    AuthType Own
    AuthName realm
    LuaHookCheckUserID {root}/user.lua check
    Require valid-user
</Location>
<Location /cgi/replaced>
    AuthType Basic
    AuthName realm
    AuthUserFile "{root}/basic"
    Require valid-user
</Location>
<VirtualHost *>
    ServerName origin.test
</VirtualHost>
<VirtualHost *>
    ServerName shared.test
    ServerAlias *.shared.test
    RequestHeader set Authorization "%s" early
</VirtualHost>
""" % basic("alice")[1]
LUA = "function check(r)\n r.user = 'lua'\n return apache2.OK\nend\n"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def sha(password):
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def write(server, name, text):
    (server.root / name).write_text(text)
    (server.root / name).chmod(0o644)


class Digest:
    """A user agent that answers challenges (RFC 7616), each time with a nonce of the server's and one of its own."""

    def __init__(self, api, user, password="secret"):
        self.api, self.user, self.password, self.count = api, user, password, 0

    def authorization(self, path):
        challenge = self.api.post(path)["WWW-Authenticate"]
        nonce = re.search(r'nonce="([^"]*)"', challenge).group(1)
        self.count += 1
        uri, cnonce, nc = self.api.base + path, md5(f"{self.user}{self.count}"), "00000001"
        secret, asked = md5(f"{self.user}:realm:{self.password}"), md5(f"POST:{uri}")
        answer = md5(f"{secret}:{nonce}:{nc}:{cnonce}:auth:{asked}")
        return ("Authorization",
                f'Digest username="{self.user}", realm="realm", nonce="{nonce}", uri="{uri}", algorithm=MD5, '
                f'qop=auth, nc={nc}, cnonce="{cnonce}", response="{answer}"')

    def post(self, path, key="k1", headers=(), **more):
        return self.api.post(path, key=key, headers=[self.authorization(path), *headers], **more)


@pytest.fixture(scope="module", autouse=True)
def files(httpd):
    write(httpd, "digests", "".join(f"{user}:realm:{md5(f'{user}:realm:secret')}\n" for user in ("alice", "bob")))
    write(httpd, "basic", f"alice:{sha('secret')}\nbob:{sha('secret')}\n")
    write(httpd, "user.lua", LUA)


@pytest.mark.parametrize("cookie", [[], [("Cookie", "sid=1")]], ids=["alone", "cookie"])
def test_digest(api, origin, cookie):
    alice = Digest(api, "alice")
    first = alice.post("/digest", headers=cookie)
    assert first.problem == (201, None)
    for _ in range(3):
        again = alice.post("/digest", headers=cookie)
        assert again.replayed and again.body == first.body
    assert Digest(api, "bob").post("/digest",
                                   headers=cookie).problem == (201, None)  # another user's key is another key
    assert Digest(api, "alice", "wrong").post("/digest").status == 401
    assert origin.executions() == 2


def test_digest_user_and_another_session(api, origin):
    alice = Digest(api, "alice")
    alice.post("/digest", headers=[("Cookie", "sid=A")])
    other = alice.post("/digest", headers=[("Cookie", "sid=B")])
    assert other.problem == (422, "key-reused") and parts_named(other) == ["credentials"]


def test_cookie_for_a_user(api):
    alice, path = Digest(api, "alice"), "/digest?header=Set-Cookie:+a%3D1"
    assert alice.post(path).all("Set-Cookie") == ["a=1"]
    assert alice.post(path).all("Set-Cookie") == ["a=1"]


def with_password(user, password):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def test_password_that_was_changed(api, origin, httpd):
    first = api.post("/basic", key="k1", headers=[with_password("alice", "secret")])
    write(httpd, "basic", f"alice:{sha('new')}\nbob:{sha('secret')}\n")
    again = api.post("/basic", key="k1", headers=[with_password("alice", "new")])
    old = api.post("/basic", key="k1", headers=[with_password("alice", "secret")])
    write(httpd, "basic", f"alice:{sha('secret')}\nbob:{sha('secret')}\n")
    assert again.replayed and again.recorded == first.recorded
    assert old.status == 401
    assert origin.executions() == 1


def test_user_counts_where_the_scope_has_none(api, origin):
    path = "/basic/global"
    assert api.post(path, key=api.host, headers=[basic("alice")]).problem == (201, None)
    other = api.post(path, key=api.host, headers=[basic("bob")])
    assert other.problem == (422, "key-reused") and parts_named(other) == ["credentials"]
    assert api.post(path, key=api.host, headers=[basic("alice")]).replayed
    assert origin.executions() == 1


def test_user_whom_another_module_made_known(api):
    """It looked at no Authorization: what is in there is the application's."""
    assert api.post("/lua", key="k1", headers=[("Authorization", "Bearer A")]).problem == (201, None)
    assert api.post("/lua", key="k1", headers=[("Authorization", "Bearer B")]).problem == (422, "key-reused")
    assert api.post("/lua", key="k1", headers=[("Authorization", "Bearer A")]).replayed


def test_user_of_a_field_that_httpd_made_itself(api, origin):
    """All come in as alice; what each sent is what tells them apart."""
    api = Api(api.address, f"{api.host}.shared.test")
    assert api.post("/replaced", key="k1", headers=[with_password("one", "1")]).problem == (201, None)
    other = api.post("/replaced", key="k1", headers=[with_password("two", "2")])
    assert other.problem == (422, "key-reused") and parts_named(other) == ["credentials"]
    assert api.post("/replaced", key="k1", headers=[with_password("one", "1")]).replayed
    assert origin.executions() == 1


# ---- certificates ----------------------------------------------------------------------------------------------------


def certificate(folder, name):
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"
    ],
                   check=True,
                   capture_output=True)


class TlsApi(Api):
    """A client with a certificate."""

    def __init__(self, address, host, folder, name):
        super().__init__(address, host)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")

    def connect(self):
        connection = Connection(self.address)
        connection.sock = self.context.wrap_socket(connection.sock)
        return connection


@pytest.fixture(scope="module")
def folder(stage):
    folder = stage.root / "certificates"
    folder.mkdir()
    for name in ("server", "carol", "dave"):
        certificate(folder, name)
    (folder / "clients.crt").write_text("".join((folder / f"{name}.crt").read_text() for name in ("carol", "dave")))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def certified(new_httpd, folder, host):
    """Clients of a server that knows users by their certificates."""
    def make(config):
        server = new_httpd(f"""
SSLEngine on
SSLCertificateFile {folder}/server.crt
SSLCertificateKeyFile {folder}/server.key
SSLCACertificateFile {folder}/clients.crt
SSLVerifyClient require
<Location /cgi>
{config}
</Location>
""", modules=["ssl"])
        server.start()
        write(server, "fake", f"CN=carol:{sha('password')}\nCN=dave:{sha('password')}\n"
                              f"/CN=carol:{sha('password')}\n/CN=dave:{sha('password')}\n")
        return [TlsApi(server.address, host, folder, name) for name in ("carol", "dave")]
    return make


FAKED = 'SSLOptions +FakeBasicAuth\nAuthType Basic\nAuthName x\nAuthUserFile "{root}/fake"\nRequire valid-user'


@pytest.mark.parametrize("config", ["SSLUserName SSL_CLIENT_S_DN_CN", FAKED], ids=["name", "fake"])
def test_certificate_and_token(certified, origin, config):
    carol, dave = certified(config)
    first = carol.post("/pay", key="k1")
    assert first.problem == (201, None)
    assert carol.post("/pay", key="k1").recorded == first.recorded
    assert dave.post("/pay", key="k1").problem == (201, None)
    assert carol.post("/pay", key="k2", headers=[("Authorization", "Bearer A")]).problem == (201, None)
    other = carol.post("/pay", key="k2", headers=[("Authorization", "Bearer B")])
    assert other.problem == (422, "key-reused") and parts_named(other) == ["credentials"]
    assert carol.post("/pay", key="k2", headers=[("Authorization", "Bearer A")]).replayed
    assert origin.executions() == 3
