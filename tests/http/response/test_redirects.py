# SPDX-License-Identifier: Apache-2.0
"""However else a request finds its handler inside httpd, and whatever its answer is put together from: it is one
request, with one decision, one execution and one record.
"""
import contextlib
import shutil
import socketserver
import threading

import pytest

from checks import assert_replayed, parts_named
from client import Api

MODULES = ["negotiation", "vhost_alias", "asis", "proxy_scgi"]
CONFIG = """
<Directory "{stage}/docs/found">
    Options +ExecCGI +Includes
    AddHandler cgi-script .cgi
    AddHandler type-map .var
    AddHandler send-as-is .asis
    AddLanguage en .en
    AddLanguage de .de
    AddType text/html .html .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
<Directory "{stage}/docs/found/index">
    DirectoryIndex absent.html order.cgi
</Directory>
<Directory "{stage}/docs/found/fallback">
    FallbackResource /found/fallback/order.cgi
</Directory>
<Directory "{stage}/docs/found/views">
    Options +MultiViews
    MultiviewsMatch Handlers
</Directory>
<Location /found/action>
    Action order /cgi/acted virtual
    SetHandler order
</Location>
Alias /aliased "{stage}/docs/found/plain"
AliasMatch "^/shop/[a-z]+/order$" "{stage}/docs/found/plain/order.cgi"
ScriptAliasMatch "^/(one|two)/bin/(.*)" "{stage}/docs/found/plain/$2"
Redirect 308 /moved /cgi/order
<Location /cgi/elsewhere>
    IdempotencyEngine Off
</Location>
<If "%{REQUEST_URI} =~ m#/cgi/if#">
    IdempotencyRequireKey On
</If>
<If "%{HTTP:X-Pay} == 'twice' && %{REQUEST_URI} !~ m#^/cgi#">
    SetHandler order
    Action order /cgi/by-header virtual
</If>
<LocationMatch "^/cgi/(page|composed)">
    SetOutputFilter INCLUDES
    Options +Includes
</LocationMatch>
<Location /missing/text>
    ErrorDocument 404 "no such order"
</Location>
<Location /missing/file>
    ErrorDocument 404 /found/plain/sorry.html
</Location>
<Location /missing/composed>
    ErrorDocument 404 /found/plain/sorry.shtml
</Location>
<Location /missing/script>
    ErrorDocument 404 /cgi/explain?status=404&body=explained
</Location>
<Location /missing/external>
    ErrorDocument 404 http://elsewhere.test/why
</Location>
<Location /missing/missing>
    ErrorDocument 404 /nowhere
</Location>
ProxySCGISendfile On
<VirtualHost *>
    ServerName origin.test
</VirtualHost>
<VirtualHost *>
    ServerAlias *.customers.test
    VirtualDocumentRoot "{stage}/docs/customers/%1"
    VirtualScriptAlias "{stage}/docs/customers/%1/bin"
    UseCanonicalName Off
</VirtualHost>
"""
SCRIPTS = ["found/index/order.cgi", "found/fallback/order.cgi", "found/plain/order.cgi", "found/views/order.cgi.en",
           "found/views/order.cgi.de", "found/map/order.cgi", "customers/anna/bin/order", "customers/bert/bin/order"]
FILES = {
    "found/map/order.var": "URI: order\n\nURI: order.cgi\nContent-Type: text/html\n\n",
    "found/plain/sorry.html": "sorry",
    "found/plain/sorry.shtml": '<!--#include virtual="/cgi/part?body=included" -->, sorry',
    "found/plain/report.txt": "all orders\n" * 2000,
    "found/plain/ready.asis": "Status: 202 Taken\nContent-Type: text/plain\nX-Ready: 1\n\nready\n",
}


@pytest.fixture(autouse=True, scope="module")
def documents(stage):
    for path in SCRIPTS:
        script = stage.root / "docs" / path
        script.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(stage.root / "origins" / "answer.py", script.parent)
        shutil.copy(stage.root / "origins" / "origin.cgi", script)
    for path, text in FILES.items():
        (stage.root / "docs" / path).write_text(text)
    yield
    for folder in ("found", "customers"):
        shutil.rmtree(stage.root / "docs" / folder)


