# SPDX-License-Identifier: Apache-2.0
"""
The double click on MediaWiki, in Chromium: a new page, and a new section of a talk page, by a user. MediaWiki takes the
second one for an edit conflict, or saves it again. With the module there is one execution, and each click and tab sees
the page that was saved.
"""
import pytest

import env
import shipped
from corpus import judge_pages

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
STORES = ["lmdb"]
NAME = "mediawiki"
PACKAGES = ["mediawiki-classes", "mediawiki"]
SITE = """
Alias /mediawiki "{stage}/mediawiki/usr/share/mediawiki"
<Directory "{stage}/mediawiki/usr/share/mediawiki">
    DirectoryIndex index.php
    AddType text/css .css
    AddType application/javascript .js
    <FilesMatch "[.]php$">
        SetHandler "proxy:unix:{stage}/mediawiki.sock|fcgi://mediawiki"
    </FilesMatch>
</Directory>
LogLevel idempotency:trace1
IdempotencyEngine Off
"""
SETTINGS = """
$wgServer = 'http://' . ($_SERVER['HTTP_HOST'] ?? '127.0.0.1');
$wgJobRunRate = 0;
$wgRateLimits = [];
$wgMainCacheType = CACHE_NONE;
"""
INDEX = "/mediawiki/index.php"


class MediaWiki(shipped.Application):
    def __init__(self, stage):
        super().__init__(stage, NAME, PACKAGES)
        self.root, self.data = self.folder / "usr/share/mediawiki", self.folder / "data"
        self.data.mkdir()
        for name in ("LocalSettings.php", "config", "extensions", "images"):
            (self.root / name).unlink(missing_ok=True)  # links to where it would be installed
        (self.root / "extensions").mkdir()
        (self.root / "images").mkdir()
        shipped.give(self.data, self.root / "images")
        shipped.php(self.root / "maintenance/install.php", "--dbtype=sqlite", f"--dbpath={self.data}", "--dbname=wiki",
                    "--server=http://127.0.0.1", "--scriptpath=/mediawiki", f"--confpath={self.data}",
                    "--pass=secret-of-the-tests", "A wiki", "Admin")
        settings = (self.data / "LocalSettings.php").read_text() + SETTINGS
        settings += f"$wgCacheDirectory = '{self.data}';\n"
        (self.root / "LocalSettings.php").write_text(settings)
        self.start()

    def revisions(self, title):
        import sqlite3
        with sqlite3.connect(f"file:{self.data}/wiki.sqlite?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM revision JOIN page ON rev_page = page_id"
                                    " WHERE page_title = ?", [title]).fetchone()[0]


@pytest.fixture(scope="module")
def mediawiki(stage):
    shipped.have(*PACKAGES)
    mediawiki = MediaWiki(stage)
    yield mediawiki
    mediawiki.close()


class Edit:
    """A new page, or a new section of a talk page."""
    path, button, field = INDEX, "#wpSave", "wpSummary"

    def __init__(self, clicks, mediawiki, title, section):
        self.clicks, self.mediawiki, self.section = clicks, mediawiki, section
        self.page = title.capitalize() + section.capitalize()
        self.title = f"Talk:{self.page}" if section else self.page

    def open(self):
        new = "&section=new" if self.section else ""
        self.clicks.open(f"/index.php?title={self.title}&action=edit{new}")
        self.fill()

    def fill(self):
        self.clicks.fill(wpTextbox1="What is said once is enough.", wpSummary="Once")

    def made(self):
        return self.mediawiki.revisions(self.page)

    def seen(self):
        return f"title={self.title}" in self.clicks.url() and self.clicks.shows(".mw-parser-output")


def log_in(clicks):
    clicks.open("/index.php?title=Special:UserLogin")
    clicks.fill(wpName="Admin", wpPassword="secret-of-the-tests")
    clicks.press("#wpLoginAttempt")
    clicks.wait_for("#pt-logout")


@pytest.fixture(params=["", "new"], ids=["page", "section"])
def form(request, clicks, mediawiki, host, guard):
    log_in(clicks)
    clicks.origin.clear()
    return Edit(clicks, mediawiki, f"{host.replace('.', '')}{guard}", request.param)


