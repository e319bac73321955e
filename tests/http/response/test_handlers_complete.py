# SPDX-License-Identifier: Apache-2.0
"""Each handler that httpd and Debian ship answers in its own way: some return DONE, some leave the end to httpd, some
push it themselves. Any answer that was not cut is one. The client gets it, and the retry gets it again without another
run.
"""
import http.client
import pwd
import socket
import subprocess

import pytest

import env

STORES = ["lmdb"]
BASE = ""
MODULES = ["dav", "dav_fs", "dav_lock", "dav_svn", "lua", "perl", "wsgi", "fcgid", "proxy_uwsgi", "asis", "status"]
CONFIG = """
IdempotencyMethods POST PUT PATCH DELETE MKCOL COPY MOVE LOCK UNLOCK PROPPATCH PROPFIND REPORT MERGE CHECKOUT MKACTIVITY
DavLockDB "{root}/tmp/locks"
Alias /dav "{stage}/docs/dav"
<Directory "{stage}/docs/dav">
    Dav On
</Directory>
<Location /svn>
    DAV svn
    SVNPath "{stage}/docs/svn"
</Location>
Alias /lua "{stage}/docs/handlers/answer.lua"
<Location /lua>
    SetHandler lua-script
</Location>
Alias /perl "{stage}/docs/handlers/perl"
<Perl>
    package Answers;
    use Apache2::RequestRec (); use Apache2::RequestIO (); use Apache2::RequestUtil ();
    use Apache2::Const -compile => qw(OK DONE);
    sub note { my ($r) = @_; open(my $out, ">>", $r->dir_config("Ledger")); print $out '{"path": "/perl"}', "\n"; }
    sub ok { my ($r) = @_; note($r); $r->status(201); $r->content_type("text/plain");
             $r->print("said in perl\n"); return Apache2::Const::OK; }
    sub done { ok(@_); return Apache2::Const::DONE; }
    sub late { my ($r) = @_; note($r); return 429; }
    sub fails { my ($r) = @_; note($r); return 503; }
    sub conflict { my ($r) = @_; note($r); return 409; }
    $INC{"Answers.pm"} = 1;
</Perl>
PerlSetVar Ledger "{stage}/ledger"
<LocationMatch "^/perl/(ok|done|late|fails|conflict)$">
    SetHandler modperl
</LocationMatch>
<Location /perl/ok>
    PerlResponseHandler Answers::ok
</Location>
<Location /perl/done>
    PerlResponseHandler Answers::done
</Location>
<Location /perl/late>
    PerlResponseHandler Answers::late
</Location>
<Location /perl/fails>
    PerlResponseHandler Answers::fails
</Location>
<Location /perl/conflict>
    PerlResponseHandler Answers::conflict
</Location>
WSGIScriptAlias /wsgi "{stage}/docs/handlers/answer.wsgi"
WSGIScriptAlias /stream/wsgi "{stage}/docs/handlers/answer.wsgi"
<Location /stream>
    IdempotencyResponse stream
</Location>
WSGIDaemonProcess far threads=2 socket-user=#{uid}
WSGIScriptAlias /daemon "{stage}/docs/handlers/answer.wsgi" process-group=far application-group=%{GLOBAL}
WSGISocketPrefix "{root}/run/wsgi"
FcgidIPCDir "{root}/tmp"
FcgidProcessTableFile "{root}/tmp/fcgid"
FcgidInitialEnv ORIGIN_STAGE "{stage}"
FcgidIOTimeout 60
Alias /fcgid "{stage}/docs/handlers/fcgid.cgi"
<Location /fcgid>
    SetHandler fcgid-script
    Options +ExecCGI
</Location>
ProxyPass /uwsgi unix:{stage}/uwsgi.sock|uwsgi://uwsgi/
ProxyPass /nowsgi unix:{stage}/nobody.sock|uwsgi://nobody/
Alias /asis "{stage}/docs/handlers/answer.asis"
<Location /asis>
    SetHandler send-as-is
</Location>
<Location /status>
    SetHandler server-status
</Location>
""".replace("{uid}", str(pwd.getpwnam(env.USER).pw_uid))

