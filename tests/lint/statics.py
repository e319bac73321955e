# SPDX-License-Identifier: Apache-2.0
"""A static function's name says what it is about, and stands in one file only. A search for it finds the right one.

A name that two files have is a finding. CEILING is how many there may be; it only falls.
"""
import re
import subprocess
import sys

import source

CEILING = 0


def homes():
    """{name of a static function: the places that define it, one a file}"""
    sources = [path for path in source.files("mod_idempotency.c", "src", ends=(".c",))]
    listing = subprocess.run(["ctags", "-f", "-", "--c-kinds=f", "--fields=fn"] + sources,
                             check=True,
                             capture_output=True,
                             text=True,
                             cwd=source.ROOT).stdout
    found = {}
    for line in listing.splitlines():
        name, path, *rest = line.split("\t")
        if "file:" in rest:
            number = next(re.sub(r"\D", "", field) for field in rest if field.startswith("line:"))
            found.setdefault(name, {}).setdefault(path, number)
    return found


def main():
    found = homes()
    twins = {name: places for name, places in found.items() if len(places) > 1}
    findings = []
    if len(twins) > CEILING:
        for name, places in sorted(twins.items()):
            path, number = min(places.items())
            findings.append(f"{path}:{number}: {name}() is the name of another function in "
                            f"{', '.join(sorted(set(places) - {path}))}")
        print(f"statics: {len(twins)} names have twins, {CEILING} may: one of those below is new", file=sys.stderr)
    elif len(twins) < CEILING:
        print(f"statics: {len(twins)} names have twins, {CEILING} may: lower CEILING in tests/lint/statics.py")
    source.finish("statics", findings, len(found), "names")


main()
