# SPDX-License-Identifier: Apache-2.0
"""idemctl against a server's admin API: the same commands, and what is done as it happens."""
import http.server
import json
import subprocess
import threading

import pytest

import admins
import ctl
from checks import kill_while_it_runs
from raw_store import RawStore

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


def without_names(entry):
    """The entry as a store shows it: only a server has the configuration that names the fingerprint's parts."""
    assert len(entry["fingerprint"]["names"]) == entry["fingerprint"]["parts"] == 7
    entry["fingerprint"]["names"] = None
    return entry


def test_the_same_is_listed_and_shown(idemctl, httpd, api):
    api.post("/pay", key="k1", body=b"1")
    here = ctl.of_server(httpd)
    assert idemctl.json("list") == here.json("list")
    assert idemctl("list").out == here("list").out
    slot = idemctl.slots("--limit", "1")[0]
    assert without_names(idemctl.json("show", slot[:20], "--body")[0]) == here.json("show", slot, "--body")[0]
    found = idemctl.json("find", "--key", "k1", "--scope", f"host={api.host}")[0]
    without_names(found["entry"])
    assert [found] == here.json("find", "--key", "k1", "--scope", f"host={api.host}")
    shown = idemctl("show", slot).out
    assert '["method","path",' in next(line for line in shown.splitlines() if line.startswith("fingerprint.names"))
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
    for command in (["verify"], ["export"], ["forget", "0" * 64], ["stats"]):
        assert idemctl(*command).code == ctl.REFUSED
    idemctl.place[1] = f"http://127.0.0.1:{httpd.address[1]}/nothing"
    assert idemctl("list").code == ctl.FAILED
    idemctl.place[1] = "http://127.0.0.1:1/"
    assert idemctl("list").code == ctl.FAILED
    assert ctl.Ctl("lmdb:/nowhere")("watch").code == ctl.USAGE


# ---- all entries --------------------------------------------------------------------------------------------------

def test_export_is_the_same(idemctl, httpd, api, unknown, tmp_path):
    for i in range(3):
        api.post("/pay?size=3000", key=f"e{i}", body=b"1")
    here, there = ctl.of_server(httpd)("export"), idemctl("export")
    assert there.code == ctl.OK and there.objects[1:] == here.objects[1:] and len(there.objects) >= 2 + 4
    first = there.objects[0]
    assert {**first, "made": None} == {**here.objects[0], "made": None}
    assert idemctl("export", "--state", "unknown", "--prefix", unknown[:9]).objects[1]["slot"] == unknown
    taken = f"{len(there.objects) - 2} entries were exported"
    assert any("IDEM203" in line and "user alice" in line and taken in line for line in httpd.log.lines())
    into = ctl.Ctl(f"lmdb:{tmp_path}/copy")
    assert into("import", stdin=there.out).code == ctl.OK
    assert sorted(into.slots()) == sorted(idemctl.slots())
    with subprocess.Popen(idemctl.command("export"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as cut:
        cut.stdout.readline()
        cut.stdout.close()
        assert cut.wait() == ctl.OK and cut.stderr.read() == b""


@pytest.mark.parametrize("said", [b'{"format":"x"}\n{"slot":"1"}\n', b'{"end":true}', b""])
def test_export_that_breaks_off_is_found_out(said):
    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        idemctl = ctl.Ctl("")
        idemctl.place = ["--url", f"http://127.0.0.1:{server.server_port}/"]
        answer = idemctl("export")
        thread.join()
    assert answer.code == ctl.FAILED and "something is missing" in answer.err, answer


def test_damage_is_found_and_only_removed_if_asked(idemctl, httpd, api):
    api.post("/pay", key="damaged", body=b"1")
    slot = idemctl.json("find", "--key", "damaged", "--scope", f"host={api.host}")[0]["slot"]
    before = json.loads(idemctl("verify", "--json").out)
    assert before["looked_at"] >= 1 and before["damaged"] == 0
    store = RawStore(httpd)
    with store.path.open("r+b") as file:
        for entry in store.records():
            if entry.slot.hex() == slot:
                file.seek(entry.offset + len(entry.data) - 20)
                file.write(bytes([entry.data[-20] ^ 1]))
    for words, forgotten in (((), 0), (("--forget-damaged", "--dry-run"), 1), (("--forget-damaged", ), 1)):
        found = idemctl("verify", "--json", *words)
        row, verdict = found.objects
        assert found.code == ctl.DAMAGE and (row["slot"], row["state"]) == (slot, "damaged")
        assert (verdict["damaged"], verdict["forgotten"]) == (1, forgotten)
    assert idemctl("verify").code == ctl.OK and idemctl("show", slot).code == ctl.ABSENT


def test_import_needs_the_store_itself(idemctl):
    answer = idemctl("import", stdin="")
    assert answer.code == ctl.UNABLE and "--store instead of --url" in answer.err
