"""However a request finds its handler inside httpd, it is one request: one decision, one execution, one record."""
import shutil

import pytest

from checks import assert_replayed, parts_named

CONFIG = """
<Directory "{stage}/docs/front">
    RewriteEngine On
    RewriteBase /front
    RewriteCond %{REQUEST_URI} !order.cgi
    RewriteRule ^(.*)$ order.cgi/$1 [QSA,L]
    Options +ExecCGI
    SetHandler cgi-script
</Directory>
<Directory "{stage}/docs/index">
    DirectoryIndex order.cgi
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>
<Directory "{stage}/docs/fallback">
    FallbackResource /fallback/order.cgi
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>
<Location /action>
    Action order /cgi/acted virtual
    SetHandler order
</Location>
<Location /cgi/elsewhere>
    IdempotencyEngine Off
</Location>
<If "%{REQUEST_URI} =~ m#/cgi/if#">
    IdempotencyRequireKey On
</If>
"""


@pytest.fixture(autouse=True, scope="module")
def scripts(stage):
    for name in ("front", "index", "fallback"):
        folder = stage.root / "docs" / name
        folder.mkdir()
        shutil.copy(stage.root / "origins" / "answer.py", folder)
        shutil.copy(stage.root / "origins" / "origin.cgi", folder / "order.cgi")
    yield
    for name in ("front", "index", "fallback"):
        shutil.rmtree(stage.root / "docs" / name)


@pytest.mark.parametrize("path", ["/front/orders/7", "/front/", "/index/", "/fallback/orders", "/action/x"])
def test_one_decision_one_execution(api, origin, path):
    assert_replayed(api.at(""), origin, path + "?status=207", body=b"1")
    assert api.at("").post(path + "?status=207", key="k1", body=b"2").problem == (422, "key-reused")
    assert len(origin.runs()) == 1
    assert origin.runs()[0]["IDEMPOTENCY_ATTEMPT"] == "1"


def test_path_is_the_clients_not_the_front_controllers(api, origin):
    api.at("/front").post("/orders/7", key="k1")
    refused = api.at("/front").post("/orders/8", key="k1")
    assert refused.problem == (422, "key-reused") and parts_named(refused) == ["path"]
    assert len(origin.runs()) == 1


def test_duplicate_while_a_front_controller_runs(api, origin):
    with origin.hold("/held") as held:
        first = api.at("/front").post_async("/held", key="k1")
        held.wait_until_entered()
        assert api.at("/front").post("/held", key="k1").problem == (409, "in-progress")
    assert first.result().status == 201
    assert len(origin.runs()) == 1


@pytest.mark.parametrize("target", ["/cgi/second", "/cgi/elsewhere"])
def test_local_redirect_of_a_script(api, origin, target):
    """The first location decides; where the script points to is not consulted, and its run belongs to the same request."""
    first = replayed_first(api, f"/pay?status=0&body=&header=Location:+{target}")
    assert first.status == 201
    assert [run["path"] for run in origin.runs()] == ["/pay", target.replace("/cgi", "")]


def replayed_first(api, path):
    first, second = api.post(path, key="k1", body=b"1"), api.post(path, key="k1", body=b"1")
    assert second.replayed and second.recorded == first.recorded
    return first


def test_settings_of_an_if_section(api):
    assert api.post("/if").problem == (400, "key-missing")
    assert api.post("/other").problem == (201, None)
