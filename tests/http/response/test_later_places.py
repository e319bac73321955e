# SPDX-License-Identifier: Apache-2.0
"""A request goes on to other places inside the server: a replay's client must be let in there, too, each time.

The first place is open, and decides. Who may enter a later one is said there; an .htaccess file, put there or changed
after the recording, says it anew. What a later place refuses before anything has acted is no outcome: the key is as
free as before.
"""
import shutil
import sys

import pytest

import env
from checks import basic
from client import Api
from client_http2 import Http2

sys.path.append(str(env.REPO / "tests/store/servers"))
from redis_server import Redis  # noqa: E402 (found by the line above)

MODULES = ["negotiation"] + (["http2"] if env.MPM != "prefork" else [])
STORES = ["lmdb"]
PROTOCOLS = "Protocols h2c http/1.1" if env.MPM != "prefork" else ""
SCRIPTS = "later/closed/order.cgi", "later/index/order.cgi", "later/views/order.cgi.en"
CONFIG = f"""
{PROTOCOLS}
<Directory "{{stage}}/docs/later">
    AllowOverride All
    Options +ExecCGI +FollowSymLinks
    AddHandler cgi-script .cgi
    AddHandler type-map .var
</Directory>
<Directory "{{stage}}/docs/later/rewritten">
    RewriteEngine On
    RewriteRule ^(.*)$ /later/closed/order.cgi/$1 [QSA,L]
</Directory>
<Directory "{{stage}}/docs/later/twice">
    RewriteEngine On
    RewriteRule ^(.*)$ /later/rewritten/$1 [QSA,L]
</Directory>
<Location /later/action>
    Action through /later/closed/order.cgi virtual
    SetHandler through
</Location>
<Location /later/missing>
    ErrorDocument 404 /later/closed/order.cgi?body=sorry
</Location>
<Directory "{{stage}}/docs/later/index">
    DirectoryIndex order.cgi
</Directory>
<Directory "{{stage}}/docs/later/views">
    Options +MultiViews
    MultiviewsMatch Handlers
    AddLanguage en .en
</Directory>
SetEnvIf Request_URI "^/later/closed/" GATE_SAYS=open
SetEnvIf Request_URI "^/(later/rewritten|cgi)" WAS_OPEN=1
"""
POINTS = "/cgi/pay?status=0&body=&header=Location:+/later/closed/order.cgi/second"
WAYS = {
    "rewrite": "/later/rewritten/x",
    "two rewrites": "/later/twice/x",
    "action": "/later/action/x",
    "script": POINTS,
    "error document": "/later/missing/x",
    "index": "/later/index/",
    "views": "/later/views/order",
    "map": "/later/map/order.var",
}
FOLDER = {"index": "index", "views": "views"}
STRANGER, FRIEND = [], [("X-Friend", "yes")]
ONLY_FRIENDS = "Require expr \"%{HTTP:X-Friend} == 'yes'\"\n"
DENIED = "Require all denied\n"


@pytest.fixture(autouse=True, scope="module")
def documents(stage):
    for path in SCRIPTS:
        script = stage.root / "docs" / path
        script.parent.mkdir(parents=True)
        shutil.copy(stage.root / "origins/answer.py", script.parent)
        shutil.copy(stage.root / "origins/origin.cgi", script)
    for folder in ("rewritten", "twice", "missing", "map"):
        (stage.root / "docs/later" / folder).mkdir()
    (stage.root /
     "docs/later/map/order.var").write_text("URI: order\n\nURI: ../closed/order.cgi\nContent-Type: text/html\n\n")
    yield
    shutil.rmtree(stage.root / "docs/later")


@pytest.fixture
def door(stage):
    """Says, from now on, who may enter the place that a way leads to."""
    written = set()

    def say(htaccess, way=None):
        file = stage.root / "docs/later" / FOLDER.get(way, "closed") / ".htaccess"
        file.write_text(htaccess)
        written.add(file)
    yield say
    for file in written:
        file.unlink()


@pytest.fixture
def site(api):
    return api.at("")


