# SPDX-License-Identifier: Apache-2.0
"""A store of a million entries: imported, listed, verified and counted by idemctl in bounded memory.

    million_entries.py BUILD [COUNT]

Memory of a process's own is limited by the kernel; the pages of the store's file, which it maps, are not of its own.
"""
import base64
import hashlib
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

MOST = 96 << 20  # bytes of a process's own
HEAD, SUM = 320, 16


def limited():
    resource.setrlimit(resource.RLIMIT_DATA, (MOST, MOST))


def value_of(slot):
    """A tombstone that lives for a day: format 1, whose checksum is a SHA-256."""
    head = b"IDEM" + bytes([1, 3, 0, 0]) + (86400000).to_bytes(8, "big") + bytes(4) + (1).to_bytes(4, "big") + bytes(8)
    head += slot + slot[:16]
    head += bytes(HEAD - len(head))
    return head + hashlib.sha256(head).digest()[:SUM]


def lines(count):
    yield {"format": "mod_idempotency export", "version": 1, "store": "made", "made": "", "mark": None}
    for number in range(count):
        slot = hashlib.sha256(str(number).encode()).digest()
        yield {"slot": slot.hex(), "state": "tombstone", "expires_ms": None,
               "value": base64.b64encode(value_of(slot)).decode()}
    yield {"end": True}


class Ctl:
    def __init__(self, build, store):
        self.program, self.store = str(pathlib.Path(build) / "idemctl"), ["--store", f"lmdb:{store}"]

    def start(self, *words, **more):
        return subprocess.Popen([self.program, words[0], *self.store, *words[1:]], preexec_fn=limited,
                                stdout=subprocess.PIPE, text=True, **more)


def fill(ctl, count):
    with ctl.start("import", "--json", "--option", "sync=off", "--option", "size=4G", stdin=subprocess.PIPE) as run:
        for line in lines(count):
            run.stdin.write(json.dumps(line) + "\n")
        run.stdin.close()
        answer = json.loads(run.stdout.read())
    assert run.returncode == 0 and answer["put"] == count, (run.returncode, answer)


def check_list(ctl, count):
    with ctl.start("list", "--json") as run:
        slots = [json.loads(line)["slot"] for line in run.stdout]
    assert run.returncode == 0 and len(slots) == count and slots == sorted(set(slots))
    with ctl.start("list", "--prefix", slots[count // 2]) as run:
        assert len(run.stdout.readlines()) == 1


def main(build, count=1000000):
    with tempfile.TemporaryDirectory() as folder:
        ctl = Ctl(build, folder + "/store")
        for what, step in (("import", fill), ("list", check_list)):
            began = time.monotonic()
            step(ctl, count)
            print(f"{what:8} {count} entries, {time.monotonic() - began:.0f} s")
        for words in (["verify", "--json"], ["stats", "--json"]):
            began = time.monotonic()
            with ctl.start(*words) as run:
                answer = json.loads(run.stdout.read())
            assert run.returncode == 0, words
            seen = answer["looked_at"] if words[0] == "verify" else answer["entries"]["entries"]
            assert seen == count, answer
            print(f"{words[0]:8} {count} entries, {time.monotonic() - began:.0f} s")


main(sys.argv[1], *map(int, sys.argv[2:]))