LUA = """
function note(r)
    local out = io.open(r.subprocess_env["ORIGIN_STAGE"] .. "/ledger", "a")
    out:write('{"path": "/lua"}\\n') out:close()
end
function handle(r)
    note(r)
    local how = r.args or ""
    if how == "returns" then return 409 end
    if how == "late" then return 429 end
    if how == "fails" then return 503 end
    r.status = 201
    r.content_type = "text/plain"
    r:puts("said in lua\\n")
    if how == "done" then return apache2.DONE end
    if how == "dies" then error("half-way") end
    return apache2.OK
end
"""
WSGI = """
import os
def application(environ, start_response):
    stage = environ.get("ORIGIN_STAGE") or %r
    with open(stage + "/ledger", "a") as ledger:
        ledger.write('{"path": "/wsgi"}\\n')
    how = environ.get("QUERY_STRING", "")
    # uwsgi closes on what nobody read, and a proxy that still sends takes that for a failure
    environ["wsgi.input"].read()
    length = [("Content-Length", "40")] if how == "short" else []
    start_response("503 Not Now" if how == "late" else "201 Made", [("Content-Type", "text/plain")] + length)
    if how == "dies":
        def pieces():
            yield b"HALF"
            raise RuntimeError("half-way")
        return pieces()
    return [b"said in wsgi\\n"]
"""
FCGID = """#!/usr/bin/python3 -ES
import os, socket, struct, sys
stage = os.environ["ORIGIN_STAGE"]
listener = socket.socket(fileno=os.dup(0))
def record(kind, data):
    return struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data
while True:
    conn = listener.accept()[0]
    stream, kind, length, params = conn.makefile("rb"), None, None, b""
    while (kind, length) != (5, 0):
        head = stream.read(8)
        if len(head) < 8:
            break
        _, kind, _, length, padding = struct.unpack(">BBHHBx", head)
        data = stream.read(length + padding)
        params += data if kind == 4 else b""
    with open(stage + "/ledger", "a") as ledger:
        ledger.write('{"path": "/fcgid"}\\n')
    head = b"Status: 201\\r\\nContent-Type: text/plain\\r\\n\\r\\n"
    if b"dies=early" in params:
        os._exit(1)
    conn.sendall(record(6, head + b"said in fcgid\\n"))
    if b"dies=half" in params:
        os._exit(1)
    conn.sendall(record(6, b"") + record(3, bytes(8)))
    stream.close(); conn.close()
"""


@pytest.fixture(scope="module", autouse=True)
def applications(stage):
    folder = stage.root / "docs/handlers"
    (folder / "perl").mkdir(parents=True)
    (stage.root / "docs/dav").mkdir()
    for name in ("dav", "handlers"):
        (stage.root / "docs" / name).chmod(0o777)
    (folder / "answer.lua").write_text(LUA)
    (folder / "answer.wsgi").write_text(WSGI % str(stage.root))
    (folder / "fcgid.cgi").write_text(FCGID)
    (folder / "fcgid.cgi").chmod(0o755)
    (folder / "answer.asis").write_text("Status: 201 Made\nContent-Type: text/plain\n\nsaid as is\n")
    subprocess.run(["svnadmin", "create", stage.root / "docs/svn"], check=True)
    subprocess.run(["chmod", "-R", "a+rwX", stage.root / "docs/svn"], check=True)
    (stage.root / "ledger").chmod(0o666)
    sock = stage.root / "uwsgi.sock"
    user = ["--uid", env.USER, "--gid", env.USER] if env.ROOT else []
    uwsgi = subprocess.Popen([
        env.program("uwsgi-core", "uwsgi"), "--plugin", "python3", "--socket", sock, "--chmod-socket=666",
        "--wsgi-file", folder / "answer.wsgi", "--die-on-term"
    ],
                             stdin=subprocess.DEVNULL,
                             stdout=open(stage.root / "uwsgi.log", "wb"),
                             stderr=subprocess.STDOUT,
                             preexec_fn=env.end_with_parent)
    with socket.socket(socket.AF_UNIX) as probe:
        env.until(lambda: probe.connect_ex(str(sock)) == 0, "uwsgi listens", 30)
    env.until(lambda: sock.stat().st_mode & 0o002, "everybody may connect", 30)
    yield
    uwsgi.terminate()
    uwsgi.wait(env.CLIENT_TIMEOUT)


def assert_replayed(api, first, method, path, **request):
    again = api.request(method, path, key="k1", **request)
    assert again.replayed and again.recorded == first.recorded
    return first


def run(api, method, path, **request):
    """One request and its retry."""
    first = api.request(method, path, key="k1", **request)
    assert not first.replayed
    return assert_replayed(api, first, method, path, **request)


def folder_of(stage, host):
    folder = stage.root / "docs/dav" / host
    folder.mkdir()
    folder.chmod(0o777)
    return folder


# ---- mod_dav: DONE, or a status, or a multi-status ------------------------------------------------------------------

def test_dav_put_and_delete(api, stage, host):
    folder = folder_of(stage, host)
    assert run(api, "PUT", f"/dav/{host}/a", body=b"one").status == 201
    assert (folder / "a").read_bytes() == b"one"
    (folder / "a").write_bytes(b"changed since")
    assert api.request("PUT", f"/dav/{host}/a", key="k1", body=b"one").replayed
    assert (folder / "a").read_bytes() == b"changed since"


