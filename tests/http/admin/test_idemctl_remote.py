# SPDX-License-Identifier: Apache-2.0
"""idemctl against a server's admin API: the same commands, and what is done as it happens."""
import json
import subprocess

import pytest

import admins
import ctl
from checks import kill_while_it_runs

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = admins.BODIES + admins.ADMIN


@pytest.fixture
def idemctl(httpd, tmp_path):
    return ctl.remote(httpd, tmp_path)


@pytest.fixture
def unknown(httpd, api, origin):
    kill_while_it_runs(httpd, api, origin)
    return ctl.of_server(httpd).json("find", "--key", "k1", "--scope", f"host={api.host}")[0]["slot"]


def test_the_same_is_listed_and_shown(idemctl, httpd, api):
    api.post("/pay", key="k1", body=b"1")
    here = ctl.of_server(httpd)
    assert idemctl.json("list") == here.json("list")
    assert idemctl("list").out == here("list").out
    slot = idemctl.slots("--limit", "1")[0]
    assert idemctl.json("show", slot[:20], "--body") == here.json("show", slot, "--body")
    assert idemctl.json("find", "--key", "k1", "--scope", f"host={api.host}") == \
        here.json("find", "--key", "k1", "--scope", f"host={api.host}")
    assert idemctl("find", "--key", "nobody's", "--scope", "host=x").code == ctl.ABSENT
    assert idemctl("show", "0" * 64).code == ctl.ABSENT
    assert idemctl.json("stats")[0]["entries"] == here.json("stats")[0]["entries"]


def test_unknown_outcome_is_resolved(idemctl, unknown, api, origin, httpd):
    assert unknown in idemctl.slots("--state", "unknown")
    assert idemctl.json("resolve", unknown, "--as", "retry", "--dry-run")[0]["dry_run"]
    assert idemctl.json("resolve", unknown[:16], "--as", "retry")[0]["done"] == "resolved as retry"
    assert api.post("/pay", key="k1", body=b"1").problem == (201, None) and origin.executions("/pay") == 2
    assert idemctl("resolve", unknown, "--as", "done").code == ctl.REFUSED
    assert idemctl.json("forget", unknown)[0]["before"]["state"] == "record"
    assert idemctl.json("sweep")[0] == {"removed": 0}
    assert [line for line in httpd.log.lines() if "IDEM201" in line and "user alice" in line]


def test_events_are_watched(idemctl, api):
    with subprocess.Popen(idemctl.command("watch", "--json", "--limit", "2"), stdout=subprocess.PIPE, text=True) as run:
        for attempt in range(1000):
            api.post("/pay", key=f"k{attempt}", body=b"1")
            if run.poll() is not None:
                break
        events = [json.loads(line) for line in run.stdout]
    assert run.returncode == 0 and [event["outcome"] for event in events] == ["executed", "executed"]


def test_who_may_not_is_told(idemctl, tmp_path, httpd):
    (tmp_path / "password").write_text("wrong\n")
    assert idemctl("list").code == ctl.REFUSED
    for command in (["verify"], ["export"]):
        assert idemctl(*command).code == ctl.UNABLE
    idemctl.place[1] = f"http://127.0.0.1:{httpd.address[1]}/nothing"
    assert idemctl("list").code == ctl.FAILED
    idemctl.place[1] = "http://127.0.0.1:1/"
    assert idemctl("list").code == ctl.FAILED
    assert ctl.Ctl("lmdb:/nowhere")("watch").code == ctl.USAGE
