# SPDX-License-Identifier: Apache-2.0
"""Are the tables in docs/stores.md what the drivers say and what tests show, and do those tests exist?

guarantees.py PROGRAM [--write]: PROGRAM (guarantees.c) prints the flags that drivers have. tests/lint/guarantees.txt
says, setup by setup, what becomes of its entries and which test shows it. What follows from a flag begins with the
flag's word: nobody can write "kept" where a driver says volatile. With --write the document is brought up to date.
"""
import os
import re
import subprocess
import sys

import source

DOCUMENT, CELLS = "docs/stores.md", "tests/lint/guarantees.txt"
SETUPS = "tests/store/servers/setups.py"  # over which tests/http/store/test_guarantees.py and others run
COLUMNS = {"process": "a process of httpd is killed", "restart": "all of it is killed and started again",
           "power": "power fails", "full": "it is full", "hosts": "hosts that may share it",
           "node": "its server, or its disk, is lost", "clock": "its clock is set"}
# column: flag -> first words; None for a store without it
WORDS = {"process": {"fragile": "may lose", None: "kept"}, "restart": {"volatile": "forgotten", None: "kept"},
         "full": {"evicts": "drops", None: "refuses"}, "hosts": {"host-local": "one", None: "all"}}
FLAGS = {"evicts", "volatile", "host-local", "fragile", "offline"}


class Setup:
    def __init__(self, name, line):
        self.name, self.line, self.flags, self.cells = name, line, None, {}


def setups(findings):
    """[NAME], then lines "COLUMN WORDS | TEST [TEST…]" and one of flags, whose test is left out where the program knows
    them.
    """
    found = []
    for number, line in enumerate(source.text_of(CELLS).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            found.append(Setup(line.strip("[] "), number))
            continue
        left, _, tests = line.partition("|")
        column, _, words = left.strip().partition(" ")
        cell = (words.strip(), tests.split(), number)
        if not found or (column != "flags" and column not in COLUMNS):
            findings.append(f"{CELLS}:{number}: no such column: {column}")
        elif column == "flags":
            found[-1].flags = cell
        elif column in found[-1].cells:
            findings.append(f"{CELLS}:{number}: {column} is said twice")
        else:
            found[-1].cells[column] = cell
    return found


def is_test(name):
    """FILE::NAME or FILE::NAME[SETUP]: the file has both."""
    path, _, test = name.partition("::")
    test, _, setup = test.partition("[")
    if not test or not os.path.isfile(os.path.join(source.ROOT, path)):
        return False
    text = source.text_of(path)
    return bool(re.search(rf"\b{re.escape(test)}\b", text)) and (not setup or setup.rstrip("]") in text)


def check_tests(setup, what, cell, findings):
    _, tests, number = cell
    if not tests:
        findings.append(f"{CELLS}:{number}: {setup.name}: no test shows {what}")
    findings += [f"{CELLS}:{number}: there is no test {test}" for test in tests if not is_test(test)]


def check(setup, known, findings):
    if f'"{setup.name}": ' not in source.text_of(SETUPS):
        findings.append(f"{CELLS}:{setup.line}: {SETUPS} does not start {setup.name}")
    flags = set(filter(None, setup.flags[0].split(","))) if setup.flags else None
    if flags is None or not flags <= FLAGS:
        findings.append(f"{CELLS}:{setup.line}: {setup.name}: its flags are {', '.join(sorted(FLAGS))}")
        return
    if setup.name not in known or setup.flags[1]:
        check_tests(setup, "its flags", setup.flags, findings)
    if setup.name in known and flags != known[setup.name]:
        findings.append(
            f"{CELLS}:{setup.flags[2]}: {setup.name}: its driver says {','.join(sorted(known[setup.name]))}")
    for column in COLUMNS:
        if column not in setup.cells:
            findings.append(f"{CELLS}:{setup.line}: {setup.name}: nothing is said about {column}")
            continue
        check_tests(setup, column, setup.cells[column], findings)
        choice = WORDS.get(column, {})
        begins = next((word for flag, word in choice.items() if flag in flags), choice.get(None, ""))
        if not setup.cells[column][0].replace("*", "").startswith(begins):
            findings.append(
                f"{CELLS}:{setup.cells[column][2]}: {setup.name}: by its flags {column} begins with \"{begins}\"")


def flags_known(program, findings):
    printed = subprocess.run([program], check=False, capture_output=True, text=True)
    findings += printed.stderr.splitlines() + ([f"{program} failed"] if printed.returncode else [])
    pairs = (line.split(": ", 1) for line in printed.stdout.splitlines())
    return {name: set(filter(None, flags.split(","))) for name, flags in pairs}


def title(name):
    scheme, _, rest = name.partition(", ")
    return f"`{scheme}`" + (f" {rest}" if rest else "")


def promises(found):
    rows = ["| store | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for setup in found:
        cells = [setup.cells.get(column, ("", [], 0))[0] for column in COLUMNS]
        rows.append(f"| {title(setup.name)} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def proofs(found):
    rows = ["| store | when | shown by |", "|---|---|---|"]
    for setup in found:
        for column, when in COLUMNS.items():
            tests = setup.cells.get(column, ("", [], 0))[1]
            rows.append(f"| {title(setup.name)} | {when} | " + ", ".join(f"`{test}`" for test in tests) + " |")
    return "\n".join(rows) + "\n"


def place(text, name, made, findings):
    """The document with what was made between the markers of that name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        findings.append(f"{DOCUMENT}:1: the markers {begin} and {end} are gone")
        return text
    head, rest = text.split(begin)
    return head + begin + "\n" + made + end + rest.split(end)[1]


def main():
    findings = []
    known, found = flags_known(sys.argv[1], findings), setups(findings)
    for setup in found:
        check(setup, known, findings)
    for name in known.keys() - {setup.name for setup in found}:
        findings.append(f"{CELLS}:1: nothing is said about {name}")
    old = source.text_of(DOCUMENT)
    new = place(place(old, "guarantees", promises(found), findings), "proofs", proofs(found), findings)
    if "--write" in sys.argv[2:]:
        with open(f"{source.ROOT}/{DOCUMENT}", "w", encoding="utf-8") as file:
            file.write(new)
    elif old != new:
        findings.append(f"{DOCUMENT}:1: its tables are not what {CELLS} says: make guarantees")
    source.finish("guarantees", findings, sum(len(setup.cells) for setup in found), "promises")


main()
