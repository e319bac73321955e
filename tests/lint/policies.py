# SPDX-License-Identifier: Apache-2.0
"""Each file of conf/policies has a row in docs/policies.md and a test, and says in its head what a person must know.

The head is the comment that the file begins with. It has the line by which the file is included. A test is a quoted
word in any file of the tests that names the policy. A row about a file that is not there is a finding, too.
"""
import re

import source

DOCUMENT, FOLDER, TESTS = "docs/policies.md", "conf/policies", "tests"
ROW = re.compile(r"^\| `([\w.-]+)\.conf` \|", re.MULTILINE)
ENGINE = re.compile(r"^\s*IdempotencyEngine On$", re.MULTILINE)


def head_of(text):
    return text[:re.search(r"^[^#]|\Z", text, re.MULTILINE).start()]


def names_in_tests():
    """Every quoted word of the tests that could be a policy's name, with or without its ending."""
    paths = [path for path in source.files(TESTS, ends=(".py",)) if not path.startswith("tests/lint/")]
    words = (re.findall(r"[\"'/]([\w-]+)(?:\.conf)?[\"']", source.text_of(path)) for path in paths)
    return {word for found in words for word in found}


def main():
    names = {path[len(FOLDER) + 1:-len(".conf")]: path for path in source.files(FOLDER, ends=(".conf",))}
    rows, tested, findings = ROW.findall(source.text_of(DOCUMENT)), names_in_tests(), []
    for name, path in names.items():
        text = source.text_of(path)
        if rows.count(name) != 1:
            findings.append(f"{DOCUMENT}:1: {name}.conf has {rows.count(name)} rows, not one")
        if name not in tested:
            findings.append(f"{path}:1: no test names {name}")
        if not re.search(r"^#\s+Include \S+/%s\.conf$" % re.escape(name), head_of(text), re.MULTILINE):
            findings.append(f"{path}:1: the comment at its head lacks the line that includes it")
        if not ENGINE.search(text):
            findings.append(f"{path}:1: does not turn the engine on")
    findings += [f"{DOCUMENT}:1: there is no {name}.conf" for name in rows if name not in names]
    source.finish("policies", findings, len(names), "policies")


main()
