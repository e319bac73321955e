# SPDX-License-Identifier: Apache-2.0
"""Each lint finds a fault that is planted for it, passes without it, and fails where it has lost its subject.

A lint's root is the folder above the folder that it stands in. So a copy in a small tree looks at that tree.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
LONG = "a " + "word " * 60
ROOMS = """
include
src/base
src/core
src/store/common
src/store/front
src/store/one driver
src/http httpd
. httpd
"""


class Tree:
    def __init__(self, root):
        self.root = root
        (root / "tests/lint").mkdir(parents=True)
        self.copy("source")

    def write(self, path, text):
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def copy(self, name):
        place = self.root / f"tests/lint/{name}.py"
        if not place.exists():
            shutil.copy(HERE / place.name, place)
        return place

    def lint(self, name, *arguments):
        """(passed, all that it said)"""
        self.copy(name)
        command = [sys.executable, "-B", f"tests/lint/{name}.py", *arguments]
        done = subprocess.run(command, cwd=self.root, check=False, capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr

    def compile(self, *paths):
        for path in paths:
            made = self.root / "build" / path.replace(".c", ".o")
            made.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["gcc", "-c", "-o", made, self.root / path], check=True)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def expect(tree, lint, fault, *arguments):
    passed, said = tree.lint(lint, *arguments)
    assert not passed and fault in said, said


# ---- sentences -----------------------------------------------------------------------------------------------------

@pytest.fixture
def documents(tree):
    for path in ("README.md", "CHANGES.md", "CONTRIBUTING.md", "SECURITY.md", "docs/design.md", "docs/manual.md",
                 "docs/operations.md", "docs/security.md", "docs/stores.md", "docs/internals/lease.md"):
        tree.write(path, f"# {LONG}\n\nThe gate claims the key. The handler runs once.\n")
    tree.write("conf/one.conf", "# A lease has a time to live.\n#Directive On\n")
    tree.write("include/one.h", "/* A driver never logs. */\n")
    tree.write("src/one/one.c", "/* A driver never logs. */\n")
    return tree


def test_short_sentences_pass_and_are_counted(documents):
    passed, said = documents.lint("sentences")
    assert passed and "sentences: 23 sentences" in said and "median  4.0" in said, said


@pytest.mark.parametrize("path, text", [
    ("docs/security.md", f"{LONG}.\n\n* {LONG}.\n"),
    ("docs/internals/lease.md", "The gate " + "word " * 14 + "ends.\n"),
    ("conf/one.conf", f"# {LONG}.\n"),
    ("include/one.h", f"/*\n * {LONG}.\n */\n"),
    ("include/one.h", "// " + "word " * 10 + "\n// " + "word " * 10 + "\n"),
])
def test_long_sentences_are_found(documents, path, text):
    documents.write(path, text)
    expect(documents, "sentences", f"{path}:1: half of the sentences")


@pytest.mark.parametrize("text", [f"```\n{LONG}\n```\n", f"| {LONG} | {LONG} |\n", f"## {LONG}\n", f"<!-- {LONG} -->\n",
                                  f"[a page](#{'long-' * 40})\n"])
def test_what_is_no_sentence_is_left_out(documents, text):
    documents.write("docs/security.md", text + "\nThe gate claims the key.\n")
    assert documents.lint("sentences")[0]


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "docs/stores.md", "conf/one.conf",
                                  "include/one.h"])
def test_document_that_is_gone_is_found(documents, path):
    (documents.root / path).unlink()
    passed, said = documents.lint("sentences")
    assert not passed and ("no such document" in said or "has no document" in said), said


def test_long_comments_of_a_room_are_found(documents):
    documents.write("src/one/two.c", f"/* {LONG} */\n/* {LONG} */\n")
    expect(documents, "sentences", "src/one:1: half of the sentences in comments")


@pytest.mark.parametrize("path, named", [("docs/manual.md", "docs/manual.md"), ("src/one/two.c", "src/one")])
def test_some_long_sentences_are_found(documents, path, named):
    """Two of twenty: the median is small, and one would be allowed."""
    few = "The gate claims the key.\n\n" * 18
    long = "The gate " + "word " * 24 + "ends.\n\n"
    for count in (1, 2):
        text = few + long * count
        documents.write(path, text if path.endswith(".md") else "".join(f"/* {one} */\n" for one in text.split("\n\n")))
        passed, said = documents.lint("sentences")
        assert passed == (count == 1), said
    assert f"{named}:1: 2 of 2" in said and "have more than 25 words" in said, said


def test_sources_without_comments_are_found(documents):
    (documents.root / "src/one/one.c").unlink()
    expect(documents, "sentences", "src:1: has no source")


def test_document_without_a_sentence_is_found(documents):
    documents.write("docs/manual.md", "# Manual\n")
    expect(documents, "sentences", "docs/manual.md:1: has no sentence")


# ---- columns -------------------------------------------------------------------------------------------------------

@pytest.fixture
def lines(tree):
    """A tree in which no line is allowed to be too long."""
    tree.copy("columns")
    tree.write("src/one.c", "int one;\n")
    tree.write("README.md", "One.\n")
    return tree


@pytest.mark.parametrize("path", ["src/one.c", "src/one.h", "src/one.def", "one.py", "one.sh", "mk/one.mk", "Makefile",
                                  "docs/one.md"])
def test_long_line_is_found(lines, path):
    lines.write(path, "\nint " + "x " * 60 + "\n")
    expect(lines, "columns", f"{path}:2: 124 columns")


@pytest.mark.parametrize("path, text", [
    ("docs/one.md", f"| {LONG} |"), ("docs/one.md", f"```\n{LONG}\n```"), ("docs/one.md", "[a](" + "x" * 150 + ")"),
    ("src/one.c", "/* clang-format off */\n" + LONG + "\n/* clang-format on */"), ("src/one.c", "ä" * 120),
    ("src/one.c", 'x = "' + "x" * 150 + '";'), ("conf/one.conf", "Header set A " + "b " * 60),
])
def test_line_that_may_be_long_passes(lines, path, text):
    lines.write(path, text + "\n")
    passed, said = lines.lint("columns")
    assert passed, said


def test_exemption_ends(lines):
    lines.write("docs/one.md", f"```\ncode\n```\n{LONG}\n")
    expect(lines, "columns", "docs/one.md:4:")
    lines.write("docs/one.md", "One.\n")
    lines.write("src/one.c", f"/* clang-format off */\n/* clang-format on */\n{LONG}\n")
    expect(lines, "columns", "src/one.c:3:")
    lines.write("src/one.c", "int one;\n")
    lines.write("conf/one.conf", f"# One.\n# {LONG}\nHeader set A b\n")
    expect(lines, "columns", "conf/one.conf:2:")


def test_tree_without_documents_is_found(lines):
    (lines.root / "README.md").unlink()
    expect(lines, "columns", "has no .md")


# ---- licence -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["src/one.c", "src/one.h", "one.py", "one.sh", "mk/one.mk", "Makefile"])
def test_file_without_licence_is_found(tree, path):
    tree.copy("licence")
    tree.write("src/two.c", "/* SPDX-License-Identifier: Apache-2.0 */\nint two;\n")
    assert tree.lint("licence")[0]
    tree.write(path, "one\n\n# SPDX-License-Identifier: Apache-2.0\n")
    expect(tree, "licence", f"{path}:1:")


# ---- rooms ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def rooms(tree):
    tree.write("src/rooms", ROOMS)
    tree.write("src/core/key.h", "/* */\n")
    tree.write("src/base/bytes.h", "/* */\n")
    tree.write("src/store/front/front.h", "/* */\n")
    tree.write("src/store/one/one_private.h", "/* */\n")
    tree.write("src/core/key.c", '#include "key.h"\n#include "bytes.h"\n#include <apr_pools.h>\n')
    return tree


def test_includes_that_go_up_pass(rooms):
    passed, said = rooms.lint("layers")
    assert passed, said


@pytest.mark.parametrize("path, line, fault", [
    ("src/base/bytes.c", '#include "key.h"', "stands below src/base"),
    ("src/store/one/one.c", '#include "front.h"', "stands below src/store/one"),
    ("src/http/gate.c", '#include "one_private.h"', "for the files of its own room"),
    ("src/core/key.c", "#include <httpd.h>", "does not know httpd"),
    ("src/core/key.c", '#include "nobody.h"', "none of our headers"),
    ("src/http/key.h", "", "has the same name"),
    ("src/attic/old.c", "", "is no room"),
])
def test_wrong_include_is_found(rooms, path, line, fault):
    rooms.write(path, f"{line}\n")
    expect(rooms, "layers", fault)


# ---- circles -------------------------------------------------------------------------------------------------------

def test_files_that_call_one_way_pass(tree):
    tree.write("src/a.c", "void b(void); void a(void) { b(); }\n")
    tree.write("src/b.c", "void b(void) { }\n")
    tree.compile("src/a.c", "src/b.c")
    passed, said = tree.lint("circles", "build")
    assert passed and "2 files" in said, said


def test_circle_is_found(tree):
    tree.write("src/a.c", "void b(void); void a(void) { b(); }\n")
    tree.write("src/b.c", "void c(void); void b(void) { c(); }\n")
    tree.write("src/c.c", "void a(void); void (*c_calls)(void) = a; void c(void) { c_calls(); }\n")
    tree.compile("src/a.c", "src/b.c", "src/c.c")
    expect(tree, "circles", "src/a.c, src/b.c, src/c.c", "build")


def test_circles_without_objects_fail(tree):
    assert not tree.lint("circles", "build")[0]


# ---- statics ---------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("ctags"), reason="ctags is not there")
def test_twin_is_found(tree):
    tree.write("src/a.c", "static int one_begin(void) { return 1; }\nint one(void) { return one_begin(); }\n")
    tree.write("src/b.c", "static int two_begin(void) { return 2; }\nint two(void) { return two_begin(); }\n")
    passed, said = tree.lint("statics")
    assert passed and "2 names" in said, said
    tree.write("src/b.c", "static int one_begin(void) { return 2; }\nint two(void) { return one_begin(); }\n")
    expect(tree, "statics", "src/a.c:1: one_begin() is the name of another function in src/b.c")


@pytest.mark.skipif(not shutil.which("ctags"), reason="ctags is not there")
def test_static_of_one_word_is_found(tree):
    tree.write("src/a.c", "static int begin(void) { return 1; }\nint one(void) { return begin(); }\n")
    expect(tree, "statics", "src/a.c:1: begin() does not name its subject")


def test_statics_without_sources_fail(tree):
    assert not tree.lint("statics")[0]


# ---- policies --------------------------------------------------------------------------------------------------------

@pytest.fixture
def policy(tree):
    tree.write("conf/policies/one.conf", "# One.\n#     Include /x/one.conf\n\nIdempotencyEngine On\n")
    tree.write("docs/policies.md", "| file | sender |\n|---|---|\n| `one.conf` | one |\n")
    tree.write("tests/http/test_one.py", 'POLICIES = ["one"]\n')
    return tree


def test_policy_with_row_and_test_passes(policy):
    assert policy.lint("policies")[0], policy.lint("policies")[1]


@pytest.mark.parametrize("path, text, fault", [
    ("docs/policies.md", "| `two.conf` | two |\n", "one.conf has 0 rows"),
    ("docs/policies.md", "| `one.conf` | one |\n| `two.conf` | two |\n", "there is no two.conf"),
    ("tests/http/test_one.py", 'POLICIES = ["another"]\n', "no test names one"),
    ("conf/policies/one.conf", "# One.\nIdempotencyEngine On\n# Include /x/one.conf\n", "lacks the line"),
    ("conf/policies/one.conf", "# One.\n# Include /x/one.conf\n", "does not turn the engine on"),
])
def test_policy_that_lacks_something_is_found(policy, path, text, fault):
    policy.write(path, text)
    expect(policy, "policies", fault)


def test_policies_without_policies_fail(tree):
    tree.write("docs/policies.md", "# Policies\n")
    assert not tree.lint("policies")[0]


# ---- the others ----------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("ctags"), reason="ctags is not there")
@pytest.mark.parametrize("path, text, fault", [
    ("src/one.c", "int one(void)\n{\n" + "    ;\n" * 80 + "}\n", "one has 83 lines"),
    ("src/one.c", "int one(int a, int b, int c, int d, int e, int f, int g) { return a; }\n", "7 parameters"),
    ("src/one.c", "int one(void) { return 1; }\n" + "\n" * 500, "501 lines"),
    ("one.py", "def one():\n" + "    pass\n" * 80, "one has 81 lines"),
])
def test_what_is_too_large_is_found(tree, path, text, fault):
    tree.write("src/two.c", "int two(void) { return 2; }\n")
    assert tree.lint("sizes")[0]
    tree.write(path, text)
    expect(tree, "sizes", fault)


@pytest.mark.parametrize("text", ["TO" "DO: later", "/home/" "somebody/x", "https://pypi" ".org/"])
def test_word_is_found(tree, text):
    assert tree.lint("words")[0]
    tree.write("one.txt", text + "\n")
    expect(tree, "words", "one.txt:1:")


@pytest.mark.parametrize("path, text", [("one.py", "def one(:\n"), ("one", "#!/bin/sh\nif true; then\n"),
                                        ("one.sh", "if true; then\n")])
def test_script_that_does_not_parse_is_found(tree, path, text):
    assert tree.lint("scripts")[0]
    tree.write(path, text)
    os.chmod(tree.root / path, 0o755)
    expect(tree, "scripts", f"{path}:")