@pytest.fixture
def site(api):
    return api.at("")


def assert_one_of_each(httpd, site, origin, path, runs=1, **request):
    """One decision, one execution, exact replay, another body refused; and so says the access log."""
    request.setdefault("body", b"1")
    first, second = [site.post(path, key="k1", **request) for _ in range(2)]
    assert first["Idempotent-Replayed"] is None and second.replayed
    assert second.recorded == first.recorded
    other = site.post(path, key="k1", **{**request, "body": b"2"})
    assert other.problem == (422, "key-reused") and parts_named(other) == ["body"]
    assert origin.executions() == runs
    assert sorted(row[2:4] for row in httpd.outcomes(site, 3)) == [["executed", "recorded"], ["key-reused", "-"],
                                                                   ["replayed", "-"]]
    return first


@pytest.mark.parametrize("path", [
    "/found/index/", "/found/fallback/orders", "/found/fallback/", "/found/action/x", "/found/map/order.var",
    "/aliased/order.cgi", "/shop/anna/order", "/two/bin/order.cgi/x"
])
def test_ways_to_a_script(httpd, site, origin, path):
    first = assert_one_of_each(httpd, site, origin, f"{path}?status=207")
    assert first.status == 207
    assert [run["IDEMPOTENCY_ATTEMPT"] for run in origin.runs()] == ["1"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_content_negotiation(httpd, site, origin, language):
    """A retry gets the variant that was negotiated for the first request."""
    site = site.with_headers(("Accept-Language", language))
    first = assert_one_of_each(httpd, site, origin, "/found/views/order?status=207")
    assert first["Content-Language"] == language


def test_retry_that_would_be_negotiated_otherwise(site, origin):
    first = site.post("/found/views/order", key="k1", headers=[("Accept-Language", "de")])
    second = site.post("/found/views/order", key="k1", headers=[("Accept-Language", "en")])
    assert second.replayed and second.recorded == first.recorded
    assert origin.executions() == 1


def test_handler_chosen_by_an_if_section(httpd, site, origin):
    assert_one_of_each(httpd, site.with_headers(("X-Pay", "twice")), origin, "/found/plain/report.txt?status=207")
    assert origin.runs()[0]["path"] == "/by-header/found/plain/report.txt"


def test_settings_of_an_if_section(site):
    assert site.post("/cgi/if").problem == (400, "key-missing")
    assert site.post("/cgi/other").problem == (201, None)


@pytest.mark.parametrize("target", ["/cgi/second", "/cgi/elsewhere"])
def test_local_redirect_of_a_script(httpd, site, origin, target):
    """The first location decides; where the script points to is not consulted, and its run belongs to the same request.
    """
    first = assert_one_of_each(httpd, site, origin, f"/cgi/pay?status=0&body=&header=Location:+{target}", runs=2)
    assert first.status == 201
    assert [run["path"] for run in origin.runs()] == ["/pay", target.replace("/cgi", "")]


def test_duplicate_while_a_local_redirect_runs(site, origin):
    path = "/cgi/pay?status=0&body=&header=Location:+/cgi/second"
    with origin.hold("/second") as held:
        first = site.post_async(path, key="k1")
        held.wait_until_entered()
        assert site.post(path, key="k1").problem == (409, "in-progress")
    assert first.result().status == 201
    assert origin.executions() == 2


@pytest.mark.parametrize("target,status,text", [
    ("/found/plain/report.txt", 200, FILES["found/plain/report.txt"]),
    ("/found/plain/ready.asis", 202, "ready\n"),
    ("/found/plain/sorry.shtml", 200, "included, sorry"),
    ("/missing/text/x", 404, "no such order"),
    ("/missing/file/x", 404, "sorry"),
])
def test_script_that_hands_over_to_a_file(httpd, site, origin, target, status, text):
    runs = 2 if "shtml" in target else 1
    first = assert_one_of_each(httpd, site, origin, f"/cgi/pay?status=0&body=&header=Location:+{target}", runs=runs)
    assert (first.status, first.body.decode()) == (status, text)


def test_conditions_do_not_turn_a_replay_into_another_answer(httpd, site, origin):
    """A file has a date and an entity tag: the record is the answer all the same."""
    first = site.post("/cgi/pay?status=0&body=&header=Location:+/found/plain/report.txt", key="k1")
    fields = [("If-None-Match", first["ETag"]), ("If-Modified-Since", first["Last-Modified"])]
    second = site.post("/cgi/pay?status=0&body=&header=Location:+/found/plain/report.txt", key="k1", headers=fields)
    assert second.replayed and second.recorded == first.recorded
    assert second["ETag"] and second["Last-Modified"]


class Scgi(socketserver.StreamRequestHandler):
    """An application that leaves the sending of a file to httpd."""

    def handle(self):
        length = int(b"".join(iter(lambda: self.rfile.read(1), b":")))
        fields = self.rfile.read(length + 1)[:-1].split(b"\0")
        self.rfile.read(int(dict(zip(fields[::2], fields[1::2]))[b"CONTENT_LENGTH"]))
        self.server.requests += 1
        self.wfile.write(b"Status: 200 Ready\r\nContent-Type: text/plain\r\nX-Sendfile: %s\r\n\r\n" %
                         self.server.file.encode())


@contextlib.contextmanager
def scgi(file):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Scgi) as server:
        server.file, server.requests = str(file), 0
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_file_sent_for_an_application(new_httpd, stage, store, host):
    with scgi(stage.root / "docs/found/plain/report.txt") as application:
        config = CONFIG + f"ProxyPass /scgi scgi://127.0.0.1:{application.server_address[1]}/\n"
        httpd = new_httpd(config, store, MODULES).start()
        first, second = [Api(httpd.address, host, "").post("/scgi/report", key="k1", body=b"1") for _ in range(2)]
    assert (first.status, first.reason, first.body.decode()) == (200, "Ready", FILES["found/plain/report.txt"])
    assert second.replayed and second.recorded == first.recorded
    assert application.requests == 1


