# SPDX-License-Identifier: Apache-2.0
"""What is forgotten is what was seen: an entry that has come instead meanwhile stays."""
import pytest

import ctl
import env
from checks import basic
from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
<Location "/admin">
    SetHandler idempotency-admin
    AuthType Basic
    AuthName staff
    AuthUserFile {stage}/passwords
    Require valid-user
</Location>
"""


@pytest.fixture
def admin(httpd, host):
    plain = Api(httpd.address, host, "/admin", [basic("alice")])
    return plain.with_headers(("Idempotency-Admin-Token", plain.get("/v1/token").json["token"]))


@pytest.fixture
def seen(api, httpd, host, origin):
    """The slot and version of a record; origin counts from before it."""
    assert api.post("/pay?status=207", key="k1", body=b"1").status == 207
    found = ctl.of_server(httpd).json("find", "--key", "k1", "--scope", f"host={host}")[0]
    return found["slot"], found["entry"]["version"]


def replace_record(httpd, api, slot):
    assert ctl.of_server(httpd)("forget", slot).code == ctl.OK
    second = api.post("/pay?status=207", key="k1", body=b"1")
    assert second.status == 207 and not second.replayed
    return second


def test_version_that_was_shown_must_still_stand(httpd, api, admin, seen):
    slot, version = seen
    shown = admin.get(f"/v1/entries/{slot}")
    assert shown["ETag"] == f'"{version}"'
    second = replace_record(httpd, api, slot)
    for tag in (shown["ETag"], f'"{version}-gzip"'):
        late = admin.request("DELETE", f"/v1/entries/{slot}", headers=[("If-Match", tag)])
        assert (late.status, late.json["type"].rsplit(":", 1)[1]) == (412, "entry-changed")
    assert admin.request("DELETE", f"/v1/entries/{slot}?version={version}").status == 409
    again = api.post("/pay?status=207", key="k1", body=b"1")
    assert again.replayed and again.body == second.body
    for tag in (version, f'W/"{version}"', f'"{version}", "{version}"', '"x"', f'"{version}x"', '"'):
        wrong = admin.request("DELETE", f"/v1/entries/{slot}", headers=[("If-Match", tag)])
        assert (wrong.status, wrong.json["type"].rsplit(":", 1)[1]) == (400, "invalid"), tag
    now = admin.get(f"/v1/entries/{slot}")["ETag"]
    for tag in (now, "*"):
        gone = admin.request("DELETE", f"/v1/entries/{slot}?dry_run=1", headers=[("If-Match", tag)])
        assert gone.status == 200
    assert admin.request("DELETE", f"/v1/entries/{slot}", headers=[("If-Match", now)]).status == 200
    assert admin.get(f"/v1/entries/{slot}").status == 404


def test_what_comes_between_look_and_removal_stays(httpd, api, admin, seen, origin):
    slot, _ = seen
    httpd.control.block("forget")
    with admin.start("DELETE", f"/v1/entries/{slot}") as late:
        env.until(lambda: any(line.startswith("forget blocked") for line in httpd.control.lines()), "it is about to go")
        second = replace_record(httpd, api, slot)
        httpd.control.go_on("forget")
        answer = late.result("DELETE")
    assert (answer.status, answer.json["type"].rsplit(":", 1)[1]) == (409, "entry-changed")
    again = api.post("/pay?status=207", key="k1", body=b"1")
    assert again.replayed and again.body == second.body and origin.executions("/pay") == 2
    assert not any("IDEM200" in line for line in httpd.log.lines())
