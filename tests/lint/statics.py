# SPDX-License-Identifier: Apache-2.0
"""A static function's name carries its subject, and stands in one file only. A search for it finds the right one.

A name of one word says what is done, not to what: it is a finding. So is a name that two files have.
"""
import re
import subprocess

import source


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
    findings = []
    for name, places in sorted(found.items()):
        path, number = min(places.items())
        if "_" not in name:
            findings.append(f"{path}:{number}: {name}() does not name its subject: two words are the least")
        if len(places) > 1:
            findings.append(f"{path}:{number}: {name}() is the name of another function in "
                            f"{', '.join(sorted(set(places) - {path}))}")
    source.finish("statics", findings, len(found), "names")


main()
