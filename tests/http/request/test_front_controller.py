# SPDX-License-Identifier: Apache-2.0
"""Rewriting to a front controller, as applications ship it in their .htaccess. The client's request stays one request,
however httpd rewrites it on its way to the script.
"""
import shutil

import pytest

import env
from checks import assert_replayed, parts_named

KINDS = [kind for kind in env.KINDS if kind != "proxy"]
# The rules of these applications' own .htaccess files, {base} and {script} filled in for each kind of origin.
RULES = {
    "wordpress": r"""
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase {base}/
RewriteRule ^index\.{ext}$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . {base}/index.{ext} [L]
""",
    "drupal": r"""
DirectoryIndex index.{ext}
ErrorDocument 404 {base}/index.{ext}
RewriteEngine on
RewriteRule "/\.|^\.(?!well-known/)" - [F]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_URI} !=/favicon.ico
RewriteRule ^ index.{ext} [L]
""",
    "laravel": r"""
RewriteEngine On
RewriteCond %{HTTP:Authorization} .
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_URI} (.+)/$
RewriteRule ^ %1 [L,R=301]
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^ index.{ext} [L]
""",
    "path_info": r"""
IdempotencyRequireKey On
RewriteEngine On
RewriteBase {base}
RewriteCond %{REQUEST_URI} !index\.{ext}
RewriteRule ^(.*)$ index.{ext}/$1 [QSA,L]
""",
}
CONFIG = """
<Directory "{stage}/docs/apps">
    AllowOverride FileInfo Indexes
    Options +ExecCGI +FollowSymLinks
    DirectoryIndex index.cgi index.php
    AddHandler cgi-script .cgi
</Directory>
<Directory "{stage}/docs/apps/fpm">
    <FilesMatch "[.]php$">
        SetHandler "proxy:unix:{stage}/fpm.sock|fcgi://fpm"
    </FilesMatch>
</Directory>
<IfModule php_module>
    <Directory "{stage}/docs/apps/php">
        <FilesMatch "[.]php$">
            SetHandler application/x-httpd-php
        </FilesMatch>
    </Directory>
</IfModule>
<LocationMatch "^/apps/cgi/drupal/(off|unguarded)">
    IdempotencyEngine Off
</LocationMatch>
<Location /apps/cgi/wordpress/index.cgi>
    IdempotencyRequireKey On
</Location>
"""


def install(stage, kind, name):
    folder = stage.root / "docs" / "apps" / kind / name
    (folder / "files").mkdir(parents=True)
    if kind == "cgi":
        shutil.copy(stage.root / "origins" / "answer.py", folder)
        shutil.copy(stage.root / "origins" / "origin.cgi", folder / "index.cgi")
    else:
        shutil.copy(stage.root / "origins" / "origin.php", folder / "index.php")
    rules = RULES[name].replace("{base}", f"/apps/{kind}/{name}").replace("{ext}", "cgi" if kind == "cgi" else "php")
    (folder / ".htaccess").write_text(rules)


@pytest.fixture(autouse=True, scope="module")
def applications(stage):
    for kind in KINDS:
        for name in RULES:
            install(stage, kind, name)
    yield
    shutil.rmtree(stage.root / "docs" / "apps")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.mark.parametrize("path", ["/orders/7", "/orders", "/files/none", ""])
@pytest.mark.parametrize("name", RULES)
def test_one_decision_one_execution(httpd, api, origin, kind, name, path):
    api = api.at(f"/apps/{kind}/{name}")
    path = path or ("/" if name != "path_info" else "/index")
    assert_replayed(api, origin, f"{path}?status=207&size=5000&header=X-Order:+7", body=b"1")
    assert api.post(f"{path}?status=207&size=5000&header=X-Order:+7", key="k1",
                    body=b"2").problem == (422, "key-reused")
    assert len(origin.runs()) == 1
    assert origin.runs()[0]["IDEMPOTENCY_ATTEMPT"] == "1"
    assert sorted(row[1:4] for row in httpd.outcomes(api, 3)) == [
        ["207", "executed", "recorded"], ["207", "replayed", "-"], ["422", "key-reused", "-"]]


