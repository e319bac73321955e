# SPDX-License-Identifier: Apache-2.0
"""An ErrorDocument is part of the answer: recorded with it, never run again."""
import pytest

from checks import assert_replayed

CONFIG = """
<LocationMatch "^/(proxy|fpm)/text">
    ProxyErrorOverride On
    ErrorDocument 404 "no such order"
</LocationMatch>
<LocationMatch "^/(proxy|fpm)/cgi">
    ProxyErrorOverride On
    ErrorDocument 404 /cgi/explain?status=404&body=explained
    ErrorDocument 500 /cgi/explain?status=500&body=explained
    ErrorDocument 429 /cgi/explain?status=429&body=explained
</LocationMatch>
<LocationMatch "^/(proxy|fpm)/canned">
    ProxyErrorOverride On
</LocationMatch>
<LocationMatch "^/(proxy|fpm)/external">
    ProxyErrorOverride On
    ErrorDocument 404 http://elsewhere.test/why
</LocationMatch>
<Location /missing>
    ErrorDocument 404 /cgi/explain?status=404&body=explained
</Location>
"""

pytestmark = pytest.mark.parametrize("base", ["/proxy", "/fpm"])


def test_text(api, origin, base):
    first, _ = assert_replayed(api.at(base), origin, "/text?status=404")
    assert (first.status, first.body) == (404, b"no such order")


def test_canned_page(api, origin, base):
    first, _ = assert_replayed(api.at(base), origin, "/canned?status=404")
    assert b"<title>404 " in first.body


def test_external(api, origin, base):
    first, _ = assert_replayed(api.at(base), origin, "/external?status=404")
    assert (first.status, first["Location"]) == (302, "http://elsewhere.test/why")


@pytest.mark.parametrize("status", [404, 500])
def test_local_script_runs_once(api, origin, base, status):
    api = api.at(base)
    first, second = api.post(f"/cgi?status={status}", key="k1"), api.post(f"/cgi?status={status}", key="k1")
    assert (first.status, first.body) == (status, b"explained")
    assert second.replayed and second.recorded == first.recorded
    assert (origin.executions("/cgi"), origin.executions("/explain")) == (1, 1)


def test_status_behind_an_override(api, origin, base):
    """mod_proxy_http returns the status and a note that it is the application's own; mod_proxy_fcgi makes the page
    itself.
    """
    api = api.at(base)
    first, second = api.post("/cgi?status=429", key="k1"), api.post("/cgi?status=429", key="k1")
    assert (first.status, first.body) == (second.status, second.body) == (429, b"explained")
    assert not second.replayed
    assert origin.executions("/cgi") == 2


def test_error_of_httpds_own_handler(api, origin, base):
    """No origin at all: the default handler answers 404 and the page for it is recorded."""
    api = api.at("/missing" + base)
    first, second = api.post("/order", key="k1"), api.post("/order", key="k1")
    assert (first.status, first.body) == (404, b"explained")
    assert second.replayed and second.recorded == first.recorded
    assert origin.executions("/explain") == 1
