# SPDX-License-Identifier: Apache-2.0
"""The lint of links and the check of the site find what is planted, and pass without it."""
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
SITE = HERE.parent / "install" / "check_site.py"
PAGE = """<!DOCTYPE html><title>{title}</title><main><h1 id="a">{title}</h1><h2 id="b">Two</h2>{text}</main>
<nav><ul>{pages}</ul></nav>"""


def run(script, *arguments, cwd):
    command = [sys.executable, "-B", script, *arguments]
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def documents(tmp_path):
    """write(path, text) and lint() of a tree with two documents."""
    (tmp_path / "tests/lint").mkdir(parents=True)
    for name in ("source", "links"):
        shutil.copy(HERE / f"{name}.py", tmp_path / "tests/lint")

    def write(path, text):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")

    write("README.md", "# One\n\n[two](docs/two.md#is-it-two-yes) and [itself](#one)\n")
    write("docs/two.md", "# Two\n\n## Is it `two`? *Yes*\n\n"
          "[up](../README.md), [here](../docs), [web](https://a.example/)\n")
    return write, lambda: run("tests/lint/links.py", cwd=tmp_path)


def test_links_that_lead_somewhere_pass(documents):
    passed, said = documents[1]()
    assert passed and "4 links, 0 findings" in said


@pytest.mark.parametrize("text, fault", [
    ("\n[a](gone.md)", "gone.md leads nowhere"), ("\n[a](#gone)", "#gone: there is no such heading"),
    ("\n[a](../README.md#two)", "../README.md#two: there is no such heading"),
    ("\n[a\nb](gone.md)", "gone.md leads nowhere"), ("\n[`a`](gone.c)", "gone.c leads nowhere"),
    ("\n[a](../../gone)", "../../gone leads out of the project"),
    ("\n```\n# Code\n```\n[a](#code)", "#code: there is no such heading"),
])
def test_link_that_leads_nowhere_is_found(documents, text, fault):
    write, lint = documents
    write("docs/three.md", text)
    passed, said = lint()
    assert not passed and fault in said


def test_code_is_no_link(documents):
    write, lint = documents
    write("docs/three.md", "`[a](gone.md)`\n\n```\n[a](gone.md)\n```\n")
    assert lint()[0]


@pytest.fixture
def site(tmp_path):
    """Thirty pages; write(name, text) makes one of them another, check() looks at them."""
    names = ["index.html", *(f"p{number}.html" for number in range(30))]

    def write(name, text, navigated=None, current=True):
        pages = "".join(f'<li><a href="{other}"{" aria-current=page" if other == name and current else ""}>x</a></li>'
                        for other in navigated or names)
        (tmp_path / name).write_text(PAGE.format(title=name, text=text, pages=pages), encoding="utf-8")

    for name in names:
        write(name, '<p><a href="p1.html#b">b</a>')
    return write, lambda: run(SITE, ".", cwd=tmp_path), tmp_path


def test_whole_site_passes(site):
    passed, said = site[1]()
    assert passed and "31 pages" in said


@pytest.mark.parametrize("text, fault", [
    ('<a href="gone.html">x</a>', "gone.html leads nowhere"), ('<a href="#gone">x</a>', "#gone has no such anchor"),
    ('<a href="p1.html#gone">x</a>', "p1.html#gone has no such anchor"), ('<h3 id="a">x</h3>', "a stands twice"),
    ("<script>1</script>", "<script> runs"), ('<p onclick="x">x</p>', "<p> runs"),
    ('<img src="p1.html">', "<img> runs"),
    ('<link rel="stylesheet" href="https://a.example/x.css">', "is fetched from elsewhere"),
    ("<h4>x</h4>", "level 4 stands under one of level 2"), ("<h1>x</h1>", "not one heading of level 1"),
])
def test_fault_of_a_page_is_found(site, text, fault):
    write, check, _ = site
    write("p0.html", text)
    passed, said = check()
    assert not passed and fault in said


def test_fault_of_the_whole_is_found(site):
    write, check, folder = site
    (folder / "stray.txt").write_text("x")
    write("p0.html", "", navigated=["index.html", "p0.html"])
    write("p1.html", "", current=False)
    passed, said = check()
    assert not passed
    assert "stray.txt: nothing leads to it" in said
    assert "p0.html: its navigation lacks p1.html" in said
    assert "p1.html: is marked 0 times" in said
