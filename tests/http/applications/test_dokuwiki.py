# SPDX-License-Identifier: Apache-2.0
"""
Forms of DokuWiki that are sent twice, in Chromium: a page that is edited, and a registration, by somebody who has not
logged in.

DokuWiki has a guard of its own: it makes no second revision of the same text. But it takes the second request for
another person's, and shows a conflict with oneself; who registers twice is told that the name is taken. With the module
there is one execution, and each click and tab sees the page that was saved.
"""
import os
import shutil

import pytest

import dokuwiki as wiki
import env
import shipped
from corpus import judge_pages

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
STORES = ["lmdb"]
NAME = "dokuwiki"
SITE = """
Alias /dokuwiki /usr/share/dokuwiki
<Directory /usr/share/dokuwiki>
    Require all granted
    AllowOverride None
    Options +FollowSymLinks
    DirectoryIndex doku.php
    <FilesMatch "[.]php$">
        SetHandler "proxy:unix:{stage}/dokuwiki.sock|fcgi://dokuwiki"
    </FilesMatch>
</Directory>
LogLevel idempotency:trace1
IdempotencyEngine Off
"""
PLACE = "/dokuwiki/doku.php"
BEFORE = 1700000000  # when the page was written that is edited


class DokuWiki:
    def __init__(self, stage):
        self.folder = stage.root / NAME
        wiki.lay_out(self.folder, rewrites=0)
        self.fpm = shipped.start_fpm(stage, NAME, constants=f"define('DOKU_CONF', '{self.folder}/conf/');\n")

    def write(self, page):
        """A page as it was written some years ago."""
        path = self.folder / f"data/pages/{page}.txt"
        path.write_text("What was said before.\n")
        shutil.chown(path, env.USER)
        os.utime(path, (BEFORE, BEFORE))

    def saves(self, page):
        return sum("What I did" in line for line in wiki.saves(self.folder, page))

    def users(self, name):
        return (self.folder / "conf/users.auth.php").read_text().count(f"{name}:")

    def close(self):
        self.fpm.terminate()
        self.fpm.wait(env.CLIENT_TIMEOUT)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def dokuwiki(stage):
    dokuwiki = DokuWiki(stage)
    yield dokuwiki
    dokuwiki.close()


class Edit:
    """A page that is there gets another text."""
    path, button, field = PLACE, "#edbtn__save", "summary"

    def __init__(self, clicks, dokuwiki, name):
        self.clicks, self.dokuwiki, self.page = clicks, dokuwiki, name
        dokuwiki.write(name)

    def open(self):
        self.clicks.open(f"/doku.php?id={self.page}&do=edit")
        self.fill()

    def fill(self):
        self.clicks.fill(wikitext="What is said once is enough.", summary="What I did")

    def made(self):
        return self.dokuwiki.saves(self.page)

    def seen(self):
        return "do=edit" not in self.clicks.url() and self.clicks.shows(".dokuwiki .page p")


class Registration:
    """Somebody registers."""
    path, button, field = PLACE, "#dw__register button[type=submit]", "email"

    def __init__(self, clicks, dokuwiki, name):
        self.clicks, self.dokuwiki, self.name = clicks, dokuwiki, name

    def open(self):
        self.clicks.open("/doku.php?id=start&do=register")
        self.fill()

    def fill(self):
        self.clicks.fill(login=self.name, fullname="Anna", email=f"{self.name}@wiki.test", **{
            "pass": "secret-1", "passchk": "secret-1"})

    def made(self):
        return self.dokuwiki.users(self.name)

    def seen(self):
        return self.clicks.shows("div.success") and self.clicks.shows("#dw__login")


@pytest.fixture(params=[Edit, Registration], ids=["edit", "registration"])
def form(request, clicks, dokuwiki, host, guard):
    clicks.origin.clear()
    return request.param(clicks, dokuwiki, f"{host.replace('.', '')}{guard}{request.param.__name__.lower()}")


def assert_times(form, clicks):
    """DokuWiki itself sees to it that nothing is made twice."""
    assert clicks.runs(form.path) == (1 if clicks.guarded else 2)
    assert form.made() == 1


def test_double_click(form, clicks, stage):
    clicks.submit_twice(form, stage.root / "docs")
    if clicks.guarded:
        assert_times(form, clicks)
    else:
        assert clicks.runs(form.path) == 2


def test_double_click_as_fast_as_a_mouse(form, clicks):
    clicks.submit_by_a_double_click(form)
    if clicks.guarded:
        assert_times(form, clicks)


def test_enter_twice(form, clicks):
    clicks.submit_by_enter(form)
    if clicks.guarded:
        assert_times(form, clicks)


def test_two_tabs(form, clicks):
    clicks.submit_in_two_tabs(form)
    if clicks.guarded:
        assert_times(form, clicks)
    else:
        assert clicks.runs(form.path) == 2


def test_back_and_submit(form, clicks):
    """Back at an edit, the page has the revision that was just saved. So that is another edit, which changes nothing.
    """
    clicks.submit_back_and_again(form)
    if clicks.guarded:
        assert form.seen()
    if isinstance(form, Edit):
        assert (clicks.runs(form.path), form.made()) == (2, 1)
    else:
        assert_times(form, clicks)


def test_reload_with_the_form(form, clicks, httpd):
    """Without the module the person is told of a conflict, or of a name that is taken."""
    sent = clicks.submit_over_a_broken_line(form, httpd.address)
    assert clicks.runs(form.path) == (1 if clicks.guarded else sent)
    assert (form.made(), form.seen()) == (1, clicks.guarded)


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_keys_of_forms_are_the_guard(form, clicks, stage):
    """Each page has its key, and DokuWiki does not see it."""
    clicks.submit_twice(form, stage.root / "docs")
    assert_times(form, clicks)
    assert {"sectok", "do"} < clicks.fields() and "idempotency_key" not in clicks.fields()


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_pages_with_keys(clicks, dokuwiki, stage):
    dokuwiki.write("corpus")
    actions = ["show", "edit", "revisions", "recent", "login", "register", "resendpwd", "media", "search", "index"]
    paths = [f"/doku.php?id=corpus&do={action}" for action in actions]
    assert judge_pages(clicks, [*paths, "/lib/exe/mediamanager.php?ns="], stage.root / "docs") >= 6
