# SPDX-License-Identifier: Apache-2.0
"""An application as its distribution ships it: DokuWiki, which has never heard of keys. A browser that sends a form
twice gets one execution and the same answer twice.

Its own files are served where they are installed. A copy of nothing: only its configuration and data are this test's,
by the constant DokuWiki has for that, which a prepended file sets. The same file enters each execution of any of its
scripts in the ledger.
"""
import html.parser
import re
import shutil
from urllib.parse import quote, urlencode

import pytest

import env
from dokuwiki import lay_out, saves

BASES = ["/wiki"] + (["/modwiki"] if env.MPM == "prefork" else [])  # behind FPM; in mod_php
CONFIG = r"""
IdempotencyConcurrent wait
Alias /wiki /usr/share/dokuwiki
Alias /modwiki /usr/share/dokuwiki
<Directory /usr/share/dokuwiki>
    Require all granted
    AllowOverride All
    Options +FollowSymLinks
    DirectoryIndex doku.php
    RewriteEngine on
    RewriteRule ^lib                      - [L]
    RewriteRule ^doku.php                 - [L]
    RewriteRule ^_media/(.*)              lib/exe/fetch.php?media=$1  [QSA,L]
    RewriteRule ^$                        doku.php  [L]
    RewriteRule (.*)                      doku.php?id=$1  [QSA,L]
    <If "%{REQUEST_URI} =~ m#^/wiki/# && %{REQUEST_FILENAME} =~ /[.]php$/">
        SetHandler "proxy:unix:{stage}/wiki.sock|fcgi://wiki"
    </If>
</Directory>
<IfModule php_module>
    <Location /modwiki>
        php_admin_value auto_prepend_file "{stage}/wiki/prepend.php"
        <If "%{REQUEST_FILENAME} =~ /[.]php$/">
            SetHandler application/x-httpd-php
        </If>
    </Location>
</IfModule>
"""
PREPEND = """<?php
define('DOKU_CONF', __DIR__ . '/conf/');
file_put_contents(__DIR__ . '/../ledger', json_encode(['path' => basename($_SERVER['SCRIPT_FILENAME']),
    'method' => $_SERVER['REQUEST_METHOD'], 'slot' => $_SERVER['IDEMPOTENCY_SLOT'] ?? null]) . "\\n", FILE_APPEND);
"""

@pytest.fixture(scope="module")
def wiki(stage):
    """The folder of its configuration and data, owned by whom it runs as."""
    folder = stage.root / "wiki"
    lay_out(folder, rewrites=1)
    (folder / "prepend.php").write_text(PREPEND)
    fpm = stage.start_fpm("wiki", f"php_admin_value[auto_prepend_file] = {folder}/prepend.php\n", flags=[])
    yield folder
    fpm.terminate()
    fpm.wait(env.CLIENT_TIMEOUT)
    shutil.rmtree(folder)


