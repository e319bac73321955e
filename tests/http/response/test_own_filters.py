# SPDX-License-Identifier: Apache-2.0
""".htaccess may name any filter and handler that is registered, the module's own, too: none of them harms a request, or
a child.

A filter of the module's that it did not insert itself gets out of the way. What a folder says holds for its files, for
subrequests and for error pages that lie in it.
"""
import itertools
import shutil

import pytest

import env
from checks import assert_replayed
from client_http2 import Http2

MODULES = ["http2"] if env.MPM != "prefork" else []
PROTOCOLS = "Protocols h2c http/1.1" if MODULES else ""
STORES = ["lmdb"]
CONFIG = f"""
{PROTOCOLS}
IdempotencyEngine Off
IdempotencyMetricsInHtaccess On
<Directory "{{stage}}/docs/named">
    AllowOverride All
    Options +ExecCGI +Includes
</Directory>
"""
NUMBERS = itertools.count()
CGI = "<Files order.cgi>\nSetHandler cgi-script\n</Files>\n"
ON = "IdempotencyEngine On\n"
PARTS = "AddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n"
OUTPUT = ["IDEMPOTENCY_OUT", "IDEMPOTENCY_ABOVE", "IDEMPOTENCY_EXPOSE"]
DECLARED = "FilterDeclare mine {type}\nFilterProvider mine {name} \"true\"\nFilterChain mine"
# {name} is a filter for responses.
NAMED = [
    "SetOutputFilter {name}",
    "SetOutputFilter {name};{name}",
    "<FilesMatch .>\nSetOutputFilter {name}\n</FilesMatch>",
    '<If "true">\nSetOutputFilter {name}\n</If>',
    "AddOutputFilter {name} cgi html shtml txt",
    "AddOutputFilterByType {name} text/html text/plain application/json",
    "AddOutputFilterByType {name} text/html text/plain application/json\nSetOutputFilter {name};DEFLATE",
    DECLARED.replace("{type}", "RESOURCE"),
    DECLARED.replace("{type}", "CONTENT_SET"),
    DECLARED.replace("{type}", "PROTOCOL"),
    DECLARED.replace("{type}", "TRANSCODE"),
]
INPUT = [
    "SetInputFilter IDEMPOTENCY_IN", "SetInputFilter IDEMPOTENCY_IN;IDEMPOTENCY_IN",
    "AddInputFilter IDEMPOTENCY_IN cgi txt shtml", '<If "true">\nSetInputFilter IDEMPOTENCY_IN;DEFLATE\n</If>'
]
ALL = [line.replace("{name}", name) for line in NAMED for name in OUTPUT] + INPUT


@pytest.fixture(autouse=True)
def no_child_dies(httpd):
    before = httpd.children()
    yield
    assert httpd.children() == before


@pytest.fixture
def folder(stage):
    """Makes a folder with an .htaccess file ({here} is the folder's path), a script, a page and a page with parts;
    returns the path.
    """
    made = []

    def make(htaccess):
        place = stage.root / "docs/named" / f"n{next(NUMBERS)}"
        place.mkdir(parents=True)
        for source in ("answer.py", "origin.cgi"):
            shutil.copy(stage.root / "origins" / source, place / source.replace("origin", "order"))
        here = f"/named/{place.name}"
        (place / ".htaccess").write_text(CGI + htaccess.replace("{here}", here) + "\n")
        (place / "plain.txt").write_text("plain\n")
        (place / "parts.shtml").write_text('a<!--#include virtual="plain.txt" -->b')
        made.append(place)
        return here
    yield make
    for place in made:
        shutil.rmtree(place)


@pytest.mark.parametrize("htaccess", ALL)
def test_named_where_nothing_is_guarded(api, folder, origin, htaccess):
    site = api.at(folder(htaccess))
    assert site.get("/plain.txt").body == b"plain\n"
    for _ in range(2):
        answer = site.post("/order.cgi/pay?echo=1", key="k1", body=b"1" * 100_000)
        assert answer.status == 201 and answer.json["length"] == 100_000
    assert origin.executions() == 2


@pytest.mark.parametrize("htaccess", ALL)
def test_named_where_requests_are_guarded(api, folder, origin, htaccess):
    """The module's own instance stands beside it and does its work, once."""
    site = api.at(folder(ON + htaccess))
    first, _ = assert_replayed(site, origin, "/order.cgi/pay?header=Idempotency-Control:+ttl%3D9", body=b"1" * 100_000)
    assert first.status == 201 and first["Idempotency-Control"] is None
    assert site.post("/order.cgi/pay?header=Idempotency-Control:+ttl%3D9", key="k1",
                     body=b"2").problem == (422, "key-reused")
    assert site.get("/plain.txt").body == b"plain\n"


