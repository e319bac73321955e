# SPDX-License-Identifier: Apache-2.0
"""What the lint scripts share: which files there are, and how a finding is reported.

Every check prints one line per finding as path:line: text, one closing line, and exits with 1 if there was a finding.
A check that finds nothing to look at has lost its subject and fails as well.
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = {".git", "build", "__pycache__", ".pytest_cache", ".cache"}


def files(*under, ends=()):
    """Paths relative to the project's root, sorted; everything below the folders (or files) named."""
    found = []
    for top in under or (".",):
        start = os.path.join(ROOT, top)
        if os.path.isfile(start):
            found.append(top)
        for folder, inner, names in os.walk(start):
            inner[:] = sorted(set(inner) - SKIPPED)
            found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name not in SKIPPED]
    return sorted({path for path in found if not ends or path.endswith(tuple(ends))})


def c_files():
    return files("mod_idempotency.c", "include", "src", "tests", ends=(".c", ".h"))


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def finish(name, findings, looked_at, of_what):
    """Prints and ends the process."""
    for finding in findings:
        print(f"{name}: {finding}", file=sys.stderr)
    if not looked_at:
        print(f"{name}: found no {of_what} to look at", file=sys.stderr)
        sys.exit(1)
    print(f"{name}: {looked_at} {of_what}, {len(findings)} findings")
    sys.exit(1 if findings else 0)
