# SPDX-License-Identifier: Apache-2.0
"""How often keys are sent again: counted in memory, written by the sweep, shown where entries are."""
import time

import pytest

import admins
import ctl
import env
from checks import basic
from client import Api
from postgres_server import Postgres
from redis_server import Redis

pytestmark = pytest.mark.mpm_independent
CONFIG = admins.ADMIN


class Counted:
    """A server, its administrator, and idemctl on its store."""

    def __init__(self, server, host, idemctl):
        self.server, self.host, self.idemctl = server, host, idemctl
        self.api = Api(server.start().address, host)
        self.admin = Api(server.address, host, "/admin", [basic("alice")])

    def hammer(self, key, times):
        for _ in range(times):
            assert self.api.post("/pay?status=207", key=key, body=b"1").status == 207

    def sweep(self):
        token = self.admin.get("/v1/token").json["token"]
        swept = self.admin.post("/v1/sweep", json={}, headers=[("Idempotency-Admin-Token", token)])
        assert swept.status == 200

    def listed(self, query=""):
        entries = self.admin.get(f"/v1/entries?limit=1000{query}").json["entries"]
        return {entry["slot"]: entry["sent_again"] for entry in entries}

    def slot(self, key):
        return self.idemctl.json("find", "--key", key, "--scope", f"host={self.host}")[0]["slot"]

    def told(self, *words):
        return {entry["slot"]: entry["sent_again"]["replayed"] for entry in self.idemctl.json("list", *words)}


def check_counts(counted, origin):
    counted.hammer("often", 5)
    counted.hammer("twice", 2)
    counted.hammer("once", 1)
    assert counted.api.post("/pay?status=207", key="often", body=b"2").status == 422
    often, twice, once = (counted.slot(key) for key in ("often", "twice", "once"))
    known = env.until(lambda: (now := counted.listed())[often]["refused"] == 1 and now, "the last request has ended")
    assert (known[often]["replayed"], known[twice]["replayed"]) == (4, 1)
    assert known[often]["last"] and known[once] == {"replayed": 0, "refused": 0, "last": None}
    assert counted.told() == {often: 0, twice: 0, once: 0}  # the store has not been told
    counted.sweep()
    assert counted.told() == {often: 4, twice: 1, once: 0} and counted.listed() == known
    assert counted.told("--replayed-more-than", "1") == {often: 4}
    assert set(counted.listed("&replayed_more_than=0")) == {often, twice}
    assert counted.idemctl("list", "--replayed-more-than", "x").code == ctl.USAGE
    assert counted.idemctl("list", "--prefix", often).out.split()[-1] == "4"
    counted.hammer("twice", 3)
    env.until(lambda: counted.listed()[twice]["replayed"] == 4, "the last request has ended")
    counted.sweep()
    counted.sweep()
    assert counted.told() == {often: 4, twice: 4, once: 0}
    assert origin.executions("/pay") == 3
    return often, twice, once


def test_embedded_store(new_httpd, host, origin, expect_log):
    expect_log(62)  # it is started twice, and lies in a folder of /tmp
    server = new_httpd(CONFIG)
    counted = Counted(server, host, ctl.of_server(server))
    often, twice, once = check_counts(counted, origin)
    keys = counted.admin.get("/v1/repeats?limit=2").json
    assert keys["kept"] and [key["prefix"] for key in keys["keys"]] == [often[:16], twice[:16]]
    page = counted.admin.get("/", headers=[("Accept", "text/html")]).body.decode()
    assert "sent again most often" in page and often[:12] in page.split("sent again most often")[1]
    filtered = counted.admin.get("/?view=entries&replayed_more_than=0", headers=[("Accept", "text/html")]).body.decode()
    assert "replayed 4×" in filtered and once[:12] not in filtered
    entry = counted.admin.get(f"/?slot={often}", headers=[("Accept", "text/html")]).body.decode()
    assert "<dt>Replayed</dt><dd>4</dd>" in entry and "Last asked for" in entry
    server.stop()
    assert counted.told() == {often: 4, twice: 4, once: 0}
    server.start()
    counted.admin = Api(server.address, host, "/admin", [basic("alice")])
    assert counted.listed()[often]["replayed"] == 4
    assert counted.idemctl("verify").code == ctl.OK and "3 entries" in counted.idemctl("verify").out
    assert counted.idemctl("forget", often).code == ctl.OK
    asked = time.time()
    env.until(lambda: time.time() > asked + 1.5, "whole seconds tell the two entries apart")
    counted.api = Api(server.address, host)
    counted.hammer("often", 1)
    assert counted.listed()[often]["replayed"] == 0  # another entry, which nobody has sent again


@pytest.mark.parametrize("kind", [Redis, Postgres])
def test_servers_that_share_a_store_add_up(kind, new_httpd, host, origin, tmp_path):
    with (kind(tmp_path / "redis") if kind is Redis else kind()) as store:
        one = Counted(new_httpd(CONFIG, f'"{store.url()}"'), host, ctl.Ctl(store.url()))
        two = Counted(new_httpd(CONFIG, f'"{store.url()}"'), host, ctl.Ctl(store.url()))
        often, twice, _ = check_counts(one, origin)
        two.hammer("often", 3)
        env.until(lambda: two.listed()[often]["replayed"] == 7, "the last request has ended")
        two.sweep()
        assert one.listed()[often]["replayed"] == one.told()[often] == 7 and one.told()[twice] == 4
        for counted in (one, two):
            counted.server.stop()


def test_store_that_keeps_no_count_says_so(new_httpd, host):
    server = new_httpd(CONFIG, "socache:shmcb")
    counted = Counted(server, host, None)
    counted.hammer("often", 3)
    again, = env.until(lambda: [one for one in counted.listed().values() if one["replayed"] == 2], "it is counted")
    counted.sweep()
    assert counted.listed() and again["last"] and counted.admin.get("/v1/repeats").json["kept"] is False