def assert_times(form, clicks):
    assert clicks.runs(form.path) == (1 if clicks.guarded else 2)
    if clicks.guarded:
        assert form.made() == 1


def test_double_click(form, clicks, stage):
    clicks.submit_twice(form, stage.root / "docs")
    assert_times(form, clicks)


def test_double_click_as_fast_as_a_mouse(form, clicks):
    clicks.submit_by_a_double_click(form)
    if clicks.guarded:
        assert_times(form, clicks)


def test_enter_twice(form, clicks):
    clicks.submit_by_enter(form)
    if clicks.guarded:
        assert_times(form, clicks)


def test_two_tabs(form, clicks):
    """Each tab has its own token and its own time of start."""
    clicks.submit_in_two_tabs(form)
    assert_times(form, clicks)


def test_back_and_submit(form, clicks):
    """The browser asks for the form again, and that is a form for the revision that was just saved.

    Of a whole page it is another edit, and MediaWiki makes no second revision of the same text. A section is appended
    to whatever there is: once, and with the module off twice.
    """
    clicks.submit_back_and_again(form)
    assert clicks.runs(form.path) == (1 if form.section and clicks.guarded else 2)
    env.until(lambda: form.made() == (2 if form.section and not clicks.guarded else 1), "what is made of two edits")


def test_reload_with_the_form(form, clicks, httpd):
    sent = clicks.submit_over_a_broken_line(form, httpd.address)
    assert clicks.runs(form.path) == (1 if clicks.guarded else sent)
    if clicks.guarded:
        assert form.made() == 1


@pytest.fixture
def visitors(clicks, mediawiki, host, guard):
    """The form of somebody who has not logged in."""
    return Edit(clicks, mediawiki, f"{host.replace('.', '')}{guard}visitor", "")


def test_visitor_clicks_twice(visitors, clicks, stage):
    """There is a key in the page."""
    clicks.submit_twice(visitors, stage.root / "docs")
    assert_times(visitors, clicks)
    assert "idempotency_key" not in clicks.fields()


def test_visitor_reloads_with_the_form(visitors, clicks, httpd):
    sent = clicks.submit_over_a_broken_line(visitors, httpd.address)
    assert clicks.runs(visitors.path) == (1 if clicks.guarded else sent)


def test_visitor_presses_enter_twice(visitors, clicks):
    clicks.submit_by_enter(visitors)
    if clicks.guarded:
        assert_times(visitors, clicks)


def test_visitor_in_two_tabs(visitors, clicks):
    """Two forms with a key each. MediaWiki sees both, and does not save the same text again."""
    visitors.open()
    with clicks.second_tab():
        visitors.open()
    clicks.press(visitors.button)
    env.until(visitors.seen, "the page that was saved", env.CLIENT_TIMEOUT)
    with clicks.second_tab():
        clicks.press(visitors.button)
        env.until(lambda: clicks.answered(visitors.path, 2), "the second answer", env.CLIENT_TIMEOUT)
    assert clicks.runs(visitors.path) == 2 and visitors.made() == 1


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_keys_of_forms_are_the_guard(form, clicks, stage):
    """Each page has its key, and MediaWiki does not see it."""
    clicks.submit_twice(form, stage.root / "docs")
    assert_times(form, clicks)
    assert "wpTextbox1" in clicks.fields() and "idempotency_key" not in clicks.fields()


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_pages_with_keys(clicks, mediawiki, stage):
    log_in(clicks)
    special = ["RecentChanges", "Preferences", "MovePage/Main_Page", "Search", "UserLogin", "CreateAccount", "Version",
               "SpecialPages", "Watchlist", "Log", "Block", "Import", "Export"]
    titles = [f"Special:{page}" for page in special]
    titles += ["Main_Page"] + [f"Main_Page&action={action}" for action in ("edit", "history", "delete", "protect")]
    paths = [f"/index.php?title={title}" for title in titles]
    assert judge_pages(clicks, paths, stage.root / "docs") >= 8
