# SPDX-License-Identifier: Apache-2.0
"""Key, scope, credentials and fingerprint are the client's, whatever other modules did to the request before the
handlers.

Each place of PLACES changes the fields that a client sent, by another module or at another moment. What is asked there
is the same.
"""
import pytest

from checks import SIGN_IN, basic, parts_named
from client import Api
from client_http2 import Http2

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["http2", "lua", "session", "session_cookie"]
CONFIG = """
Protocols h2c http/1.1
SetEnvIf Authorization "(.+)" TOKEN=$1
<Location /cgi/unset>
    RequestHeader unset Authorization
    RequestHeader unset Cookie
</Location>
<Location /cgi/set>
    RequestHeader set Authorization "Bearer shared"
    RequestHeader set Cookie "PHPSESSID=shared"
</Location>
<Location /cgi/edit>
    RequestHeader edit Authorization "^Bearer.*" "Bearer cut"
    RequestHeader edit Cookie "=.*" "=cut"
</Location>
<Location /cgi/if>
    <If "true">
        RequestHeader unset Authorization
        RequestHeader unset Cookie
    </If>
</Location>
<Location /cgi/lua>
    LuaHookFixups {stage}/hide.lua hide
</Location>
<Location /cgi/session>
    Session On
    SessionCookieName own_session path=/
    SessionCookieRemove On
    RequestHeader unset Authorization
</Location>
<Location /cgi/fields>
    IdempotencyScope host header:X-Tenant
    IdempotencyKey header:X-Key
    IdempotencyFingerprint method path body header:X-Part header:Content-Type cookie:part
    RequestHeader unset X-Tenant
    RequestHeader unset X-Part
    RequestHeader unset X-Key
    RequestHeader unset Cookie
    RequestHeader set Content-Type text/plain
</Location>
<Location /cgi/made>
    IdempotencyScope "expr=%{HTTP:X-Scope}"
    IdempotencyFingerprint method path body "expr=%{HTTP:X-Scope}" env:SEEN
    RequestHeader set X-Scope one
    SetEnvIf X-Sent (.+) SEEN=$1
</Location>
<Location /cgi/staff>
""" + SIGN_IN + """    RequestHeader unset Authorization
</Location>
<Directory "{stage}/docs/sent">
    AllowOverride FileInfo
    Options +ExecCGI
    IdempotencyEngine Off
</Directory>
<VirtualHost *>
    ServerName origin.test
</VirtualHost>
<VirtualHost *>
    ServerName early.test
    ServerAlias *.early.test
    DocumentRoot "{stage}/docs"
    RequestHeader unset Authorization early
    RequestHeader unset Cookie early
    RequestHeader unset X-Part early
    RequestHeader unset X-Tenant early
    RequestHeader unset X-Key early
    RequestHeader set Content-Type text/plain early
</VirtualHost>
<VirtualHost *>
    ServerName lengthless.test
    ServerAlias *.lengthless.test
    RequestHeader unset Content-Length early
</VirtualHost>
"""
LUA = "function hide(r)\n r.headers_in['Authorization'] = nil\n r.headers_in['Cookie'] = nil\n return apache2.OK\nend\n"
PLACES = ["/unset", "/set", "/edit", "/if", "/lua", "/session", "/early"]


def token(name):
    return [("Authorization", f"Bearer {name}")]


def session(name):
    return [("Cookie", f"own_session=a={name}")]


@pytest.fixture(scope="module", autouse=True)
def script(stage):
    (stage.root / "hide.lua").write_text(LUA)


@pytest.fixture
def at(api):
    """A client of a place; what is changed early is a host."""
    return lambda place: Api(api.address, f"{api.host}.early.test") if place == "/early" else api


@pytest.mark.parametrize("credentials", [token, session], ids=["token", "session"])
@pytest.mark.parametrize("place", PLACES)
def test_record_of_another_client(at, origin, place, credentials):
    api = at(place)
    first = api.post(place, key="k1", headers=credentials("A"))
    assert first.problem == (201, None)
    for headers in (credentials("B"), []):
        other = api.post(place, key="k1", headers=headers)
        assert other.problem == (422, "key-reused") and parts_named(other) == ["credentials"]
    assert api.post(place, key="k1", headers=credentials("A")).recorded == first.recorded
    assert origin.executions() == 1


@pytest.mark.parametrize("place", ["/unset", "/early"])
def test_cookie_of_another_client(at, place):
    """What was sent decides whether Set-Cookie is kept, too."""
    api, asked = at(place), f"{place}?header=Set-Cookie:+a%3D1"
    for key, headers, kept in (("k1", token("A"), ["a=1"]), ("k2", [], []), ("k3", [("Cookie", "PHPSESSID=A")], ["a=1"
                                                                                                                 ])):
        api.post(asked, key=key, headers=headers)
        again = api.post(asked, key=key, headers=headers)
        assert again.replayed and again.all("Set-Cookie") == kept