@pytest.mark.parametrize("way", WAYS)
def test_stranger_with_somebodys_key(site, origin, door, way):
    door(ONLY_FRIENDS, way)
    first = site.post(WAYS[way], key="k1", headers=FRIEND)
    assert first.status in (201, 404) and b"<" not in first.body
    runs = origin.executions()
    stranger = site.post(WAYS[way], key="k1", headers=STRANGER)
    assert stranger.problem == (403, None) and not stranger.replayed
    assert first.body not in stranger.body
    again = site.post(WAYS[way], key="k1", headers=FRIEND)
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == runs


@pytest.mark.parametrize("way", WAYS)
def test_door_that_was_closed_afterwards(site, origin, door, way):
    door("", way)
    first = site.post(WAYS[way], key="k1")
    runs = origin.executions()
    assert site.post(WAYS[way], key="k1").recorded == first.recorded
    door(DENIED, way)
    assert site.post(WAYS[way], key="k1").problem == (403, None)
    door("", way)
    again = site.post(WAYS[way], key="k1")
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == runs


BY_REALM = """AuthType Basic
AuthName inner
AuthUserFile "{stage}/passwords"
Require user alice
"""


@pytest.mark.parametrize("way", ["rewrite", "two rewrites", "action", "script"])
def test_challenge_of_a_later_place(site, origin, door, stage, way):
    door(BY_REALM.replace("{stage}", str(stage.root)))
    path = WAYS[way]
    open_scope = [basic("alice")]
    first = site.post(path, key="k1", headers=open_scope)
    assert first.status == 201
    runs = origin.executions()
    for headers in ([], [basic("bob")]):
        refused = site.post(path, key="k1", headers=headers)
        assert refused.status in (401, 422) and first.body not in refused.body
    again = site.post(path, key="k1", headers=open_scope)
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == runs


def test_other_user_where_only_the_later_place_tells_them_apart(new_httpd, stage, store, host, origin, door):
    door(BY_REALM.replace("{stage}", str(stage.root)))
    httpd = new_httpd(CONFIG + "IdempotencyFingerprint method path\n", store, MODULES).start()
    site = Api(httpd.address, host, "")
    path = WAYS["rewrite"]
    first = site.post(path, key="k1", headers=[basic("alice")])
    assert first.status == 201
    for headers in ([], [basic("bob")]):
        refused = site.post(path, key="k1", headers=headers)
        assert refused.problem == (401, None) and refused["WWW-Authenticate"] == 'Basic realm="inner"'
    assert site.post(path, key="k1", headers=[basic("alice")]).recorded == first.recorded
    assert origin.executions() == 1


# Some access rules hold only for a request that httpd redirected, or only for the place that was asked. Replays are let
# in as the first request was.
AS_IT_WAS = {
    "redirected": ("rewrite", "Require env REDIRECT_STATUS"),
    "by its variables": ("rewrite", "Require env REDIRECT_WAS_OPEN"),
    "by the place's variables": ("rewrite", "Require env GATE_SAYS"),
    "by variables of the folder": ("rewrite", 'SetEnvIf Request_Method . HERE=1\nRequire env HERE'),
    "not by a variable of the first place": (
        "rewrite", "<RequireAll>\nRequire all granted\nRequire not env WAS_OPEN\n</RequireAll>"),
    "two rewrites": (
        "two rewrites",
        "<RequireAll>\nRequire env REDIRECT_REDIRECT_STATUS\nRequire env REDIRECT_WAS_OPEN\n</RequireAll>"),
    "not asked for by clients": ("action", "Require expr \"-n reqenv('REDIRECT_STATUS') && %{IS_SUBREQ} == 'false'\""),
    "method of the client": ("action", "Require method POST"),
    "method of a script": ("script", "Require method GET"),
    "method of an error page": ("error document", "Require method GET"),
    "status of an error page": ("error document",
                                "Require expr \"%{REQUEST_STATUS} == '404' && reqenv('REDIRECT_STATUS') == '404'\""),
    "query": ("error document", "Require expr \"%{QUERY_STRING} == 'body=sorry'\""),
    "path behind the script": ("rewrite", "Require expr \"%{REQUEST_URI} == '/later/closed/order.cgi/x'\""),
    "body": ("rewrite", "Require expr \"%{HTTP:Content-Length} == '2' && %{SERVER_PROTOCOL} == 'HTTP/1.1'\""),
    "address": ("rewrite", "Require ip 127.0.0.1"),
    "local": ("index", "Require local"),
}


