#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
make test-changed: which suites look at what was changed since BASE, and why; runs them. What is not committed counts.

Prints a line for each suite with the files that chose it. A file that no row knows, as the Makefile, chooses make test.
"""
import os
import pathlib
import re
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "http"))

import mpms  # noqa: E402 (found by the line above)

TEST_FILE = re.compile(r"tests/http/(\w+/)?test_\w+\.py")
# What a path looks like, and which make targets look at it. The first row that fits counts. {} is the path.
ROWS = [
    (r"tests/http/hosts/test_\w+\.py", ["files {}", "hosts {}"]),
    (r"tests/http/(\w+/)?test_\w*browser\w*\.py", ["browser"]),
    (r"tests/http/sdks/.*", ["sdks"]),
    (r"tests/http/applications/.*", ["applications"]),
    (r"docs/clients\.md|tests/http/(lossy|documents|pages/test_documented_clients)\.py", ["lint", "clients"]),
    (r"docs/cookbook\.md", ["lint", "integration-event"]),
    (TEST_FILE, ["files {}"]),
    (r"tests/http/.*\.md|docs/.*|[A-Z]+(\.md)?|\.github/.*|\.editorconfig", ["lint"]),
    (r"tests/http/.*", ["integration-event"]),
    (r"tests/(base|core|store/front)/.*", ["unit"]),
    (r"tests/store/((\w+/)?test_\w+|conftest|driven)\.py", ["servers"]),
    (r"tests/store/servers/.*", ["servers", "integration-event"]),
    (r"tests/store/lmdb/.*", ["durability"]),
    (r"tests/store/.*", ["conformance", "conformance-httpd", "durability", "servers", "integration-event"]),
    (r"tests/model/.*", ["model"]),
    (r"tests/(lint|run)/.*|\.ci/.*", ["lint"]),
    (r"tests/fuzz/whole/.*", ["fuzz-requests"]),
    (r"tests/fuzz/.*", ["fuzz-replay"]),
    (r"tests/chaos/.*", ["chaos-short"]),
    (r"tests/faults/.*", ["faults-short"]),
    (r"(tests/install|conf)/.*", ["install-check", "lint", "integration-event"]),
    (r"tests/bench/sizing\.py", ["sizing"]),
    (r"tests/bench/.*", ["perf-check"]),
    (r"demo/.*", ["demo", "demo-stop"]),
    (r"src/base/.*", ["check", "conformance-httpd", "integration-event", "chaos-short", "faults-short"]),
    (r"src/core/.*", ["check", "asan", "integration-short", "perf-check"]),
    (r"src/store/(lmdb|socache)/.*", ["check", "conformance-httpd", "integration-event", "faults-short", "perf-check"]),
    (r"src/store/(redis|memcache|dbd)/.*", ["check", "servers", "integration-event"]),
    (r"(src/store|include)/.*", ["check", "conformance-httpd", "servers", "integration-event", "faults-short"]),
    (r"src/http/(background|transaction)/.*", ["check", "integration-short", "chaos-short", "faults-short"]),
    (r"(src/http/.*|mod_idempotency\.c)", ["check", "integration-short", "fuzz-requests"]),
]
ORDER = """lint check unit conformance durability model fuzz-replay install-check asan demo demo-stop conformance-httpd
servers files hosts browser clients sdks applications integration-event integration-short fuzz-requests chaos-short
faults-short perf-check sizing test""".split()
WIDER = {"check": {"unit", "conformance", "durability", "model", "lint", "install-check", "fuzz-replay"},
         "integration-event": {"files"}, "integration-short": {"files", "integration-event"},
         "test": set(ORDER) - {"sizing", "hosts", "clients", "sdks", "applications", "test"}}


def git(*words):
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


def changed_since(base):
    since = git("merge-base", base, "HEAD").strip()
    untracked = git("ls-files", "--others", "--exclude-standard")
    return sorted(set((git("diff", "--name-only", since) + untracked).splitlines()))


def suites_for(path):
    for pattern, suites in ROWS:
        if re.fullmatch(pattern, path):
            return [suite.format(path).split()[0] for suite in suites]
    return ["test"]


def choose(paths):
    """Suite -> the paths that chose it, in the order of running; without those that another one has in it."""
    chosen = {}
    for path in paths:
        for suite in suites_for(path):
            chosen.setdefault(suite, []).append(path)
    for suite in list(chosen):
        for part in WIDER.get(suite, set()) & set(chosen):
            chosen[suite] = sorted(set(chosen[suite] + chosen.pop(part)))
    return dict(sorted(chosen.items(), key=lambda item: ORDER.index(item[0])))


def command(suite, paths):
    make = [os.environ.get("MAKE", "make"), "--no-print-directory"]
    if suite in ("files", "hosts"):
        files = [path for path in paths if TEST_FILE.fullmatch(path) and os.path.exists(path)]
        selected = "SELECTED=" + " ".join(files)
        depends = any(pathlib.Path(path).stem in mpms.FILES for path in files)
        return [*make, "hosts", selected] if suite == "hosts" else \
            [*make, "integration-short", selected, "MPMS=" + ("event worker prefork" if depends else "event")]
    return [*make, "all", suite]


def main():
    base = sys.argv[1]
    paths = changed_since(base)
    chosen = choose(paths)
    print(f"test-changed: {len(paths)} files differ from {base}")
    for suite, because in chosen.items():
        more = f" and {len(because) - 5} more" if len(because) > 5 else ""
        print(f"test-changed: {suite}, because of {', '.join(because[:5])}{more}")
    if "--dry-run" in sys.argv:
        return
    failed = [suite for suite, because in chosen.items() if subprocess.run(command(suite, because)).returncode]
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    if failed:
        print("FAILED:", *failed)
        sys.exit(1)


if __name__ == "__main__":
    main()
