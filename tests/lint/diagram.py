# SPDX-License-Identifier: Apache-2.0
"""Are the diagram and the list of pairs in docs/internals/lease.md those that the lease table gives, and do the tests
named there exist?

diagram.py PROGRAM TESTS [--write]: PROGRAM prints both from the table; TESTS names for each pair, "PHASE EVENT
file::test", the test that reaches it. With --write the document is brought up to date.
"""
import os
import re
import subprocess
import sys

import source

DOCUMENT = "docs/internals/lease.md"
BEGIN, END = "<!-- lease:begin -->", "<!-- lease:end -->"


def missing_tests(tests):
    """A finding for each line of TESTS that names a file or a test that is not there."""
    findings = []
    for number, line in enumerate(source.text_of(tests).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        path, _, name = line.split(None, 2)[2].strip().partition("::")
        if not os.path.isfile(os.path.join(source.ROOT, path)):
            findings.append(f"{tests}:{number}: there is no {path}")
        elif not name or not re.search(rf"\b{re.escape(name.split('[')[0])}\b", source.text_of(path)):
            findings.append(f"{tests}:{number}: {path} has no test {name}")
    return findings


def main():
    program, tests = sys.argv[1], sys.argv[2]
    printed = subprocess.run([program, tests], check=False, capture_output=True, text=True)
    findings = printed.stderr.splitlines() + missing_tests(tests)
    if printed.returncode and not findings:
        findings.append(f"{program} ended with {printed.returncode}")
    text = source.text_of(DOCUMENT)
    if BEGIN not in text or END not in text:
        source.finish("diagram", [f"{DOCUMENT}:1: the markers {BEGIN} and {END} are gone"], 1, "pairs")
    head, rest = text.split(BEGIN, 1)
    old, tail = rest.split(END, 1)
    if "--write" in sys.argv[3:]:
        with open(f"{source.ROOT}/{DOCUMENT}", "w", encoding="utf-8") as file:
            file.write(f"{head}{BEGIN}\n{printed.stdout}{END}{tail}")
    elif old != f"\n{printed.stdout}":
        findings.append(f"{DOCUMENT}:1: diagram and pairs are not the table's: make diagram")
    source.finish("diagram", findings, printed.stdout.count(" --> "), "pairs")


main()
