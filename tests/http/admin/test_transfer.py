# SPDX-License-Identifier: Apache-2.0
"""
idemctl on stores of all kinds: listed and acted on, damage found, moved from one to another.

A test names a store's server before httpd, so that httpd ends first.
"""
import base64
import json
import shutil
import subprocess

import pytest

import ctl
import env
import raw_store
from client import Api
from mariadb_server import MariaDB
from memcached_server import Memcached
from postgres_server import Postgres
from redis_server import Redis
from secrets_of_tests import write_secret
from sqlite_file import Sqlite

pytestmark = pytest.mark.mpm_independent
PATHS = ["/pay?size=5000&seed=b", "/pay?status=204&body=", "/pay?status=500&body=sorry",
         "/pay?body=x&header=X-One:+b&header=X-One:+a"]


@pytest.fixture
def postgres():
    with Postgres() as server:
        yield server


@pytest.fixture
def mariadb():
    with MariaDB() as server:
        yield server


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def memcached(tmp_path):
    with Memcached(tmp_path / "memcached", "-M") as server:
        yield server


@pytest.fixture
def filled(new_httpd, host):
    """Starts a server with a store, and has it record: (the server, its api, what it answered by path)."""
    def fill(store, config=""):
        server = new_httpd(config, store)
        if "{secret}" in config:
            server.config = server.config.replace("{secret}", str(write_secret(server, "new")))
        api = Api(server.start().address, host)
        return server, api, {path: api.post(path, key=path[5:], body=b"1").recorded for path in PATHS}
    return fill


def replays(api, recorded):
    for path, first in recorded.items():
        again = api.post(path, key=path[5:], body=b"1")
        assert again.replayed and again.recorded == first


def works(idemctl, api, host, origin):
    """Everything that can be done where entries can be listed."""
    count = len(PATHS)
    slots = idemctl.slots("--state", "record")
    assert len(set(slots)) == count
    assert idemctl.json("stats")[0]["entries"]["states"]["record"]["entries"] == count
    assert idemctl.json("verify")[0]["damaged"] == 0
    slot = idemctl.json("find", "--key", PATHS[0][5:], "--scope", f"host={host}")[0]["slot"]
    shown, = idemctl.json("show", slot[:20], "--body")
    assert shown["response"]["status"] == 201 and shown["written"] and shown["expires"] > shown["written"]
    before = origin.executions("/pay")
    assert idemctl("forget", slot).code == ctl.OK and idemctl("show", slot).code == ctl.ABSENT
    assert api.post(PATHS[0], key=PATHS[0][5:], body=b"1").status == 201 and origin.executions("/pay") == before + 1
    assert idemctl("resolve", slots[1], "--as", "done").code == ctl.REFUSED
    assert idemctl("sweep").code == ctl.OK


def test_databases_and_redis(postgres, mariadb, redis, filled, origin, host, stage):
    folder = stage.root / "database of idemctl"
    folder.mkdir()
    sqlite = Sqlite(folder)
    if env.ROOT:
        for path in (folder, sqlite.path):
            shutil.chown(path, env.USER)
    for url in (postgres.url(), mariadb.url(), redis.url(), sqlite.url()):
        origin.clear()
        _, api, _ = filled(f'"{url}"')
        works(ctl.Ctl(url, *(["--become", env.USER] if env.ROOT else [])), api, host, origin)
    shutil.rmtree(folder)


def test_memcached_says_that_it_cannot_list(memcached, filled, origin, host):
    _, api, recorded = filled(memcached.url())
    idemctl = ctl.Ctl(memcached.url())
    for words in (["list"], ["list", "--json"], ["verify"], ["verify", "--json", "--forget-damaged"], ["export"],
                  ["show", "00"], ["forget", "00"], ["resolve", "00", "--as", "done"], ["sweep", "--dry-run"]):
        answer = idemctl(*words)
        assert answer.code == ctl.UNABLE and "memcached cannot list its keys" in answer.err, answer
        assert '"slot"' not in answer.out
    sweep = idemctl("sweep")
    assert sweep.code == ctl.OK and sweep.out.startswith("0 ")  # it does so by itself
    stats = idemctl("stats", "--json")
    assert stats.code == ctl.UNABLE and stats.object["entries"] is None and stats.object["store"]["bytes_used"] > 0
    found, = idemctl.json("find", "--key", PATHS[0][5:], "--scope", f"host={host}")
    assert found["entry"]["state"] == "record"
    assert idemctl("resolve", found["slot"], "--as", "done").code == ctl.REFUSED
    assert idemctl("forget", found["slot"]).code == ctl.OK
    replays(api, {path: first for path, first in recorded.items() if path != PATHS[0]})
    assert not api.post(PATHS[0], key=PATHS[0][5:], body=b"1").replayed


