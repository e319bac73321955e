# SPDX-License-Identifier: Apache-2.0
"""idemctl on the store of a server that runs: what is listed and shown, found by key, resolved and forgotten."""
import os
import re
import signal
import subprocess

import pytest

import ctl
import env

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
<Location /cgi/again>
    IdempotencyInterrupted retry
</Location>
<Location /cgi/scoped>
    IdempotencyScope header:X-Tenant path
</Location>
"""


@pytest.fixture
def idemctl(httpd):
    return ctl.of_server(httpd)


@pytest.fixture
def find(idemctl, host):
    def find(key="k1", *more):
        return idemctl.json("find", "--key", key, "--scope", f"host={host}", *more)[0]
    return find


@pytest.fixture
def unknown(httpd, api, idemctl, find, origin):
    """The slot of a key whose request ran in a child that was killed."""
    with origin.hold("/pay") as held:
        conn = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        child = httpd.child_of(conn)
        running = find()["entry"]
        assert (running["state"], running["owner"]) == ("running", {"alive": True, "host": "local", "process": child})
        for verb in (["forget", running["slot"]], ["resolve", running["slot"], "--as", "done"]):
            refused = idemctl(*verb)
            assert refused.code == ctl.REFUSED and "its owner lives" in refused.err
        os.kill(child, signal.SIGKILL)
        env.until(lambda: child not in httpd.children(), "the parent buries its child")
    assert running["slot"] in idemctl.slots("--state", "unknown")
    return running["slot"]


# ---- list and show ----------------------------------------------------------------------------------------------

def test_entry_is_found_by_key_and_shown(api, idemctl, find, origin):
    first = api.post("/pay", key="k1", body=b"1")
    found = find()
    entry = found["entry"]
    assert found["scope"] == [{"part": "host", "value": api.host}, {"part": "user", "value": None}]
    assert (entry["state"], entry["attempt"], entry["ttl"]) == ("record", 1, 86400)
    assert entry["response"]["status"] == 201
    assert entry["response"]["body_bytes"] == len(first.body)
    assert entry["fingerprint"] == {"parts": 7, "names": None, "note": None,
                                    "body": {"known": True, "whole": True, "bytes": 1, "declared": 1}}
    assert {field["name"] for field in entry["response"]["headers"]} <= {name for name, _ in first.headers}
    assert idemctl.json("show", found["slot"], "--body")[0]["response"]["body"]["data"] == first.body.decode()
    assert idemctl.json("show", found["slot"][:12])[0] == entry
    assert idemctl("show", found["slot"]).out.splitlines()[0].split() == ["slot", found["slot"]]


def test_log_line_leads_to_the_entry(api, httpd, idemctl, find):
    """A log line has the first digits of a slot."""
    api.post("/pay", key="k1", body=b"1")
    api.post("/pay", key="k1", body=b"1")
    api.post("/pay", key="k1", body=b"1")
    digits = re.search(r"IDEM051: \[([0-9a-f]{8}),", [line for line in httpd.log.lines() if "IDEM051" in line][-1])[1]
    assert find()["slot"].startswith(digits)
    assert idemctl.json("show", digits)[0]["state"] == "record"


def test_quoted_key_is_the_same_key_and_raw_is_not(api, idemctl, find):
    api.post("/pay", key="k1", body=b"1")  # which the client puts into quotes
    assert find('"k1"') == find("k1")
    assert idemctl("find", "--key", '"k1"', "--raw", "--scope", f"host={api.host}").code == ctl.ABSENT


def test_scope_is_the_servers(api, idemctl, httpd):
    api.post("/scoped", key="k1", body=b"1", headers=[("X-Tenant", "blue")])
    found = idemctl.json("find", "--key", "-", "--parts", "header:X-Tenant path", "--scope", "header:X-Tenant=blue",
                         "--scope", "path=/cgi/scoped", stdin="k1\n")[0]
    assert found["entry"]["state"] == "record"
    assert found["scope"] == [{"part": "header:x-tenant", "value": "blue"}, {"part": "path", "value": "/cgi/scoped"}]
    text = idemctl("find", "--key", "k1", "--parts", "header:X-Tenant path", "--scope", "path=/cgi/scoped",
                   "--scope", "header:x-tenant=blue").out
    assert text.splitlines()[0].split() == ["scope", "header:x-tenant", "blue"]


def test_key_that_nobody_sent_is_absent(idemctl, host):
    answer = idemctl("find", "--key", "nobody's", "--scope", f"host={host}")
    assert answer.code == ctl.ABSENT and "there is no entry for this slot" in answer.err
    assert re.search(r"^slot +[0-9a-f]{64}$", answer.out, re.MULTILINE)


def test_list_filters(api, idemctl, origin):
    for key in ("k1", "k2", "k3"):
        api.post("/pay", key=key, body=b"1")
    all_slots = idemctl.slots()
    assert all_slots == sorted(all_slots) and len(set(all_slots)) >= 3
    assert idemctl.slots("--prefix", all_slots[1]) == [all_slots[1]]
    assert idemctl.slots("--prefix", all_slots[1][:5]) == [s for s in all_slots if s.startswith(all_slots[1][:5])]
    assert idemctl.slots("--limit", "2") == all_slots[:2]
    assert idemctl.slots("--older-than", "1h") == []
    assert idemctl.slots("--newer-than", "1h") == all_slots
    assert set(idemctl.slots("--state", "record,tombstone")) <= set(all_slots)
    assert idemctl.slots("--state", "damaged") == []


def test_no_key_and_no_token_is_ever_shown(api, idemctl, origin):
    api.post("/pay", key="so-secret-a-key", body=b"1")
    find = ["find", "--key", "so-secret-a-key", "--scope", f"host={api.host}"]
    for words in (["list", "--json"], ["list"], find, [*find, "--json"]):
        answer = idemctl(*words)
        assert "so-secret-a-key" not in answer.out + answer.err
        assert "token" not in answer.out.lower()


def test_reader_that_closes_its_pipe_is_no_error(api, idemctl):
    for i in range(70):
        api.post("/pay", key=f"k{i}", body=b"1")
    shell = subprocess.run(["bash", "-o", "pipefail", "-c", '"$@" | head -n 1', "-", *idemctl.command("list")],
                           capture_output=True, text=True, timeout=env.CLIENT_TIMEOUT)
    assert (shell.returncode, shell.stderr, len(shell.stdout.splitlines())) == (0, "", 1)


# ---- resolve and forget -----------------------------------------------------------------------------------------

def test_resolved_as_done_is_never_run_again(unknown, idemctl, api, origin):
    assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
    foreseen = idemctl("resolve", unknown, "--as", "done", "--dry-run")
    assert foreseen.out == f"{unknown}: would be resolved as done, it was unknown\n"
    assert idemctl.json("show", unknown)[0]["cause"] == "owner-died"
    assert idemctl("resolve", unknown, "--as", "done").code == ctl.OK
    assert api.post("/pay", key="k1", body=b"1").problem in ((409, "response-not-kept"), (409, "outcome-unknown"))
    assert api.post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    assert idemctl.json("show", unknown)[0]["state"] == "tombstone"
    assert origin.executions("/pay") == 1
    again = idemctl("resolve", unknown, "--as", "retry")
    assert again.code == ctl.REFUSED and "nothing to resolve" in again.err


def test_resolved_as_not_done_frees_the_key(unknown, idemctl, api, origin):
    assert idemctl("resolve", unknown[:16], "--as", "not-done").code == ctl.OK
    assert idemctl("show", unknown).code == ctl.ABSENT
    assert api.post("/pay", key="k1", body=b"2").problem == (201, None)
    assert origin.executions("/pay") == 2


def test_resolved_as_retry_lets_the_same_request_run(unknown, idemctl, api, origin):
    assert idemctl("resolve", unknown, "--as", "retry").code == ctl.OK
    shown, = idemctl.json("show", unknown)
    assert (shown["state"], shown["cause"], shown["attempt"]) == ("unknown", "resolved-retry", 1)
    assert api.post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    first = api.post("/pay", key="k1", body=b"1")
    assert first.problem == (201, None) and origin.executions("/pay") == 2
    assert idemctl.json("show", unknown)[0]["attempt"] == 2
    assert api.post("/pay", key="k1", body=b"1").replayed


def test_what_was_shown_must_still_stand(unknown, idemctl):
    version = idemctl.json("show", unknown)[0]["version"]
    assert idemctl("resolve", unknown, "--as", "retry", "--if-version", version).code == ctl.OK
    late = idemctl("resolve", unknown, "--as", "not-done", "--if-version", version)
    assert late.code == ctl.REFUSED and "has changed since it was shown" in late.err
    assert idemctl.json("show", unknown)[0]["cause"] == "resolved-retry"


def test_record_is_forgotten_and_its_key_is_free(api, idemctl, find, origin):
    api.post("/pay", key="k1", body=b"1")
    slot = find()["slot"]
    assert idemctl("forget", slot, "--dry-run").code == ctl.OK and find()["entry"]
    assert idemctl.json("forget", slot)[0]["before"]["state"] == "record"
    assert idemctl("forget", slot).code == ctl.ABSENT
    assert api.post("/pay", key="k1", body=b"1").problem == (201, None)
    assert origin.executions("/pay") == 2


# ---- the whole store --------------------------------------------------------------------------------------------

def test_stats_and_verify_count_what_is_there(api, idemctl):
    for i in range(3):
        api.post("/pay", key=f"k{i}", body=b"1")
    count = len(idemctl.slots())
    stats, = idemctl.json("stats")
    assert stats["entries"]["entries"] == count and stats["entries"]["states"]["damaged"]["entries"] == 0
    assert stats["store"]["bytes_max"] == 1 << 30
    assert idemctl.json("verify")[0] == {"looked_at": count, "damaged": 0, "unopened": 0, "forgotten": 0}
    assert idemctl("sweep", "--dry-run").out == "about 0 expired entries would be removed\n"
    assert idemctl.json("sweep")[0] == {"removed": 0}


# ---- wrong command lines ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, says", [
    (["show"], "usage: idemctl show SLOT"),
    (["show", "xyz"], "hexadecimal digits"),
    (["list", "--as", "done"], "list does not take --as"),
    (["list", "--state", "gone"], 'not "gone"'),
    (["list", "--older-than", "soon"], "takes a duration"),
    (["list", "--limit", "0"], "a number from 1 on"),
    (["list", "--nonsense"], "invalid option: --nonsense"),
    (["resolve", "0" * 64], "--as done"),
    (["resolve", "0" * 64, "--as", "maybe"], "--as done"),
    (["find", "--scope", "host=x"], "needs --key"),
    (["find", "--key", "k"], "say --scope host=NAME"),
    (["find", "--key", "k", "--scope", "tenant=x"], "tenant is no part of this scope"),
    (["find", "--key", "k", "--parts", "nonsense"], "is no part of a scope"),
    (["find", "--key", "a,b", "--scope", "host=x"], "key"),
])
def test_wrong_command_line_is_explained(idemctl, words, says):
    answer = idemctl(*words)
    assert (answer.code, answer.out) == (ctl.USAGE, "") and says in answer.err


def test_unknown_command_and_help(idemctl):
    assert ctl.Ctl("lmdb:/nowhere")("dance").code == ctl.USAGE
    for command in ("list", "show", "find", "forget", "resolve", "sweep", "stats", "verify"):
        helped = subprocess.run([ctl.PROGRAM, command, "--help"], capture_output=True, text=True)
        assert helped.returncode == 0 and helped.stdout.startswith(f"idemctl {command}") and "--json" in helped.stdout
    helped = subprocess.run([ctl.PROGRAM, "--help"], capture_output=True, text=True)
    assert helped.returncode == 0 and "resolve" in helped.stdout


def test_store_that_is_not_there_is_not_made(tmp_path):
    answer = ctl.Ctl(f"lmdb:{tmp_path}/none")("list")
    assert answer.code == ctl.FAILED and "there is no such store" in answer.err
    assert list(tmp_path.iterdir()) == []
