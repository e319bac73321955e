# SPDX-License-Identifier: Apache-2.0
"""A driver that was compiled with version 1 of idem_store.h serves, and what its table lacks is made up for. A driver
of a version that is not known is refused, with a sentence that says so.
"""
import re

import pytest

import admins
import env
from checks import assert_replayed, basic
from client import Api

pytestmark = pytest.mark.mpm_independent
OLD = f"LoadModule idem_files_module {env.MODULE.parent / 'mod_idem_files_1.so'}\n"
STRANGE = f"LoadModule idem_strange_module {env.MODULE.parent / 'mod_idem_strange.so'}\n"


@pytest.fixture
def server(new_httpd):
    return new_httpd(OLD + admins.ADMIN, "files:{root}/slots").start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


@pytest.fixture
def admin(server, host):
    plain = Api(server.address, host, "/admin/v1", [basic("alice")])
    return plain.with_headers(("Idempotency-Admin-Token", plain.get("/token").json["token"]))


def test_driver_of_version_1_serves(api, origin):
    assert_replayed(api, origin, "/pay?status=207", body=b"1")
    assert api.post("/pay?status=207", key="k1", body=b"2").problem == (422, "key-reused")
    with origin.hold("/slow") as held:
        first = api.post_async("/slow", key="k2")
        held.wait_until_entered()
        assert api.post("/slow", key="k2").problem == (409, "in-progress")
    assert first.result().problem == (201, None)


def test_what_version_1_lacks_is_made_up_for(api, admin, origin, host):
    """forget_seen: looks first, and an entry that is not the one seen stays. page: each() goes through them all."""
    for key in ("k1", "k2"):
        assert api.post("/pay", key=key).status == 201
    assert len(admin.get("/entries").json["entries"]) == 2
    slot = admin.post("/find", json={"key": "k1", "scope": {"host": host}}).json["slot"]
    seen = admin.get(f"/entries/{slot}")["ETag"]
    assert admin.request("DELETE", f"/entries/{slot}", headers=[("If-Match", seen)]).status == 200
    assert not api.post("/pay", key="k1").replayed and origin.executions("/pay") == 3
    assert admin.request("DELETE", f"/entries/{slot}", headers=[("If-Match", seen)]).status == 412
    assert api.post("/pay", key="k1").replayed and api.post("/pay", key="k2").replayed
    assert len(admin.get("/entries").json["entries"]) == 2
    assert admin.post("/sweep", json={"most": 10}).status == 200


def assert_said(server, pattern):
    assert re.search(pattern, server.said()), server.said()


@pytest.mark.parametrize("scheme, versions", [("older", "0"), ("newer", "3"), ("newest", "[34] and [34]")])
def test_driver_of_an_unknown_version_is_refused(new_httpd, scheme, versions):
    server = new_httpd(STRANGE, f"{scheme}:{{root}}/slots")
    with pytest.raises(AssertionError):
        server.start()
    assert server.process.poll() != 0
    assert_said(server, rf'IDEM060: .*the driver of "{scheme}:" was made for version {versions} of idem_store\.h, and '
                        r"this mod_idempotency takes versions 2 and 1 only")


def test_driver_of_another_group_is_none(new_httpd):
    server = new_httpd(STRANGE, "stranger:{root}/slots")
    with pytest.raises(AssertionError):
        server.start()
    assert_said(server, 'IDEM060: .*no driver knows the store "stranger:')
