# SPDX-License-Identifier: Apache-2.0
"""
The double click on MediaWiki, in Chromium: a new page, and a new section of a talk page, by a user. MediaWiki takes the
second one for an edit conflict, or saves it again. With the module there is one execution, and each click and tab sees
the page that was saved.
"""
import shutil

import pytest

import env
import shipped
from clicks import Clicks, chromium
from httpd import Httpd

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
STORES = ["lmdb"]
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
# The policy's ten seconds are for people; a busy machine may need longer between two steps of a test.
GUARD = """
<Location /mediawiki>
    Include {repo}/conf/policies/mediawiki.conf
    <If "true">
        IdempotencyTTL 5min
    </If>
</Location>
"""
SETTINGS = """
$wgServer = 'http://' . ($_SERVER['HTTP_HOST'] ?? '127.0.0.1');
$wgJobRunRate = 0;
$wgRateLimits = [];
$wgMainCacheType = CACHE_NONE;
"""
INDEX = "/mediawiki/index.php"


class MediaWiki:
    def __init__(self, stage):
        self.folder = stage.root / "mediawiki"
        shipped.unpack(self.folder, *PACKAGES)
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
        self.fpm = shipped.start_fpm(stage, "mediawiki")

    def revisions(self, title):
        import sqlite3
        with sqlite3.connect(f"file:{self.data}/wiki.sqlite?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM revision JOIN page ON rev_page = page_id"
                                    " WHERE page_title = ?", [title]).fetchone()[0]

    def close(self):
        self.fpm.terminate()
        self.fpm.wait(env.CLIENT_TIMEOUT)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def mediawiki(stage):
    for name in PACKAGES:
        shipped.package_of(name)  # or skip
    mediawiki = MediaWiki(stage)
    yield mediawiki
    mediawiki.close()


@pytest.fixture(scope="module", params=["on", "off"])
def guard(request):
    return request.param


@pytest.fixture(scope="module")
def httpd(stage, store, mediawiki, guard):
    server = Httpd(stage, SITE + (GUARD.replace("{repo}", str(env.REPO)) if guard == "on" else ""), store)
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def driver():
    yield from chromium()


@pytest.fixture
def clicks(driver, httpd, stage, origin, guard):
    clicks = Clicks(driver, "http://{}:{}/mediawiki".format(*httpd.address), origin, httpd, guard == "on")
    yield clicks
    clicks.close()


class Edit:
    """A new page, or a new section of a talk page."""
    path, button = INDEX, "#wpSave"

    def __init__(self, clicks, mediawiki, title, section):
        self.clicks, self.mediawiki, self.section = clicks, mediawiki, section
        self.page = title.capitalize() + section.capitalize()
        self.title = f"Talk:{self.page}" if section else self.page

    def open(self):
        new = "&section=new" if self.section else ""
        self.clicks.open(f"/index.php?title={self.title}&action=edit{new}")
        self.clicks.fill(wpTextbox1="What is said once is enough.", wpSummary="Once")

    def made(self):
        return self.mediawiki.revisions(self.page)

    def seen(self):
        return f"title={self.title}" in self.clicks.url() and self.clicks.shows(".mw-parser-output")


@pytest.fixture(params=["", "new"], ids=["page", "section"])
def form(request, clicks, mediawiki, host, guard):
    clicks.open("/index.php?title=Special:UserLogin")
    clicks.fill(wpName="Admin", wpPassword="secret-of-the-tests")
    clicks.press("#wpLoginAttempt")
    clicks.wait_for("#pt-logout")
    clicks.origin.clear()
    return Edit(clicks, mediawiki, f"{host.replace('.', '')}{guard}", request.param)


def assert_executions(form, clicks):
    assert clicks.runs(form.path) == (1 if clicks.guarded else 2)
    if clicks.guarded:
        assert form.made() == 1


def test_double_click(form, clicks, stage):
    form.open()
    clicks.prepare(form.button, stage.root / "docs")
    with clicks.slow(form.path) as held:
        clicks.go("first")
        held.wait_until_entered()
        clicks.go("second")
        clicks.wait_for_the_second(held)
    clicks.wait_for_answer(form)
    assert_executions(form, clicks)


def test_double_click_as_fast_as_a_mouse(form, clicks):
    form.open()
    clicks.double_click(form.button)
    clicks.wait_for_answer(form)
    if clicks.guarded:
        assert_executions(form, clicks)


def test_enter_twice(form, clicks):
    form.open()
    clicks.enter_twice("wpSummary")
    clicks.wait_for_answer(form)
    if clicks.guarded:
        assert_executions(form, clicks)


def test_two_tabs(form, clicks):
    """Each tab has its own token and its own time of start."""
    form.open()
    with clicks.second_tab():
        form.open()
    with clicks.slow(form.path) as held:
        clicks.press(form.button)
        held.wait_until_entered()
        with clicks.second_tab():
            clicks.press(form.button)
            clicks.wait_for_the_second(held)
    clicks.wait_for_answer(form)
    first = clicks.url()
    with clicks.second_tab():
        clicks.wait_for_answer(form)
        if clicks.guarded:
            assert clicks.url() == first
    assert_executions(form, clicks)