def test_dav_delete(api, stage, host):
    folder = folder_of(stage, host)
    (folder / "a").write_bytes(b"one")
    assert run(api, "DELETE", f"/dav/{host}/a").status == 204
    assert not (folder / "a").exists()


def test_dav_mkcol(api, stage, host):
    folder = folder_of(stage, host)
    assert run(api, "MKCOL",
               f"/dav/{host}/new/").status == 201  # without the slash mod_dir redirects who asks for it again
    assert (folder / "new").is_dir()


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_dav_copy_and_move(api, stage, host, method):
    folder = folder_of(stage, host)
    (folder / "a").write_bytes(b"one")
    (folder / "a").chmod(0o666)
    target = [("Destination", f"http://{host}/dav/{host}/b")]
    assert run(api, method, f"/dav/{host}/a", headers=target).status == 201
    assert (folder / "b").read_bytes() == b"one" and (folder / "a").exists() == (method == "COPY")


def test_dav_lock_and_unlock(api, stage, host):
    folder_of(stage, host)
    order = (b'<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
             b'<D:locktype><D:write/></D:locktype></D:lockinfo>')
    lock = run(api, "LOCK", f"/dav/{host}/a", body=order)
    assert lock.status in (200, 201) and b"activelock" in lock.body
    first = api.request("UNLOCK", f"/dav/{host}/a", key="k2", headers=[("Lock-Token", lock["Lock-Token"])])
    again = api.request("UNLOCK", f"/dav/{host}/a", key="k2", headers=[("Lock-Token", lock["Lock-Token"])])
    assert first.status == 204 and not first.replayed and again.replayed


@pytest.mark.parametrize("method, path, status", [("MKCOL", "/no/such/", 409), ("MKCOL", "/", 405),
                                                  ("DELETE", "/none", 404)])
def test_dav_refuses(api, stage, host, method, path, status):
    """A client error that it returned is its answer."""
    folder_of(stage, host)
    assert run(api, method, f"/dav/{host}{path}").status == status


def test_dav_precondition_and_lock_refuse(api, stage, host):
    folder = folder_of(stage, host)
    (folder / "a").write_bytes(b"one")
    target = [("Destination", f"http://{host}/dav/{host}/a"), ("Overwrite", "F")]
    assert run(api, "COPY", f"/dav/{host}/a", headers=target).status in (403, 412)
    order = (b'<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
             b'<D:locktype><D:write/></D:locktype></D:lockinfo>')
    assert api.request("LOCK", f"/dav/{host}/b", key="k2", body=order).status in (200, 201)
    first, again = (api.request("PUT", f"/dav/{host}/b", key="k3", body=b"two") for _ in range(2))
    assert first.status == 423 and not first.replayed and again.replayed


def test_dav_multistatus(api, stage, host):
    folder_of(stage, host)
    change = (
        b'<?xml version="1.0"?><D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="urn:x">1</x></D:prop></D:set>'
        b'</D:propertyupdate>')
    answer = run(api, "PROPPATCH", f"/dav/{host}/", body=change)
    assert answer.status == 207 and answer.body.rstrip().endswith(b"</D:multistatus>")


def test_svn_commit(httpd, stage, host, tmp_path):
    """A client that gives each request of a commit a key of its own would be told a lie by a single 502."""
    address = "http://%s:%d/svn" % httpd.address
    svn = ["svn", "--non-interactive", "--no-auth-cache", "--config-dir", tmp_path / "conf"]
    subprocess.run([*svn, "mkdir", "-q", "-m", "x", f"{address}/{host}"], check=True, timeout=env.CLIENT_TIMEOUT)
    subprocess.run([*svn, "checkout", "-q", f"{address}/{host}", tmp_path / "wc"],
                   check=True,
                   timeout=env.CLIENT_TIMEOUT)


def test_svn_activity(api, host):
    """The steps of a commit, each with a key: mod_dav_svn answers through mod_dav."""
    made = api.request("POST",
                       "/svn/!svn/me",
                       key="k1",
                       body=b"( create-txn )",
                       headers=[("Content-Type", "application/vnd.svn-skel")])
    assert made.status == 201 and not made.replayed
    assert_replayed(api,
                    made,
                    "POST",
                    "/svn/!svn/me",
                    body=b"( create-txn )",
                    headers=[("Content-Type", "application/vnd.svn-skel")])
    name = made["SVN-Txn-Name"]
    folder = api.request("MKCOL", f"/svn/!svn/txr/{name}/{host}", key="k2")
    assert folder.status == 201 and api.request("MKCOL", f"/svn/!svn/txr/{name}/{host}", key="k2").replayed
    merge = (
        b'<?xml version="1.0" encoding="utf-8"?><D:merge '
        b'xmlns:D="DAV:"><D:source><D:href>/svn/!svn/txn/%s</D:href></D:source>'
        b'<D:no-auto-merge/><D:no-checkout/></D:merge>' % name.encode())
    done = api.request("MERGE", "/svn", key="k3", body=merge, headers=[("Content-Type", "text/xml")])
    assert done.status == 200 and b"merge-response" in done.body
    assert api.request("MERGE", "/svn", key="k3", body=merge, headers=[("Content-Type", "text/xml")]).replayed


