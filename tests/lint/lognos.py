# SPDX-License-Identifier: Apache-2.0
"""Every message has a number of its own; each warning or error appears in a test and, with its meaning, in
docs/operations.md.

The table between the markers in docs/operations.md is made here: number, level and text come from the source, the
fourth column is written by hand and kept. `tests/lint/lognos.py --write` brings the table up to date.
"""
import re
import sys

import source

DOCUMENT = "docs/operations.md"
BEGIN, END = "<!-- lognos:begin -->", "<!-- lognos:end -->"
MACROS = "src/http/log.h"
BY_HAND = re.compile(r'"IDEM(%|\d)')
CALL = re.compile(r"\bIDEM_S?LOG[ \t]*\(")
ROW = re.compile(r"^\| IDEM(\d{3}) \|[^|]*\|.*\| ([^|]*) \|$", re.MULTILINE)
# No test can reach these: only a bug of ours does (2), a hundred thousand settlements that wait (70), or a process that
# the kernel refuses a thread (73, 92), shared memory (80) or a pipe (221).
UNREACHABLE = {2, 70, 73, 80, 92, 221}
LOUD = {"WARNING", "ERR", "CRIT", "ALERT", "EMERG"}


def arguments(text, start):
    """The arguments of the call whose parenthesis opened just before start, split at its own commas."""
    parts, depth, last, at = [], 0, start, start
    while at < len(text):
        letter = text[at]
        if letter in "\"'":
            at += 1
            while text[at] != letter:
                at += 1 + (text[at] == "\\")
        elif letter in "([{":
            depth += 1
        elif letter in ")]}" and depth:
            depth -= 1
        elif letter == ")" or (letter == "," and not depth):
            parts.append(text[last:at].strip())
            last = at + 1
            if letter == ")":
                return parts
        at += 1
    return parts


def levels_of(argument):
    return set(re.findall(r"APLOG_([A-Z0-9]+)", argument))


def names_of_strings():
    """What a #define'd name stands for, where that is a string."""
    paths = source.files("include", "src", ends=(".h", ".c"))
    found = (re.findall(r'^#define (\w+) "([^"\n]*)"', source.text_of(path), re.MULTILINE) for path in paths)
    return {name: value for pairs in found for name, value in pairs}


def sentence_of(argument, names):
    """The format as a person reads it: what is filled in is an ellipsis."""
    words = ""
    for text, name in re.findall(r'"((?:[^"\\]|\\.)*)"|\b([A-Z]\w*)', argument):
        words += "d" if name.endswith("_FMT") else names.get(name, "%s") if name else text
    words = re.sub(r"(%[-+ #0]*[\d.*]*(?:l|ll|z|h)*[a-zA-Z])+", "…", words)
    return words.replace('\\"', '"').replace("%%", "%").replace("|", "/").strip()


def calls(findings):
    """(number, path, line, levels, sentence) of every call of the two macros."""
    names = names_of_strings()
    for path in source.files("src", "mod_idempotency.c", ends=(".c", ".h")):
        text = source.text_of(path)
        if path == MACROS:
            continue
        for match in BY_HAND.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            findings.append(f"{path}:{line}: a number by hand is not seen here: use IDEM_LOG or IDEM_SLOG")
        for match in CALL.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            given = arguments(text, match.end())
            if len(given) < 4 or not given[2].isdigit():
                findings.append(f"{path}:{line}: the third argument must be a plain number")
                continue
            yield int(given[2]), path, line, levels_of(given[1]), sentence_of(given[3], names)


def table(messages, meanings):
    rows = ["| number | level | message | what it means, what to do |", "|---|---|---|---|"]
    for number, _, _, levels, sentence in sorted(messages):
        level = " or ".join(sorted(levels)).lower() or "varies"
        rows.append(f"| IDEM{number:03d} | {level} | {sentence} | {meanings.get(number, '')} |")
    return "\n".join(rows) + "\n"


def check_document(messages, findings, write):
    text = source.text_of(DOCUMENT)
    if BEGIN not in text or END not in text:
        findings.append(f"{DOCUMENT}:1: the table's markers {BEGIN} and {END} are gone")
        return
    head, rest = text.split(BEGIN, 1)
    old, tail = rest.split(END, 1)
    meanings = {int(number): meaning for number, meaning in ROW.findall(old)}
    new = "\n" + table(messages, meanings)
    if write:
        with open(f"{source.ROOT}/{DOCUMENT}", "w", encoding="utf-8") as file:
            file.write(head + BEGIN + new + END + tail)
    elif old != new:
        findings.append(f"{DOCUMENT}:1: the table of messages is out of date: tests/lint/lognos.py --write")
    for number, _, _, levels, _ in messages:
        if (levels & LOUD or not levels) and not meanings.get(number):
            findings.append(f"{DOCUMENT}:1: IDEM{number:03d} has no meaning written beside it")


def expected_by_tests():
    """The numbers that tests name: IDEM031 in a text, or expect_log(31)."""
    text = "".join(
        source.text_of(path)
        for path in source.files(*(f"tests/{room}" for room in ("base", "core", "store", "http", "install")))
        if path.endswith((".py", ".c", ".h", ".sh")))
    named = set(re.findall(r"IDEM(\d{3})", text))
    for given in re.findall(r"\bexpect_log\(([^()]*)\)", text):
        named |= {f"{int(number):03d}" for number in re.findall(r"\b\d+\b", given)}
    return named


def main():
    findings = []
    messages = list(calls(findings))
    tested = expected_by_tests()
    seen = {}
    for number, path, line, levels, _ in messages:
        if number in seen:
            findings.append(f"{path}:{line}: IDEM{number:03d} is already used in {seen[number]}")
        seen[number] = f"{path}:{line}"
        if (levels & LOUD or not levels) and number not in UNREACHABLE and f"{number:03d}" not in tested:
            findings.append(f"{path}:{line}: no test expects IDEM{number:03d}")
    check_document(messages, findings, "--write" in sys.argv[1:])
    source.finish("lognos", findings, len(messages), "messages")


main()
