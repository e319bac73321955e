# SPDX-License-Identifier: Apache-2.0
"""SetHandler idempotency-admin: its answers are as it describes them; who may not is told what to configure."""
import json
import re

import jsonschema
import pytest

import admins
import env
from checks import basic, kill_while_it_runs
from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = admins.BODIES + admins.DOORS + """
<Location "/admin/strange">
    Require ip 10.0.0.1
    Require method GET
</Location>
<Location "/cgi/again">
    IdempotencyInterrupted retry
</Location>
"""


class Admin:
    """A client of the API as a user, or as nobody."""

    def __init__(self, address, host, user="alice", place="/admin/staff"):
        self.api = Api(address, host, place, [basic(user)] if user else [])
        self.description = None

    def get(self, path, *headers):
        return self.api.get("/v1/" + path, headers=list(headers))

    def token(self):
        return self.get("token").json["token"]

    def post(self, path, body, *headers, token=True):
        given = [("Idempotency-Admin-Token", self.token())] if token is True else \
            [("Idempotency-Admin-Token", token)] if token else []
        return self.api.post("/v1/" + path, json=body, headers=[*headers, *given])

    def delete(self, path, *headers, token=True):
        given = [("Idempotency-Admin-Token", self.token())] if token is True else []
        return self.api.request("DELETE", "/v1/" + path, headers=[*headers, *given])

    def find(self, key, host):
        return self.post("find", {"key": key, "scope": {"host": host}}, token=False)


def problem(answer):
    assert answer["Content-Type"] == "application/problem+json" and answer["Cache-Control"] == "no-store"
    told = answer.json
    assert told["status"] == answer.status and told["detail"]
    return answer.status, told["type"].rsplit(":", 1)[1]


@pytest.fixture
def admin(httpd, host):
    return Admin(httpd.address, host)


@pytest.fixture
def as_user(httpd, host):
    return lambda user, place="/admin/staff": Admin(httpd.address, host, user, place)


