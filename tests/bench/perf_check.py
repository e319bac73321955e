#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
make perf-check: instructions, allocations and system calls of a request of each kind, against budgets.json.

    perf_check.py            compares; exit code 1 if one is over its budget
    perf_check.py --write    writes what it counts as the new budgets (make perf-budgets)

httpd runs under callgrind, one process and one worker. Sections of few and of many requests are counted in it, and
their difference is taken: what starts and ends is in neither. Beside it runs an httpd without the module. The clock
plays no part, so a busy machine counts like a quiet one. The CPU plays none, either: OpenSSL and the C library may use
only instructions of every x86-64, so they compute SHA-256 in software. What makes counts differ is the build: the
compiler, and the versions of httpd, APR, OpenSSL, LMDB and the C library. budgets.json has those that it was made with.
"""
import argparse
import concurrent.futures
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

from bench_httpd import BenchHttpd, Connection, key_of
from callgrind import dumps_by_mark, read_dump, read_system_calls
from verdict import KINDS, judge

import env  # noqa: E402 (bench_httpd.py has found it)

BUDGETS = pathlib.Path(__file__).resolve().parent / "budgets.json"
PINNED = {
    "OPENSSL_ia32cap": "0x0000020107808110:0x0",  # SSE2 and SSSE3, no AVX, no AES-NI, no SHA
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM,-BMI2,-RTM,-MOVBE,-LZCNT,"
                      "-AVX_Fast_Unaligned_Load"
}
PACKAGES = ("apache2-bin", "libapr1", "libaprutil1", "libssl3", "liblmdb0", "libc6")
FEW, MANY, ROUNDS = 10, 60, 3
WARM = 12
WORTH_NOTING = 100  # instructions: functions that take less are in no budget

# Kind of request: its path, its key by its number, the answer it must get, and whether httpd has the module.
RECORDED = [key_of(number) for number in range(FEW)]
SCENES = {
    "bare": ("/no", lambda number: None, 201),
    "engine off": ("/no", lambda number: None, 201),
    "no key": ("/on", lambda number: None, 201),
    "replay": ("/on", lambda number: RECORDED[number % FEW], 201),
    "first": ("/on", lambda number: key_of(1000 + number), 201),
    "409": ("/on?cut", lambda number: "an-outcome-that-is-not-known-00000000", 409),
    "422": ("/on?other", lambda number: RECORDED[0], 422),
}


class Counted:
    """One httpd under callgrind: .count(kind) asks for a kind of request and cuts the profile into sections."""

    def __init__(self, folder, store):
        folder.mkdir()
        folder.chmod(0o777)  # the store's probe is another user's process, and has a profile, too
        self.folder = folder
        tool = ["valgrind", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", "--trace-syscalls=yes",
                "--vgdb=no", f"--log-file={folder}/log", f"--callgrind-out-file={folder}/callgrind.%p"]
        more = {"store": store} if store else {"store": None}
        self.httpd = BenchHttpd("prefork", command=tool, arguments=["-X"], environment=PINNED, **more)

    def run(self, names):
        with self.httpd as server:
            connection = Connection(server.port)
            for name in names:
                self.count(connection, name)
            connection.close()
        calls, dumps = read_system_calls(self.folder / "log"), dumps_by_mark(self.folder)
        return {name: self.result(name.replace(" ", "-"), calls, dumps) for name in names}

    @staticmethod
    def count(connection, name):
        path, key, expected = SCENES[name]
        number, status = 0, None
        for section, count in enumerate([WARM, FEW] + [MANY] * ROUNDS):
            for _ in range(count):
                status = connection.ask(path, key(number))
                number += 1
            if status != expected:
                raise RuntimeError(f"{name}: an answer of status {status} instead of {expected}")
            connection.ask(f"/mark?{name.replace(' ', '-')}.{section}", method="GET", body=b"")

    @staticmethod
    def result(mark, calls, dumps):
        """Of the rounds the cheapest: a thread that wakes up once a second is in the others."""
        few, few_allocations = read_dump(dumps[f"{mark}.1"])
        best = min(range(2, 2 + ROUNDS), key=lambda section: sum(read_dump(dumps[f"{mark}.{section}"])[0].values()))
        many, many_allocations = read_dump(dumps[f"{mark}.{best}"])
        more = MANY - FEW

        def each(much, little):
            return {key: (much[key] - little[key]) / more for key in much}
        functions, made = each(many, few), each(calls[f"{mark}.{best}"], calls[f"{mark}.1"])
        return {"instructions": sum(functions.values()), "allocations": (many_allocations - few_allocations) / more,
                "system calls": sum(made.values()), "functions": functions, "calls": made}


def count_all(folder):
    with_module = [name for name in SCENES if name != "bare"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        bare = pool.submit(Counted(folder / "bare", None).run, ["bare"])
        guarded = pool.submit(Counted(folder / "guarded", "lmdb:{root}/store sync=off").run, with_module)
        return {**bare.result(), **guarded.result()}


# ---- what it depends on ----------------------------------------------------------------------------------------------

def versions():
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES], capture_output=True,
                           text=True)
    found = dict(line.split(" ", 1) for line in asked.stdout.splitlines())
    comment = subprocess.run(["readelf", "-p", ".comment", str(env.MODULE)], capture_output=True, text=True).stdout
    found["compiler"] = "; ".join(sorted(set(re.findall(r"\]\s+(.*)", comment))))
    return found


def differences(now, then):
    return [f"    {name}: {now.get(name, 'none')}, where the budgets have {then.get(name, 'none')}"
            for name in sorted({*now, *then}) if now.get(name) != then.get(name)]


def why_not():
    if platform.machine() != "x86_64":
        return f"the budgets are those of x86-64, and this is {platform.machine()}"
    return None if shutil.which("valgrind") else "valgrind is not installed: run make deps"


# ---- the table -------------------------------------------------------------------------------------------------------

def table(found):
    bare = found["bare"]["instructions"]
    rows = [f"{'a request':12}{'instructions':>14}{'over bare':>12}{'allocations':>13}{'system calls':>14}"]
    rows += [f"{name:12}{one['instructions']:14,.0f}{one['instructions'] - bare:+12,.0f}{one['allocations']:13.1f}"
             f"{one['system calls']:14.1f}" for name, one in found.items()]
    return "\n".join(rows)


def rounded(one):
    return {**{kind: round(one[kind], 1) for kind in KINDS},
            "functions": {name: round(count) for name, count in sorted(one["functions"].items(), key=lambda f: -f[1])
                          if count >= WORTH_NOTING},
            "calls": {name: round(count, 2) for name, count in sorted(one["calls"].items()) if count}}


def write(found):
    budgets = {"made with": versions(), "requests": {name: rounded(one) for name, one in found.items()}}
    BUDGETS.write_text(json.dumps(budgets, indent=1) + "\n")
    print(f"perf-budgets: written to {BUDGETS.name}")
    return 0


def compare(found):
    budgets = json.loads(BUDGETS.read_text())
    over, low = [], []
    for name, one in found.items():
        more_over, more_low = judge(name, one, budgets["requests"][name])
        over += more_over
        low += more_low
    others = differences(versions(), budgets["made with"])
    if over:
        print("perf-check: over budget", *over, sep="\n")
    if over and others:
        print("The budgets were made with other versions, which may be the reason:", *others,
              "If they are, make perf-budgets writes new ones: with it on the commit before, differences show.",
              sep="\n")
    if low:
        print("perf-check: please lower the budgets with make perf-budgets", *low, sep="\n")
    print(f"perf-check: {len(found)} kinds of requests, {'OVER BUDGET' if over else 'within their budgets'}")
    return 1 if over else 0


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    options.add_argument("--write", action="store_true", help="write what is counted as the new budgets")
    options.add_argument("--keep", type=pathlib.Path, help="a new folder for the profiles, for callgrind_annotate")
    chosen = options.parse_args()
    reason = why_not()
    if reason:
        print(f"perf-check: not done: {reason}")
        return 0 if platform.machine() != "x86_64" else 1
    with tempfile.TemporaryDirectory(prefix="idem-perf-") as temporary:
        pathlib.Path(temporary).chmod(0o755)
        folder = chosen.keep or pathlib.Path(temporary)
        folder.mkdir(exist_ok=True)
        found = count_all(folder)
    print(table(found))
    return write(found) if chosen.write else compare(found)


if __name__ == "__main__":
    sys.exit(main())