@pytest.mark.parametrize("htaccess", ["SetOutputFilter {name}", *NAMED[5:8]])
@pytest.mark.parametrize("name", OUTPUT)
@pytest.mark.parametrize("engine", ["", ON])
def test_parts_and_error_pages(api, folder, htaccess, name, engine):
    """Subrequests have filters of their own; a canned page has those that are inserted for errors."""
    page = "ErrorDocument 404 {here}/plain.txt\nSetEnv filter-errordocs 1\n"
    site = api.at(folder(engine + page + PARTS + htaccess.replace("{name}", name)))
    assert site.get("/parts.shtml").body == b"aplain\nb"
    for key in ("k1", "k2", "k2"):
        missing = site.post("/missing", key=key)
        assert (missing.status, missing.body) == (404, b"plain\n")
        assert site.post("/plain.txt", key=f"{key}p").status == 200


def test_control_header_where_the_engine_is_off(api, folder):
    """Not the module's business there, whoever names its filter."""
    site = api.at(folder("SetOutputFilter IDEMPOTENCY_EXPOSE"))
    assert site.post("/order.cgi/pay?header=Idempotency-Control:+no-store")["Idempotency-Control"] == "no-store"


HANDLED = [
    "SetHandler idempotency-metrics", "AddHandler idempotency-metrics .txt", "ForceType idempotency-metrics",
    "AddType idempotency-metrics .txt", "Action idempotency-metrics /named/none.cgi\nSetHandler idempotency-metrics",
    "Action idempotency-metrics {here}/order.cgi virtual\nForceType idempotency-metrics",
    "RewriteEngine On\nRewriteRule plain - [H=idempotency-metrics]",
    "ErrorDocument 405 {here}/plain.txt\nSetHandler idempotency-metrics",
    "SetOutputFilter IDEMPOTENCY_OUT\nSetInputFilter IDEMPOTENCY_IN\nSetHandler idempotency-metrics"
]


@pytest.mark.parametrize("engine", ["", ON])
@pytest.mark.parametrize("htaccess", HANDLED)
def test_handler_named_for_any_file(api, folder, htaccess, engine):
    site = api.at(folder(f"{engine}<Files plain.txt>\n{htaccess}\n</Files>\n{PARTS}"))
    assert site.get("/plain.txt").status == 200
    assert site.get("/parts.shtml").body.startswith(b"a")
    assert len({site.post("/plain.txt", key="k1").status for _ in range(3)}) == 1


LOOPS = ["ErrorDocument 404 {here}/gone", "RewriteEngine On\nRewriteRule !x$ {here}/x\nRewriteRule x$ {here}/y",
         "RewriteEngine On\nRewriteRule ^ {here}/order.cgi/a%{REQUEST_URI} [E=x:%{REQUEST_URI}]",
         "Action again {here}/again virtual\n<Files again>\nSetHandler again\n</Files>\nDirectoryIndex again",
         "AddHandler again .cgi\nAction again {here}/order.cgi\n<Files order.cgi>\nSetHandler again\n</Files>",
         "ErrorDocument 404 {here}/none\nErrorDocument 500 {here}/order.cgi/none\nErrorDocument 405 {here}/none"]


@pytest.mark.parametrize("htaccess", LOOPS)
def test_loops_end(api, folder, htaccess):
    site = api.at(folder(ON + htaccess))
    for path in ("/order.cgi", "/missing", "/again", "/"):
        first, second = site.post(path, key="k1"), site.post(path, key="k1")
        assert first.status >= 200 and second.status in (first.status, 409)


@pytest.mark.skipif(not MODULES, reason="mod_http2 does not work with prefork")
@pytest.mark.parametrize("engine", ["", ON])
@pytest.mark.parametrize("htaccess", [
    "SetOutputFilter IDEMPOTENCY_OUT;IDEMPOTENCY_EXPOSE", "SetInputFilter IDEMPOTENCY_IN",
    NAMED[5].format(name="IDEMPOTENCY_OUT")
])
def test_over_http2(httpd, api, folder, host, engine, htaccess):
    here = folder(engine + htaccess)
    with Http2(httpd.address, host) as client:
        answers = [client.result(client.start(f"{here}/order.cgi/pay", "k1", b"1")) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert [answer.replayed for answer in answers] == [False, bool(engine)]