@pytest.fixture
def described(admin):
    """Checks an answer against the description that is served beside it."""
    document = admin.get("openapi.json").json
    resolver = jsonschema.RefResolver.from_schema(document)

    def check(method, path, answer):
        responses = document["paths"]["/v1/" + path][method]["responses"]
        if answer.status != 200:
            schema = document["components"]["responses"]["problem"]["content"]["application/problem+json"]["schema"]
        else:
            schema = responses["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(schema, resolver=resolver).validate(answer.json)
        return answer.json
    return check


@pytest.fixture
def record(api):
    return api.post("/pay?status=207", key="k1", body=b"1")


@pytest.fixture
def unknown(httpd, api, admin, origin):
    """The slot of a key whose child was killed."""
    kill_while_it_runs(httpd, api, origin)
    return admin.find("k1", api.host).json["slot"]


# ---- what it answers ----------------------------------------------------------------------------------------------

def test_every_answer_is_as_described(admin, api, record, described):
    slot = described("post", "find", admin.find("k1", api.host))["slot"]
    assert set(described("get", "", admin.get(""))["paths"]) >= {"entries", "find", "sweep", "stats", "token"}
    entry = described("get", "entries/{slot}", admin.get(f"entries/{slot}?body=1"))
    assert (entry["state"], entry["response"]["status"]) == ("record", 207)
    assert entry["response"]["body"] == {"encoding": "utf-8", "data": record.body.decode()}
    listed = described("get", "entries", admin.get("entries?limit=1000"))
    assert slot in [one["slot"] for one in listed["entries"]] and listed["next"] is None
    stats = env.until(lambda: (said := described("get", "stats", admin.get("stats")))
                      ["counted"]["outcomes"]["executed"] >= 1 and said, "a request is counted, after its answer")
    assert stats["entries"]["states"]["record"]["entries"] >= 1
    minutes = env.until(lambda: (said := described("get", "history", admin.get("history"))["minutes"])
                        and sum(m["outcomes"].get("executed", 0) for m in said) >= 1 and said, "and in its minute")
    assert len(minutes) == 180
    described("get", "token", admin.get("token"))
    assert described("post", "sweep", admin.post("sweep", {"most": 10})) == {"removed": 0}
    described("get", "entries/{slot}", admin.get("entries/" + "0" * 64))
    changed = described("delete", "entries/{slot}", admin.delete(f"entries/{slot}?dry_run=1"))
    assert changed["dry_run"] and changed["before"]["slot"] == slot


def test_parts_of_the_fingerprint_are_named(new_httpd, host, described, expect_log):
    """By the list of a section too, and after a change of the configuration only by their number."""
    own = '<Location "/cgi/own">\nIdempotencyFingerprint method "expr=<b>%{HTTP_HOST}" body\n</Location>\n'
    server = new_httpd(admins.DOORS + own, "lmdb").start()
    api, admin = Api(server.address, host), Admin(server.address, host)

    def print_of(key):
        return described("post", "find", admin.find(key, host))["entry"]["fingerprint"]
    api.post("/pay", key="k1", body=b"1")
    api.post("/own/pay", key="k2", body=b"1")
    first, second = print_of("k1"), print_of("k2")
    assert len(first["names"]) == first["parts"] == 7 and {"method", "path", "body"} < set(first["names"])
    assert (second["names"], second["note"]) == (["method", "expr=<b>%{HTTP_HOST}", "body"], None)
    slot = admin.find("k2", host).json["slot"]
    assert described("get", "entries/{slot}", admin.get(f"entries/{slot}"))["fingerprint"] == second
    shown = admin.api.get(f"/?slot={slot}", headers=[("Accept", "text/html")])
    assert b"parts: method, expr=&lt;b&gt;%{HTTP_HOST}, body" in shown.body, shown.body
    server.stop()
    expect_log(62)  # said again at the second start: a store in /tmp
    server.config = server.config.replace(own, "")
    server.start()
    assert print_of("k1") == first
    lost = print_of("k2")
    assert (lost["names"], lost["note"]) == (None, "3 parts, of a list that this server does not have")


def test_events_come_in_their_order(admin, api, described):
    before = described("get", "events", admin.get("events"))["last"]

    def news():
        return described("get", "events", admin.get(f"events?after={before}"))["events"]
    api.post("/pay", key="k1", body=b"1")
    env.until(news, "the first event: a request tells its own when it has answered")
    api.post("/pay", key="k1", body=b"1")
    events = env.until(lambda: len(news()) == 2 and news(), "two events")
    done = [(event["outcome"], event["settlement"]) for event in events]
    assert done == [("executed", "recorded"), ("replayed", None)]
    assert {event["slot"] for event in events} == {admin.find("k1", api.host).json["slot"]}


def test_request_that_ended_undecided_is_told_apart(admin, api, described):
    before = admin.get("events").json["last"]
    conn = api.connect()
    conn.send(api.head("POST", "/pay", ['Idempotency-Key: "k1"', "Content-Length: 9"]) + b"123")
    conn.reset()

    def news():
        return described("get", "events", admin.get(f"events?after={before}"))["events"]
    event, = env.until(news, "an event")
    assert (event["outcome"], event["settlement"]) == ("undecided", None)
    assert sum(m["outcomes"].get("undecided", 0) for m in admin.get("history").json["minutes"]) >= 1


def test_list_goes_on_where_it_stopped(admin, api):
    for i in range(7):
        api.post("/pay", key=f"k{i}", body=b"1")
    whole = [one["slot"] for one in admin.get("entries?limit=1000").json["entries"]]
    seen, cursor = [], ""
    while cursor is not None:
        part = admin.get(f"entries?limit=3&cursor={cursor}").json
        assert len(part["entries"]) <= 3
        seen += [one["slot"] for one in part["entries"]]
        cursor = part["next"]
    assert seen == whole == sorted(whole)
    assert [one["slot"] for one in admin.get(f"entries?prefix={whole[2][:10]}").json["entries"]] == [whole[2]]
    assert admin.get("entries?state=damaged").json["entries"] == admin.get("entries?older=3600").json["entries"] == []
    for wrong in ("state=gone", "limit=0", "limit=x", "prefix=xyz", "older=-1", "cursor=nowhere", "cursor=" + "0" * 99,
                  "a=%zz"):
        assert problem(admin.get("entries?" + wrong))[0] in (400, 503), wrong


def test_unknown_outcome_is_resolved_and_logged(admin, api, httpd, unknown, origin):
    shown = admin.get(f"entries/{unknown}").json
    assert (shown["state"], shown["cause"]) == ("unknown", "owner-died")
    assert unknown in [one["slot"] for one in admin.get("entries?state=unknown").json["entries"]]
    assert problem(admin.post(f"entries/{unknown}/resolve", {"as": "maybe"})) == (400, "invalid")
    foreseen = admin.post(f"entries/{unknown}/resolve", {"as": "retry", "dry_run": True})
    assert foreseen.json["dry_run"] and admin.get(f"entries/{unknown}").json == shown
    done = admin.post(f"entries/{unknown}/resolve", {"as": "retry", "version": shown["version"]})
    assert done.json["done"] == "resolved as retry"
    late = admin.post(f"entries/{unknown}/resolve", {"as": "done", "version": shown["version"]})
    assert problem(late) == (409, "entry-changed")
    assert api.post("/pay", key="k1", body=b"1").problem == (201, None) and origin.executions("/pay") == 2
    assert problem(admin.post(f"entries/{unknown}/resolve", {"as": "done"})) == (409, "not-unknown")
    line, = [line for line in httpd.log.lines() if "IDEM201" in line]
    assert f"user alice, from 127.0.0.1: the unknown outcome of slot {unknown} was resolved as retry" in line


def test_forget_is_logged(admin, api, httpd, origin):
    api.post("/pay?status=207", key="k1", body=b"1")
    slot = admin.find("k1", api.host).json["slot"]
    assert admin.delete(f"entries/{slot}").json["before"]["state"] == "record"
    assert problem(admin.get(f"entries/{slot}")) == (404, "no-such-entry")
    assert api.post("/pay?status=207", key="k1", body=b"1").status == 207 and origin.executions("/pay") == 2
    assert any("IDEM200" in line and "user alice" in line and slot in line for line in httpd.log.lines())
    admin.post("sweep", {})
    assert any("IDEM202" in line and "user alice" in line for line in httpd.log.lines())


def test_owner_that_lives_is_not_disturbed(admin, api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        slot = admin.find("k1", api.host).json["slot"]
        assert problem(admin.delete(f"entries/{slot}")) == (409, "owner-alive")
        assert problem(admin.post(f"entries/{slot}/resolve", {"as": "done"})) == (409, "owner-alive")
    with first:
        assert first.result().status == 201


# ---- who may --------------------------------------------------------------------------------------------------------

def test_nobody_is_told_what_to_configure(as_user):
    for answer in (as_user(None, "/admin/open").get("entries"), as_user(None, "/admin/open").get("nonsense"),
                   as_user(None, "/admin/open").api.get("/")):
        assert problem(answer) == (403, "forbidden") and "configure Require" in answer.json["detail"]
    assert as_user(None).get("entries").status == 401


def test_who_stands_behind_an_access_control_may_read_only(as_user):
    local = as_user(None, "/admin/local")
    assert local.get("entries").status == local.find("k1", "x").status == 200
    for answer in (local.post("sweep", {}), local.delete("entries/" + "0" * 64)):
        assert problem(answer) == (403, "forbidden") and "Require valid-user" in answer.json["detail"]


def test_export_is_for_users(as_user, admin, record):
    lines = [json.loads(line) for line in admin.get("export").body.splitlines()]
    assert lines[0]["format"] == "mod_idempotency export" and lines[-1]["end"] and len(lines) >= 3
    assert admin.get("export?state=running").body.count(b"\n") == 2
    assert problem(admin.get("export?state=odd")) == (400, "invalid")
    assert problem(as_user(None, "/admin/local").get("export")) == (403, "forbidden")
    assert problem(admin.get("export", ("Sec-Fetch-Site", "cross-site"))) == (403, "foreign-page")
    head = admin.api.request("HEAD", "/v1/export")
    assert head.status == 200 and head["Content-Type"] == "application/x-ndjson"


def test_control_that_lets_strangers_in_is_none(as_user, httpd):
    assert problem(as_user(None, "/admin/strange").get("entries")) == (403, "forbidden")
    assert [line for line in httpd.log.lines() if "AH01630" in line] == []  # nobody was turned away


def test_page_of_another_origin_cannot_act(admin, api, record):
    slot = admin.find("k1", api.host).json["slot"]
    for headers in ([("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")], [("Origin", "null")],
                    [("Origin", "https://evil.test")], [("Origin", f"http://{api.host}.evil.test")]):
        assert problem(admin.delete(f"entries/{slot}", *headers)) == (403, "foreign-page")
        assert problem(admin.post("sweep", {}, *headers)) == (403, "foreign-page")
    own = [("Origin", f"http://{api.host}"), ("Sec-Fetch-Site", "same-origin")]
    assert admin.delete(f"entries/{slot}?dry_run=1", *own).status == 200


def test_token_is_of_this_user_and_host(admin, as_user, httpd, api):
    bob, elsewhere = as_user("bob"), Admin(httpd.address, "elsewhere.test")
    for token in (bob.token(), elsewhere.token(), "", "0.00", admin.token()[:-1] + "x", "1" + admin.token()):
        assert problem(admin.post("sweep", {}, token=token or None)) == (403, "token")
    assert admin.post("sweep", {}, token=admin.token()).status == 200


def test_only_json_and_the_right_method(admin, api, record):
    slot = admin.find("k1", api.host).json["slot"]
    form = ("Content-Type", "application/x-www-form-urlencoded")
    token = ("Idempotency-Admin-Token", admin.token())
    assert problem(admin.api.post("/v1/sweep", body=b"most=1", headers=[form, token])) == (415, "media-type")
    plain = ("Content-Type", "text/plain")
    assert problem(admin.api.post("/v1/sweep", body=b"{}", headers=[plain, token])) == (415, "media-type")
    for body in (b"", b"[]", b"{", b'{"most": 0}', b'{"most": 1, "most": 2}', b'"' + b"x" * 70000 + b'"'):
        answer = admin.api.post("/v1/sweep", body=body, headers=[("Content-Type", "application/json"), token])
        assert problem(answer)[0] in (400, 413)
    for method, path, allow in (("POST", f"entries/{slot}", "GET, DELETE"), ("GET", f"entries/{slot}/resolve", "POST"),
                                ("PUT", "entries", "GET"), ("GET", "sweep", "POST")):
        answer = admin.api.request(method, "/v1/" + path, body=b"", headers=[token])
        assert problem(answer) == (405, "method") and answer["Allow"] == allow
    for path in ("entries/", f"entries/{slot}/", f"entries/{slot}/gone", "nothing", "entries/xyz"):
        assert problem(admin.get(path))[0] == 404


def test_markup_is_inert(admin, api):
    evil = '<script>alert(1)</script>\\"'
    answer = admin.find(evil, "<b>host</b>")
    assert answer["Content-Type"] in ("application/json", "application/problem+json")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    shown = admin.find("<i>k</i>", "<b>host</b>")
    assert shown.json["scope"][0]["value"] == "<b>host</b>" and shown["X-Content-Type-Options"] == "nosniff"
    gone = admin.get("%3Cscript%3Ealert(1)%3C/script%3E")
    assert problem(gone) == (404, "no-such-path") and b"<script>" not in gone.body
    shown = admin.api.post("/v1/find", json={"key": "k", "parts": "<i>"}, headers=[])
    assert problem(shown) == (400, "invalid")


# ---- .htaccess ------------------------------------------------------------------------------------------------------

@pytest.fixture
def folder(new_httpd, host):
    """A tenant's folder with an .htaccess file: (its path, a client of what is in it)."""
    server = new_httpd("""
<Directory "{root}/tenant">
    AllowOverride All
    Require all granted
    AddHandler idempotency-metrics .metrics
    AddHandler idempotency-admin .operators
    AddHandler type-map .var
    AddHandler cgi-script .cgi
    Options +ExecCGI +MultiViews +FollowSymLinks
    AcceptPathInfo On
</Directory>
Alias "/tenant" "{root}/tenant"
<Location "/tenant/operators">
    SetHandler idempotency-admin
    Require ip 127.0.0.1
</Location>
<Location "/tenant/numbers">
    SetHandler idempotency-metrics
</Location>
<Location "/tenant/all.operators">
    Require ip 127.0.0.1
</Location>
""", modules=["negotiation"])
    tenant = server.root / "tenant"
    tenant.mkdir()
    for name in ("page.html", "all.metrics", "all.operators"):
        (tenant / name).write_text("a page")
    server.start()
    return tenant, Api(server.address, host, "/tenant", [basic("alice")])


@pytest.mark.parametrize("line", [
    "SetHandler {name}", '<Files "page.html">\nSetHandler {name}\n</Files>', '<If "true">\nSetHandler {name}\n</If>',
    'SetHandler "expr=%{tolower:{name}}"', "AddHandler {name} .html", "ForceType {name}",
    "RewriteEngine On\nRewriteRule page - [H={name}]"])
def test_htaccess_names_neither_handler(folder, line):
    tenant, api = folder
    for name, path in (("idempotency-admin", "/page.html/v1/entries"), ("idempotency-metrics", "/page.html")):
        text = line.replace("{name}", name)
        (tenant / ".htaccess").write_text(f"AcceptPathInfo On\n{text}\nRequire all granted\n")
        answer = api.get(path)
        inert = "expr" in line and answer.body == b"a page"  # httpd asks such an expression of the server's only
        assert inert or (answer.status == 403 and b"SetHandler" in answer.body), (name, answer)


def test_htaccess_that_only_rewrites_is_in_nobodys_way(folder):
    tenant, api = folder
    assert api.get("/operators/v1/entries").status == 200
    (tenant / ".htaccess").write_text("RewriteEngine On\nRewriteRule ^nothing$ /else [L]\nHeader set X-Tenant t\n"
                                      '<Files "*.php">\nSetHandler none\n</Files>\n')
    assert api.get("/operators/v1/entries").status == 200
    assert b"idempotency_requests" in api.get("/numbers").body


def test_handler_that_the_server_named_by_a_file_name(folder):
    """AddHandler of the server: answered as long as no .htaccess file on the way has what could name a handler."""
    tenant, api = folder
    assert b"idempotency_requests" in api.get("/all.metrics").body
    (tenant / ".htaccess").write_text("Header set X-Tenant t\nRequire all granted\nOptions -Indexes\n"
                                      '<Files "*.metrics">\nHeader set X-File f\n</Files>\n')
    answer = api.get("/all.metrics")
    assert b"idempotency_requests" in answer.body and (answer["X-Tenant"], answer["X-File"]) == ("t", "f")
    (tenant / ".htaccess").write_text("Header set X-Tenant t\nOptions -Indexes\n")
    assert api.get("/all.operators/v1/entries").status == 200


@pytest.mark.parametrize("line", [
    "AddHandler {name} .metrics .operators", "AddType {name} .metrics .operators", "RemoveHandler .php",
    "ForceType {name}", "ForceType none", "RewriteEngine On\nRewriteRule page - [H={name}]", "SetHandler none",
    "RewriteEngine On\nRewriteRule page - [T={name}]", "Action {name} /elsewhere", "AddLanguage de .de",
    '<Files "all.*">\nForceType {name}\n</Files>', '<If "true">\n<Files "*">\nAddType {name} .x\n</Files>\n</If>',
    '<If "false">\nOptions None\n</If>\n<Else>\nSetHandler "expr={name}"\n</Else>'])
def test_htaccess_that_could_have_named_the_handler_counts_as_if_it_had(folder, line):
    tenant, api = folder
    for name, path in (("idempotency-metrics", "/all.metrics"), ("idempotency-admin", "/all.operators/v1/entries")):
        (tenant / ".htaccess").write_text(line.replace("{name}", name) + "\n")
        answer = api.get(path)
        assert b"idempotency_requests" not in answer.body and b"entries\":" not in answer.body, (name, answer)
        inert = "expr" in line and answer.body == b"a page"  # httpd asks such an expression of the server's only
        assert inert or answer.status == 403, (name, answer)


def test_other_words_of_a_tenant_name_neither_handler(folder):
    """The type in a type map, and that of a script which redirects to a place without a handler of its own."""
    tenant, api = folder
    (tenant / "plain").write_text("plain")
    for name in ("idempotency-metrics", "idempotency-admin"):
        (tenant / "map.var").write_text(f"URI: map\n\nURI: plain\nContent-Type: {name}\n")
        assert api.get("/map.var").body == b"plain"
        script = tenant / "script.cgi"
        script.write_text(f"#!/bin/sh\nprintf 'Content-Type: {name}\\nLocation: /tenant/plain\\n\\n'\n")
        script.chmod(0o755)
        answer = api.get("/script.cgi")
        assert answer.status == 403 or answer.body == b"plain", answer  # httpd before 2.4.60 asks the handler


def test_htaccess_has_no_say_in_who_the_user_is(folder, stage):
    tenant, api = folder
    (tenant / ".htaccess").write_text(f"AuthType Basic\nAuthName mine\nAuthUserFile {stage.root}/passwords\n"
                                      "Require valid-user\n")
    answer = api.get("/operators/v1/entries")
    assert problem(answer) == (403, "forbidden") and "user's authentication" in answer.json["detail"]


def test_metrics_in_htaccess_where_that_is_allowed(new_httpd, host):
    server = new_httpd("""
IdempotencyMetricsInHtaccess On
<Directory "{root}/tenant">
    AllowOverride All
    Require all granted
</Directory>
Alias "/tenant" "{root}/tenant"
""")
    (server.root / "tenant").mkdir()
    (server.root / "tenant/page.html").write_text("a page")
    (server.root / "tenant/.htaccess").write_text("SetHandler idempotency-metrics\n")
    assert b"idempotency_requests" in Api(server.start().address, host, "/tenant").get("/page.html").body


# ---- bodies ---------------------------------------------------------------------------------------------------------

def test_bodies_are_shown_where_that_is_said_only(new_httpd, host, stage):
    server = new_httpd(admins.DOORS).start()
    api, admin = Api(server.address, host), Admin(server.address, host)
    api.post("/pay", key="k1", body=b"1")
    slot = admin.find("k1", host).json["slot"]
    assert problem(admin.get(f"entries/{slot}?body=1")) == (403, "not-shown")
    shown = admin.get(f"entries/{slot}").json["response"]
    assert set(shown) == {"status", "content_type", "content_encoding", "body_bytes"}
    assert admin.get("stats").json["shows_responses"] is False
    assert problem(admin.get("export")) == (403, "not-shown")


def test_description_names_each_path(admin):
    described = {re.sub(r"{slot}", "*", path).removeprefix("/v1/") for path in admin.get("openapi.json").json["paths"]}
    source = (env.REPO / "src/http/admin/admin.c").read_text()
    assert described == set(re.findall(r'{"\w+", "([^"]*)", \w+, idem_admin_', source))
    assert json.loads((env.REPO / "src/http/admin/openapi.json").read_text()) == admin.get("openapi.json").json