@pytest.mark.parametrize("place, says", [("socache:shmcb", "memory of httpd"), ("socache:dbm:/x", "lock"),
                                         ("socache:redis:127.0.0.1", "redis://"), ("socache:memcache:x", "memcache:"),
                                         ("socache:mine", "module of httpd")])
def test_store_inside_httpd_is_no_tools(place, says):
    for words in (["list"], ["show", "0" * 64], ["forget", "0" * 64], ["resolve", "0" * 64, "--as", "done"],
                  ["sweep"], ["stats"], ["verify"], ["export"]):
        answer = ctl.Ctl(place)(*words)
        assert answer.code == ctl.UNABLE and answer.out == "" and says in answer.err, answer


# ---- export and import ----------------------------------------------------------------------------------------------

def exported(idemctl, folder):
    answer = idemctl("export")
    assert answer.code == ctl.OK, answer
    path = folder / "export"
    path.write_text(answer.out)
    return path, answer


def test_replays_go_on_in_another_store(postgres, redis, filled, new_httpd, host, tmp_path, origin):
    server, api, recorded = filled("lmdb")
    with origin.hold("/held") as held:
        running = api.post_async("/held", key="running", body=b"1")
        held.wait_until_entered()
        path, answer = exported(ctl.of_server(server), tmp_path)
    with running:
        running.result()
    lines = answer.objects
    assert lines[0]["mark"] is None and lines[-1]["entries"] == len(PATHS)
    assert (lines[-1]["end"], lines[-1]["running"]) == (True, 1) and "1 that run" in answer.err
    for url in (postgres.url(), redis.url()):
        target = ctl.Ctl(url)
        assert target.json("import", str(path), "--dry-run")[0]["put"] == len(PATHS) and target.slots() == []
        assert target.json("import", str(path))[0]["put"] == len(PATHS)
        assert target.json("import", stdin=path.read_text())[0]["put"] == len(PATHS)  # once more: the same
        before = {line["slot"]: line["expires_ms"] for line in lines[1:-1]}
        after = {line["slot"]: line["expires_ms"] for line in target("export").objects[1:-1]}
        assert before.keys() == after.keys()
        assert all(abs(before[slot] - after[slot]) < 60000 for slot in before)
        moved = Api(new_httpd("", f'"{url}"').start().address, host)
        replays(moved, recorded)


def test_seals_are_kept(redis, postgres, filled, new_httpd, host, tmp_path):
    server, _, recorded = filled("lmdb", "IdempotencySecret file:{secret}")
    secret = server.root / "secret"
    path, answer = exported(ctl.of_server(server), tmp_path)  # without the secret
    assert answer.objects[0]["mark"] and "sorry" not in answer.out
    assert {entry["sealed"] for entry in ctl.of_server(server).json("list")} == {True}
    assert ctl.of_server(server).json("list")[0]["response"] is None
    shown = ctl.of_server(server, "--secret", str(secret)).json("list")
    assert {entry["response"]["status"] for entry in shown} == {201, 204, 500}
    assert ctl.Ctl(redis.url()).json("import", str(path))[0]["put_with_a_new_life"] == len(PATHS)
    assert ctl.Ctl(postgres.url(), "--secret", str(secret)).json("import", str(path))[0]["put"] == len(PATHS)
    for url in (redis.url(), postgres.url()):
        idemctl = ctl.Ctl(url, "--secret", str(secret))
        assert idemctl.json("verify")[0] == {"looked_at": len(PATHS), "damaged": 0, "unopened": 0, "forgotten": 0}
        other = new_httpd(f"IdempotencySecret file:{secret}", f'"{url}"').start()
        replays(Api(other.address, host), recorded)


def test_store_of_another_secret_is_refused(redis, filled, tmp_path):
    server, _, _ = filled("lmdb", "IdempotencySecret file:{secret}")
    path, _ = exported(ctl.of_server(server), tmp_path)
    plain, _, _ = filled(f'"{redis.url()}"')
    refused = ctl.Ctl(redis.url())("import", str(path))
    assert refused.code == ctl.REFUSED and "the mark of another slot: secret, or of none" in refused.err
    other = write_secret(server, "old", slot="slot: quite another one, and long enough for it\n", name="other")
    refused = ctl.Ctl(f"lmdb:{tmp_path}/new", "--secret", str(other))("import", str(path))
    assert refused.code == ctl.REFUSED and "the export was made with another one" in refused.err
    wrong = ctl.of_server(server, "--secret", str(other))("list")
    assert wrong.code == ctl.FAILED and "was made with another slot: secret" in wrong.err