@pytest.mark.parametrize("name", RULES)
def test_path_is_the_clients_not_the_front_controllers(api, origin, kind, name):
    api = api.at(f"/apps/{kind}/{name}")
    api.post("/orders/7?a=1", key="k1")
    other = api.post("/orders/8?a=1", key="k1")
    assert other.problem == (422, "key-reused") and parts_named(other) == ["path"]
    other = api.post("/orders/7?a=2", key="k1")
    assert other.problem == (422, "key-reused") and parts_named(other) == ["query"]
    assert len(origin.runs()) == 1


@pytest.mark.parametrize("name", RULES)
def test_application_finds_the_request_unchanged(api, origin, kind, name):
    """The body is read ahead by one request of the chain and handed out by the next; credentials are passed on by the
    rules.
    """
    fields = [("Authorization", "Bearer t0k3n"), ("Content-Type", "application/x-www-form-urlencoded")]
    first, _ = assert_replayed(api.at(f"/apps/{kind}/{name}"),
                               origin,
                               "/orders?echo=1",
                               body=b"text=" + b"x" * 140000,
                               headers=fields)
    sent = first.json["sent"]
    assert first.json["length"] == 140005 and sent["CONTENT_LENGTH"] == "140005"
    assert sent["HTTP_IDEMPOTENCY_KEY"] == '"k1"'
    assert first.json["method"] == "POST"
    if name in ("wordpress",
                "laravel"):  # after the redirect the variable has another name, which these applications know
        assert "Bearer t0k3n" in (sent.get("HTTP_AUTHORIZATION"), sent.get("REDIRECT_HTTP_AUTHORIZATION"))


def test_duplicate_while_a_front_controller_runs(api, origin, kind):
    api = api.at(f"/apps/{kind}/path_info")
    with origin.hold("/held") as held:
        first = api.post_async("/held", key="k1")
        held.wait_until_entered()
        assert api.post("/held", key="k1").problem == (409, "in-progress")
    first = first.result()
    assert first.status == 201
    assert api.post("/held", key="k1").recorded == first.recorded
    assert len(origin.runs()) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_error_of_the_application(api, origin, kind, status):
    """The page is the application's own, although the folder names a page for 404."""
    first, _ = assert_replayed(api.at(f"/apps/{kind}/drupal"), origin, f"/orders?status={status}")
    assert first.status == status


def test_released_status_is_executed_again(api, origin, kind):
    api = api.at(f"/apps/{kind}/wordpress")
    answers = [api.post("/orders?status=503", key="k1") for _ in range(2)]
    assert [answer.status for answer in answers] == [503, 503] and not answers[1].replayed
    assert len(origin.runs()) == 2


def test_settings_are_those_of_the_first_request(api, origin):
    """The script asks for a key; a request that was rewritten to it comes from where none is asked for."""
    api = api.at("/apps/cgi/wordpress")
    assert api.post("/index.cgi").problem == (400, "key-missing")
    assert api.post("/orders").problem == (201, None)
    assert_replayed(api, origin, "/index.cgi")


def test_settings_in_the_applications_own_file(api, origin, kind):
    api = api.at(f"/apps/{kind}/path_info")
    assert api.post("/orders").problem == (400, "key-missing")
    assert origin.runs() == []


def test_engine_that_is_on_for_the_front_controller_only(httpd, api, origin):
    """The first request whose location has the engine on decides, and with what the client sent."""
    api = api.at("/apps/cgi/drupal")
    assert_replayed(api, origin, "/off?status=207", body=b"1")
    refused = api.post("/unguarded?status=207", key="k1", body=b"1")
    assert refused.problem == (422, "key-reused") and parts_named(refused) == ["path"]
    assert sorted(row[2:4] for row in httpd.outcomes(api, 3)) == [["executed", "recorded"], ["key-reused", "-"],
                                                                  ["replayed", "-"]]
    assert len(origin.runs()) == 1


def test_request_that_a_rule_refuses_is_not_recorded(api, origin):
    api = api.at("/apps/cgi/drupal")
    for _ in range(2):
        refused = api.post("/.git/config", key="k1")
        assert refused.status == 403 and not refused.replayed
    assert api.post("/orders", key="k1").problem == (201, None)


def test_redirect_that_a_rule_sends_is_not_recorded(api, origin):
    api = api.at("/apps/cgi/laravel")
    for _ in range(2):
        moved = api.post("/orders/", key="k1")
        assert moved.status == 301 and not moved.replayed
        assert moved["Location"].endswith("/apps/cgi/laravel/orders")
    assert_replayed(api, origin, "/orders")