FIELDS = {"X-Tenant": "one", "X-Part": "one", "X-Key": "one", "Content-Type": "text/one", "Cookie": "part=one"}


@pytest.mark.parametrize("changed, answer, parts", [
    ("X-Part", (422, "key-reused"), ["header:x-part"]), ("Content-Type", (422, "key-reused"), ["header:content-type"]),
    ("Cookie", (422, "key-reused"), ["cookie:part"]), ("X-Tenant", (201, None), []), ("X-Key", (201, None), [])])
@pytest.mark.parametrize("place", ["/fields", "/early"])
def test_field_that_is_taken_away(api, host, place, changed, answer, parts):
    if place == "/early":
        api = Api(api.address, f"{host}.early.test")

    def ask(**more):
        return api.post("/fields", headers=list({**FIELDS, **more}.items()))
    assert ask().problem == (201, None)
    other = ask(**{changed: FIELDS[changed].replace("one", "two")})
    assert other.problem == answer and not other.replayed
    assert not parts or parts_named(other) == parts
    assert ask().replayed


def test_variables_and_expressions_are_what_modules_made(api, origin):
    first = api.post("/made", key=api.host, headers=[("X-Scope", "A")])
    assert api.post("/made", key=api.host, headers=[("X-Scope", "B")]).recorded == first.recorded
    assert api.post("/made", key=api.host, headers=[("X-Sent", "A")]).problem == (422, "key-reused")
    assert origin.executions() == 1


def test_password_that_all_share(api, origin):
    """httpd's user stands for Authorization; the application tells its own clients apart by a cookie of its own."""
    staff = api.with_headers(basic("alice"))
    first = staff.post("/staff", key="k1", headers=[("Cookie", "sid=A")])
    other = staff.post("/staff", key="k1", headers=[("Cookie", "sid=B")])
    assert other.problem == (422, "key-reused") and parts_named(other) == ["credentials"]
    assert staff.post("/staff", key="k1").problem == (422, "key-reused")
    assert staff.post("/staff", key="k1", headers=[("Cookie", "sid=A")]).recorded == first.recorded
    assert origin.executions() == 1


@pytest.mark.parametrize("name", ["", ".early.test"], ids=["late", "early"])
def test_http2(httpd, host, name):
    place = "/cgi/plain" if name else "/cgi/unset"
    with Http2(httpd.address, host + name) as h2:
        def ask(who):
            return h2.result(h2.start(place, "k1", headers=[("authorization", f"Bearer {who}")]))
        assert ask("A").problem == (201, None)
        assert ask("B").problem == (422, "key-reused")
        assert ask("A").replayed


@pytest.mark.parametrize("engine", ["On", "DetectionOnly"])
def test_engine_that_only_a_tenant_turns_on(new_httpd, stage, host, engine):
    """The first request of each child that reads the file, too: nothing but AllowOverride says that it may come to
    this.
    """
    folder = stage.root / "docs" / f"sent{engine}"
    folder.mkdir()
    for source in ("answer.py", "origin.cgi"):
        (folder / source).write_bytes((stage.root / "origins" / source).read_bytes())
        (folder / source).chmod(0o755)
    (folder /
     ".htaccess").write_text(f"SetHandler cgi-script\nIdempotencyEngine {engine}\nRequestHeader unset Authorization\n")
    server = new_httpd(
        'IdempotencyEngine Off\n<Directory "{stage}/docs">\nAllowOverride FileInfo\nOptions +ExecCGI\n</Directory>\n')
    server.start()
    api = Api(server.address, host, f"/sent{engine}")
    for n in range(30):
        first, other = (api.post("/origin.cgi", key=f"k{n}", headers=token(who)) for who in "AB")
        assert first.problem == (201, None)
        if engine == "On":
            assert other.problem == (422, "key-reused")
        else:
            assert server.outcomes(api, 2 * n + 2)[-1][2] == "detected:key-reused"


def test_action_behind_the_change(new_httpd, host, stage):
    """The first request of a chain is the client's; what a later one was given does not matter."""
    server = new_httpd(
        "Action hop /cgi/hopped virtual\n<Location /hop>\nSetHandler hop\nRequestHeader unset Authorization\n"
        "</Location>\n"
    )
    server.start()
    api = Api(server.address, host, "")
    first = api.post("/hop", key="k1", headers=token("A"))
    assert first.problem == (201, None)
    assert api.post("/hop", key="k1", headers=token("B")).problem == (422, "key-reused")
    assert api.post("/hop", key="k1", headers=token("A")).recorded == first.recorded


def test_length_that_is_taken_away(api, host, origin, expect_log):
    """httpd then gives nobody the body: it is not taken for an empty one, which another would equal."""
    expect_log(110)
    api = Api(api.address, f"{host}.lengthless.test")
    for body in (b"amount=10", b"amount=99"):
        assert api.post("/pay", key="k1", body=body, headers=["Connection: close"]).status == 500
    assert origin.executions() == 0