class Forms(html.parser.HTMLParser):
    """The forms of a page: of each its fields as a browser would send them."""

    def __init__(self, page):
        super().__init__()
        self.forms, self.area = [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append({})
        elif tag == "input" and attrs.get("name") and attrs.get("type") not in ("submit", "checkbox"):
            self.forms[-1][attrs["name"]] = attrs.get("value") or ""
        elif tag == "textarea" and attrs.get("name"):
            self.area = attrs["name"]
            self.forms[-1][self.area] = ""

    def handle_data(self, data):
        if self.area:
            self.forms[-1][self.area] += data

    def handle_endtag(self, tag):
        self.area = None if tag == "textarea" else self.area


class Browser:
    """Keeps cookies, reads forms, and sends one again just as it was when nothing came back."""

    def __init__(self, api):
        self.api, self.cookies = api, {}

    def fields(self, *more):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return ([("Cookie", cookies)] if cookies else []) + list(more)

    def keep(self, response):
        for name, value in re.findall(r"^([^=]+)=([^;]*)", "\n".join(response.all("Set-Cookie")), re.M):
            self.cookies[name] = value
        return response

    def read(self, path):
        return self.keep(self.api.get(path, headers=self.fields()))

    def form(self, path, having):
        """The form of this page that has a field of this name."""
        page = self.read(path)
        assert page.status == 200
        return next(form for form in Forms(page.body.decode()).forms if having in form)

    def start(self, path, form, key):
        return self.api.post_async(path, key=key, body=urlencode(form).encode(),
                                   headers=self.fields(("Content-Type", "application/x-www-form-urlencoded")))

    def send(self, path, form, key):
        return self.start(path, form, key).last_result()


@pytest.fixture(params=BASES)
def browser(request, wiki, api):
    return Browser(api.at(request.param))


@pytest.fixture
def page(host):
    return host.replace(".", "_")


def filled_in(browser, page, text="Hello, wiki"):
    return {**browser.form(f"/{page}?do=edit", "wikitext"), "wikitext": text, "summary": "first", "do[save]": "Save"}


def posts(origin):
    return [run for run in origin.runs() if run["method"] == "POST"]


def assert_twice_the_same(browser, origin, path, form):
    first, second = browser.send(path, form, "k1"), browser.send(path, form, "k1")
    assert first["Idempotent-Replayed"] is None and second.replayed
    assert second.recorded == first.recorded
    assert len(posts(origin)) == 1 and posts(origin)[0]["slot"]
    return first


def test_page_is_saved_once(browser, origin, wiki, page):
    first = assert_twice_the_same(browser, origin, f"/{page}", filled_in(browser, page))
    assert first.status == 302 and first["Location"].endswith(f"/{page}")
    assert len(saves(wiki, page)) == 1
    assert b"Hello, wiki" in browser.read(f"/{page}").body


def test_impatient_click(browser, origin, wiki, page):
    """The same form five times at once, as a browser and its proxies may send it."""
    form = filled_in(browser, page)
    answers = [conn.last_result() for conn in [browser.start(f"/{page}", form, "k1") for _ in range(5)]]
    assert all(answer.recorded == answers[0].recorded for answer in answers)
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 4
    assert len(posts(origin)) == 1 and len(saves(wiki, page)) == 1


def test_answer_that_was_lost(browser, origin, wiki, page):
    form = filled_in(browser, page)
    browser.start(f"/{page}", form, "k1").reset()
    env.until(lambda: posts(origin), "the form arrives")
    again = browser.send(f"/{page}", form, "k1")
    assert again.replayed and again.status == 302
    assert len(posts(origin)) == 1 and len(saves(wiki, page)) == 1


def test_edited_form_with_the_same_key(browser, origin, wiki, page):
    form = filled_in(browser, page)
    browser.send(f"/{page}", form, "k1")
    assert browser.send(f"/{page}", {**form, "wikitext": "Something else"}, "k1").problem == (422, "key-reused")
    assert len(posts(origin)) == 1 and len(saves(wiki, page)) == 1


def registration(browser, name):
    form = browser.form("/start?do=register", "login")
    return {
        **form, "login": name,
        "fullname": "Anna",
        "email": f"{name}@wiki.test",
        "pass": "secret-1",
        "passchk": "secret-1"
    }


def test_registration(browser, origin, wiki, page):
    first = assert_twice_the_same(browser, origin, "/start?do=register", registration(browser, page))
    assert b"already exists" not in first.body
    assert (wiki / "conf/users.auth.php").read_text().count(f"{page}:") == 1


def test_registration_without_a_key(browser, origin, page):
    """What a second attempt comes to otherwise: it is executed, and its answer is another one."""
    form = registration(browser, page)
    first, second = browser.send("/start?do=register", form, None), browser.send("/start?do=register", form, None)
    assert b"already exists" not in first.body and b"already exists" in second.body
    assert len(posts(origin)) == 2


def multipart(fields, file, boundary):
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="upload"; filename="{file}"\r\n'
                 "Content-Type: application/x-tar\r\n\r\n")
    return "".join(parts).encode() + b"line\r\n" * 50000 + f"\r\n--{boundary}--\r\n".encode()


def test_upload_with_another_boundary(browser, origin, wiki, page):
    """A browser makes up a new boundary for each attempt."""
    path = "/lib/exe/mediamanager.php?ns="
    fields = {**browser.form(path, "mediaid"), "mediaid": f"{page}.tar"}
    first, second = [
        browser.api.post(path,
                         key="k1",
                         body=multipart(fields, "notes.tar", boundary),
                         headers=browser.fields(("Content-Type", f"multipart/form-data; boundary={boundary}")))
        for boundary in ("----one", "----another")
    ]
    assert first.status == 200 and b"Upload successful" in first.body
    assert second.replayed and second.recorded == first.recorded
    assert (wiki / f"data/media/{page}.tar").stat().st_size == 300000
    assert len((wiki / "data/meta/_media.changes").read_text().split(quote(f"\t{page}.tar\t", safe="\t"))) == 2
    assert len(posts(origin)) == 1
