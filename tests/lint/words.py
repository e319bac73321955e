# SPDX-License-Identifier: Apache-2.0
"""Words that must not be in the project: promises to finish something later, and traces of the machine it was written
on.

The patterns are put together from pieces, so that this file passes its own check.
"""
import re

import source

LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE = re.compile(r"(?<![\w.])/(wo" r"rk|tmp/br" r"ief|home/\w+|ro" r"ot)/")
REGISTRY = re.compile(r"(deb|ftp|security|snapshot)[.]debian[.]org|(pypi|npmjs|rubygems|crates)[.](org|io|com)|registry[.]\w+[.]\w", re.I)
NOT_TEXT = (".png", ".ico", ".gz", ".mdb", ".bin")

PATTERNS = (
    (LATER, "finish it now, or say in the documentation what is not there"),
    (MACHINE, "a path of one particular machine"),
    (REGISTRY, "the name of a package registry's host: machines have their own mirrors"),
)


def main():
    findings, paths = [], [path for path in source.files() if not path.endswith(NOT_TEXT)]
    for path in paths:
        for number, line in enumerate(source.text_of(path).splitlines(), 1):
            for pattern, why in PATTERNS:
                match = pattern.search(line)
                if match:
                    findings.append(f"{path}:{number}: \"{match.group(0)}\": {why}")
    source.finish("words", findings, len(paths), "files")


main()