# ---- interpreters ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, text", [("/lua", "said in lua\n"), ("/lua?done", "said in lua\n"),
                                        ("/perl/ok", "said in perl\n"), ("/perl/done", "said in perl\n"),
                                        ("/wsgi", "said in wsgi\n"), ("/daemon", "said in wsgi\n"),
                                        ("/fcgid", "said in fcgid\n"), ("/uwsgi", "said in wsgi\n")])
def test_application_answers(api, origin, path, text):
    answer = run(api, "POST", path, body=b"1")
    assert (answer.status, answer.body) == (201, text.encode())
    assert origin.executions() == 1


@pytest.mark.parametrize("path", ["/lua?returns", "/perl/conflict"])
def test_application_returns_a_client_error(api, origin, path):
    assert run(api, "POST", path, body=b"1").status == 409
    assert origin.executions() == 1


@pytest.mark.parametrize("path, status", [("/lua?late", 429), ("/perl/late", 429), ("/wsgi?late", 503),
                                          ("/daemon?late", 503), ("/uwsgi?late", 503)])
def test_application_says_not_now(api, origin, path, status):
    answers = [api.post(path, key="k1", body=b"1") for _ in range(2)]
    assert [answer.problem for answer in answers] == [(status, None)] * 2 and not answers[1].replayed
    assert origin.executions() == 2


@pytest.mark.parametrize("path", ["/lua?fails", "/perl/fails", "/fcgid?dies=early"])
def test_application_returns_a_server_error(api, origin, path):
    """It may as well be httpd's word about a failure: nobody can tell."""
    first = api.post(path, key="k1", body=b"1")
    assert first.status in (500, 503) and not first.replayed
    assert api.post(path, key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert origin.executions() == 1


@pytest.mark.parametrize("path", ["/fcgid?dies=half", "/wsgi?short", "/uwsgi?short", "/wsgi?dies"])
def test_application_breaks_off(api, origin, path):
    first = api.post(path, key="k1", body=b"1")
    assert first.status >= 500 and b"said in" not in first.body and b"HALF" not in first.body
    assert api.post(path, key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert origin.executions() == 1


@pytest.mark.parametrize("path, text", [("/lua?dies", b"Error!"), ("/daemon?dies", b"HALF")])
def test_application_breaks_off_and_its_handler_says_nothing(api, origin, path, text):
    """mod_lua writes its error into the answer; the daemon of mod_wsgi ends it like any other: nobody can tell."""
    assert text in run(api, "POST", path, body=b"1").body
    assert origin.executions() == 1


def test_application_breaks_off_in_an_answer_that_flows(api, origin):
    """mod_wsgi marks the end of a chunked answer as sent, so that its client sees none."""
    with api.post_async("/stream/wsgi?dies", key="k1", body=b"1") as conn:
        raw = http.client.HTTPResponse(conn.sock, method="POST")
        raw.begin()
        with pytest.raises(http.client.IncompleteRead) as broken:
            raw.read()
    assert broken.value.partial == b"HALF"
    assert api.post("/stream/wsgi?dies", key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert origin.executions() == 1


def test_uwsgi_that_cannot_be_reached(api, httpd):
    answers = [api.post("/nowsgi/pay", key="k1", body=b"1") for _ in range(2)]
    assert [answer.problem for answer in answers] == [(503, None)] * 2
    assert [row[2:4] for row in httpd.outcomes(api, 2)] == [["executed", "released"]] * 2


# ---- httpd's own ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, status", [("/asis", 200), ("/status", 404), ("/none", 404), ("/dav/", 404)])
def test_handler_of_httpds(api, path, status):
    """Those that know GET only pass a POST on; the default handler takes what is left."""
    assert run(api, "POST", path, body=b"1").status == status


def test_as_is_behind_a_redirect(api, origin):
    """A script's local redirect makes it a GET: there they answer."""
    answer = run(api, "POST", "/cgi/pay?status=0&header=Location:+/asis", body=b"1")
    assert (answer.status, answer.body) == (201, b"said as is\n")
    assert origin.executions("/pay") == 1