def test_export_that_was_cut_is_found_out(redis, filled, tmp_path):
    server, _, _ = filled("lmdb")
    path, answer = exported(ctl.of_server(server), tmp_path)
    lines = answer.out.splitlines(keepends=True)
    newer = answer.out.replace('"version":1', '"version":9')
    for text, says in (("".join(lines[:-1]), "its last line is missing"), (answer.out[:-200], "is cut"),
                       ("", "no export"), ("{}\n", "no export"), (newer, "version")):
        done = ctl.Ctl(redis.url())("import", stdin=text)
        assert done.code in (ctl.FAILED, ctl.USAGE) and says in done.err, (text[:80], done)
    entry = json.loads(lines[1])
    entry["value"] = entry["value"][:-8] + "AAAAAAA="
    bad = ctl.Ctl(redis.url())("import", "--json", stdin=lines[0] + json.dumps(entry) + "\n" + lines[-1])
    assert bad.code == ctl.DAMAGE and bad.object["wrong"] == 1 and "checksum" in bad.err


# ---- damage ---------------------------------------------------------------------------------------------------------

def summed(data):
    return bytes(data) + raw_store.checksum(bytes(data))


def damaged(value):
    """Ways in which a value can be wrong; the checksum is right where it is made anew."""
    plain = bytearray(value[:-raw_store.SUM])

    def changed(at, byte):
        copy = bytearray(plain)
        copy[at] = byte
        return copy
    status = plain.index((500).to_bytes(2, "big"), raw_store.HEAD)
    return {
        "magic": summed(changed(0, 0x58)), "short": value[:100], "newer": summed(changed(4, 99)),
        "old": summed(changed(4, 0)), "flipped": bytes(value[:-20]) + bytes([value[-20] ^ 1]) + bytes(value[-19:]),
        "torn": value[:-30], "state": summed(changed(5, 9)), "flags": summed(changed(6, 0x80)),
        "unused": summed(changed(raw_store.HEAD - 1, 1)), "status": summed(changed(status, 0xff)),
        "longer": summed(plain + b"more"), "nothing": b"",
    }


def test_each_kind_of_damage_is_found_and_nothing_repaired_unasked(redis, filled):
    filled(f'"{redis.url()}"')
    idemctl = ctl.Ctl(redis.url())
    lines = idemctl("export").objects
    value = next(raw for raw in (base64.b64decode(line["value"]) for line in lines[1:-1]) if b"sorry" in raw)
    kinds = damaged(value)
    slots = {}
    for number, (kind, bytes_of) in enumerate(kinds.items()):
        slot = f"{number:02x}" * 32
        bytes_of = bytes_of[:32] + bytes.fromhex(slot) + bytes_of[64:] if len(bytes_of) > 64 else bytes_of
        if kind not in ("short", "flipped", "torn", "nothing"):
            bytes_of = summed(bytearray(bytes_of[:-raw_store.SUM]))
        times = (0).to_bytes(8, "big") + (253402300799999).to_bytes(8, "big")
        subprocess.run(["redis-cli", "-p", str(redis.port), "-x", "SET", f"idem:{slot}"], input=times + bytes_of,
                       check=True, capture_output=True)
        slots[slot] = kind
    foreign = "ee" * 32  # a sound value of another slot
    subprocess.run(["redis-cli", "-p", str(redis.port), "-x", "SET", f"idem:{foreign}"], input=times + value,
                   check=True, capture_output=True)
    slots[foreign] = "moved"
    verdict = idemctl("verify", "--json")
    assert verdict.code == ctl.DAMAGE
    *found, last = verdict.objects
    assert {slots[entry["slot"]] for entry in found} == set(slots.values()) and len(slots) >= 10
    assert all(entry["state"] == "damaged" and entry["fault"] for entry in found)
    assert (last["damaged"], last["forgotten"]) == (len(slots), 0)
    assert set(idemctl.slots("--state", "damaged")) == set(slots)  # nothing was repaired
    refused = idemctl("resolve", foreign, "--as", "done")
    assert refused.code == ctl.REFUSED and "damaged" in refused.err
    assert idemctl("verify", "--forget-damaged", "--dry-run").code == ctl.DAMAGE
    assert len(idemctl.slots("--state", "damaged")) == len(slots)
    assert idemctl("verify", "--forget-damaged", "--json").objects[-1]["forgotten"] == len(slots)
    assert idemctl.json("verify")[-1]["damaged"] == 0 and len(idemctl.slots()) == len(PATHS)