@pytest.mark.parametrize("page,status,text", [("text", 404, "no such order"), ("file", 404, "sorry"),
                                              ("script", 404, "explained"), ("composed", 404, "included, sorry"),
                                              ("external", 302, None), ("missing", 404, None)])
def test_error_page_of_httpd(httpd, site, origin, page, status, text):
    runs = 1 if page in ("script", "composed") else 0
    first = assert_one_of_each(httpd, site, origin, f"/missing/{page}/order", runs=runs)
    assert first.status == status
    assert text is None or first.body.decode() == text
    assert first["Location"] == ("http://elsewhere.test/why" if page == "external" else None)


def test_page_composed_on_the_server(httpd, site, origin):
    """What the parts answered when the page was made is in the record; they are not asked again."""
    parts = "%3C!--%23include+virtual%3D%22/cgi/part%22+--%3E+%3C!--%23echo+var%3D%22DATE_LOCAL%22+--%3E"
    first = assert_one_of_each(httpd, site, origin, f"/cgi/page?header=Content-Type:+text/html&body={parts}", runs=2)
    assert b"execution" in first.body and b"<!--" not in first.body


def test_redirect_by_mod_alias_is_not_recorded(site, origin):
    for _ in range(2):
        moved = site.post("/moved", key="k1")
        assert moved.status == 308 and not moved.replayed
    assert_replayed(site, origin, "/cgi/order")


def test_hosts_by_name_have_keys_of_their_own(httpd, site, origin):
    anna, bert = Api(site.address, "anna.customers.test", ""), Api(site.address, "bert.customers.test", "")
    key = f"of-{site.host}"
    first, second = anna.post("/cgi-bin/order", key=key), anna.post("/cgi-bin/order", key=key)
    assert second.replayed and second.recorded == first.recorded
    assert not bert.post("/cgi-bin/order", key=key).replayed
    assert origin.executions() == 2