@pytest.mark.parametrize("rule", AS_IT_WAS)
def test_rule_that_lets_the_first_request_in(site, origin, door, rule):
    way, lines = AS_IT_WAS[rule]
    door(lines + "\n", way)
    first = site.post(WAYS[way], key="k1", body=b"22")
    assert first.status in (201, 404) and b"<" not in first.body
    runs = origin.executions()
    again = site.post(WAYS[way], key="k1", body=b"22")
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == runs


def test_who_knows_the_later_place_is_refused_there(site, door):
    """The rule above is no rule that lets everybody in."""
    door("Require env REDIRECT_STATUS\n")
    assert site.post("/later/closed/order.cgi/x", key="k1").problem == (403, None)


def test_file_that_is_found_elsewhere_today(site, origin, stage, door):
    """The retry is led to another file, which is open. The file that made the record is closed by now."""
    folder = stage.root / "docs/later/index"
    first = site.post(WAYS["index"], key="k1")
    door("DirectoryIndex open.txt\n<Files order.cgi>\nRequire all denied\n</Files>\n", "index")
    (folder / "open.txt").write_text("open")
    try:
        assert site.post(WAYS["index"], key="k1").problem == (403, None)
        door("DirectoryIndex open.txt\n", "index")
        again = site.post(WAYS["index"], key="k1")
        assert again.replayed and again.recorded == first.recorded
    finally:
        (folder / "open.txt").unlink()
    assert origin.executions() == 1


@pytest.mark.parametrize("way", ["rewrite", "two rewrites", "action"])
@pytest.mark.parametrize("page", ["", "ErrorDocument 403 /cgi/page?status=403&body=no\n", "ErrorDocument 403 no\n"])
def test_refusal_before_anything_acted_is_no_outcome(site, origin, door, httpd, way, page):
    door(page + ONLY_FRIENDS)
    assert site.post(WAYS[way], key="k1", headers=STRANGER).problem == (403, None)
    assert origin.executions("/x") == 0
    first = site.post(WAYS[way], key="k1", headers=FRIEND)
    assert first.problem == (201, None) and not first.replayed
    assert site.post(WAYS[way], key="k1", headers=FRIEND).recorded == first.recorded
    assert [row[2:4] for row in httpd.outcomes(site, 3)][1:] == [["executed", "recorded"], ["replayed", "-"]]


def test_refusal_after_a_script_acted_is_its_outcome(site, origin, door):
    door(DENIED)
    assert site.post(POINTS, key="k1").status == 403
    door("")
    assert site.post(POINTS, key="k1").status == 403
    assert origin.executions() == 1


def test_loop_of_places(site, origin, stage, door):
    """httpd gives up by itself; so does the list of places."""
    door("RewriteEngine On\nRewriteRule ^ /later/closed/order.cgi/x%{REQUEST_URI}\n")
    answers = [site.post(WAYS["rewrite"], key="k1").status for _ in range(2)]
    assert answers[0] == 500 and answers[1] in (500, 409)
    assert origin.executions() == 0


def test_more_places_than_are_remembered(new_httpd, stage, store, host, origin):
    config = CONFIG + (
        "LimitInternalRecursion 60 60\n<Directory \"{stage}/docs/later/twice\">\nRewriteRule ^n0*$ /cgi/pay [L]\n"
        "RewriteRule ^n(\\d)(\\d*)$ /later/twice/n$2 [L]\n</Directory>\n")
    httpd = new_httpd(config.replace("RewriteRule ^(.*)$ /later/rewritten/$1 [QSA,L]", ""), store, MODULES).start()
    site = Api(httpd.address, host, "")
    assert site.post("/later/twice/n" + "1" * 20, key="k1").status == 201
    assert site.post("/later/twice/n" + "1" * 20, key="k1").replayed
    assert site.post("/later/twice/n" + "1" * 40, key="k2").status == 201
    assert site.post("/later/twice/n" + "1" * 40, key="k2").problem == (409, "response-not-kept")
    assert origin.executions() == 2


