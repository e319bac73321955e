# SPDX-License-Identifier: Apache-2.0
"""No line of a source or of a document has more than 120 columns.

In documents these may be longer: tables, code blocks, links that cannot break. In sources: a string, an address or a
path that fills its line by itself, and what stands between "clang-format off" and "on". In configurations: a
directive, which is one line.
"""
import re
import unicodedata

import source

COLUMNS = 120
SOURCES = (".c", ".h", ".def", ".py", ".sh", ".mk", "Makefile")
DOCUMENTS = (".md",)
CONFIGURATIONS = (".conf",)

FENCE = re.compile(r"^\s*```")
OFF, ON = re.compile(r"clang-format off"), re.compile(r"clang-format on")
TAB = 4


def width(line):
    """In columns of a terminal: accents that stand over another letter take none, wide letters two."""
    shown = line.expandtabs(TAB)
    if shown.isascii():
        return len(shown)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in shown)
    return len(shown) + wide - sum(bool(unicodedata.combining(letter)) for letter in shown)


def cannot_break(line):
    """One word without a blank that would be too long in a line of its own, too."""
    indent = len(line) - len(line.lstrip())
    return any(indent + len(word) > COLUMNS for word in line.split())


def exempt_of_document(lines):
    fenced = False
    for line in lines:
        fence = bool(FENCE.match(line))
        yield fenced or fence or line.lstrip().startswith("|") or cannot_break(line)
        fenced = fenced != fence


def exempt_of_source(lines):
    by_hand = False
    for line in lines:
        by_hand = (by_hand or bool(OFF.search(line))) and not ON.search(line)
        yield by_hand or cannot_break(line)


def exempt_of_configuration(lines):
    for line in lines:
        words = line.split(maxsplit=1) or [""]
        yield cannot_break(line) or not words[0] == "#"


def too_long(path):
    lines = source.text_of(path).split("\n")
    if path.endswith(DOCUMENTS):
        exempt = exempt_of_document(lines)
    else:
        exempt = exempt_of_configuration(lines) if path.endswith(CONFIGURATIONS) else exempt_of_source(lines)
    for number, (line, is_exempt) in enumerate(zip(lines, exempt), 1):
        if not is_exempt and width(line) > COLUMNS:
            yield f"{path}:{number}: {width(line)} columns, the limit is {COLUMNS}"


def main():
    paths = source.files(ends=SOURCES + DOCUMENTS + CONFIGURATIONS)
    for kind in (SOURCES, DOCUMENTS):
        if not any(path.endswith(kind) for path in paths):
            source.finish("columns", [f".:1: has no {', '.join(kind)}"], 0, "files")
    findings = [finding for path in paths for finding in too_long(path)]
    source.finish("columns", findings, len(paths), "files")


main()