@pytest.mark.skipif(not PROTOCOLS, reason="mod_http2 does not work with prefork")
@pytest.mark.parametrize("way", ["rewrite", "action", "index"])
def test_over_http2(httpd, host, origin, door, way):
    door("", way)
    with Http2(httpd.address, host) as client:
        first, again = [client.result(client.start(WAYS[way], "k1", b"1")) for _ in range(2)]
        door(DENIED, way)
        refused = client.result(client.start(WAYS[way], "k1", b"1"))
    assert first.status == 201 and again.replayed and again.recorded == first.recorded
    assert refused.problem == (403, None)
    assert origin.executions() == 1


def test_waiter_whose_door_closed_meanwhile(new_httpd, stage, store, host, origin, door):
    door("")
    httpd = new_httpd(CONFIG + "IdempotencyConcurrent wait\n", store, MODULES).start()
    site = Api(httpd.address, host, "")
    with origin.hold("/later/closed/order.cgi/x") as held, origin.hold("/x") as also:
        first = site.post_async(WAYS["rewrite"], key="k1")
        env.until(lambda: origin.executions() == 1, "the script runs")
        waiting = site.post_async(WAYS["rewrite"], key="k1", headers=STRANGER)
        door(ONLY_FRIENDS)
    assert first.result().status == 201
    assert waiting.result().problem == (403, None)


BESIDE = CONFIG + """
RemoteIPHeader X-Forwarded-For
RequestHeader append X-Early again early
SecRuleEngine On
SecRequestBodyAccess On
SecAuditEngine Off
SecRule ARGS "@contains evil" "id:1,phase:2,deny,status:403"
"""


def test_beside_modules_that_look_at_redirected_requests(new_httpd, stage, store, host, origin, door):
    """The client's address behind a proxy, and a module that keeps what it knows of a request with its first one."""
    httpd = new_httpd(BESIDE, store, MODULES + ["remoteip", "unique_id", "security2"]).start()
    friend, stranger = [
        Api(httpd.address, host, "", [("X-Forwarded-For", address)]) for address in ("192.0.2.1", "192.0.2.2")
    ]
    for number, way in enumerate(["rewrite", "two rewrites", "action", "index"], 1):
        door("Require ip 192.0.2.1\n", way)
        request = {"path": WAYS[way], "key": way, "body": b"a=1"}
        first = friend.post(**request)
        assert first.problem == (201, None)
        with friend.connect() as conn:
            for who, status in ((stranger, 403), (friend, 201), (stranger, 403), (friend, 201)):
                who.post_async(conn=conn, **request)
                again = conn.result()
                assert again.problem == (status, None) and again.replayed == (status == 201)
        assert again.body == first.body
        assert origin.executions() == number


BY_FRIENDSHIP = CONFIG.replace("RewriteRule ^(.*)$ /later/rewritten/$1 [QSA,L]", """
    RewriteCond %{HTTP:X-Friend} yes
    RewriteRule ^(.*)$ /later/closed/order.cgi/$1 [L]
    RewriteRule ^(.*)$ /cgi/$1 [L]""")


def test_owner_that_lost_its_slot_to_somebody_in_another_place(new_httpd, stage, host, origin, door, tmp_path,
                                                               expect_log):
    """It is answered from what stands in the slot now, but not by a record from where it is refused."""
    door(ONLY_FRIENDS)
    with Redis(tmp_path / "redis") as redis:
        httpd = new_httpd(BY_FRIENDSHIP, redis.url(), MODULES).start()
        expect_log(14)
        site = Api(httpd.address, host, "")
        with origin.hold("/x") as held:
            running = site.post_async("/later/twice/x", key="k1", headers=STRANGER)
            held.wait_until_entered()
            held.let_others_pass()
            redis.cli("FLUSHALL")
            winner = site.post("/later/twice/x", key="k1", headers=FRIEND)
        loser = running.last_result()
        assert site.post("/later/twice/x", key="k1", headers=STRANGER).problem == (403, None)
    assert winner.problem == (201, None)
    assert loser.problem == (409, "outcome-unknown") and winner.json["execution"].encode() not in loser.body
    assert origin.executions() == 2
