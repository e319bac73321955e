# SPDX-License-Identifier: Apache-2.0
"""
A mail that is sent twice with Roundcube, in Chromium: with a real Dovecot for its folders, to a real SMTP server.

Roundcube's page locks itself after a click. So a double click is one request with and without the module. What gets
past that lock is two mails without it: the page gives up and the person clicks again, or the mail stands in two tabs.
A request that comes after the first one's end finds no mail to send: Roundcube then says "internal error", although the
mail was sent.
"""
import sqlite3

import pytest

import env
import shipped
from corpus import judge_pages
from lossy import Lossy
from mailserver import PASSWORD, Mailbox

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
STORES = ["lmdb"]
NAME = "roundcube"
PACKAGES = ["roundcube-core", "php-pear", "php-auth-sasl", "php-mail-mime", "php-net-smtp", "php-net-socket",
            "php-net-sieve", "php-masterminds-html5", "libjs-bootstrap4", "libjs-jquery", "libjs-jquery-ui",
            "libjs-jstimezonedetect"]
SITE = """
Alias /roundcube "{stage}/roundcube/var/lib/roundcube/public_html"
<Directory "{stage}/roundcube">
    AllowOverride None
    DirectoryIndex index.php
    AddType text/css .css
    AddType application/javascript .js
    <FilesMatch "[.]php$">
        SetHandler "proxy:unix:{stage}/roundcube.sock|fcgi://roundcube"
    </FilesMatch>
</Directory>
LogLevel idempotency:trace1
IdempotencyEngine Off
"""
SETTINGS = """<?php
$config['db_dsnw'] = 'sqlite:///%s';
$config['imap_host'] = '127.0.0.1:%d';
$config['smtp_host'] = '127.0.0.1:%d';
$config['smtp_user'] = '';
$config['smtp_pass'] = '';
$config['des_key'] = 'twenty-four-bytes-of-key';
$config['temp_dir'] = '%s';
$config['log_dir'] = '%s';
$config['enable_spellcheck'] = false;
"""
# All requests have one address; what they are for is a field of the body, or of the query.
PLACE, ERROR = "/roundcube", "#messagestack .error"
OPERATION = "empty($_POST['_draft']) ? $_POST['_action'] ?? $_GET['_action'] ?? '' : 'draft'"


class Roundcube(shipped.Application):
    def __init__(self, stage, mailbox):
        super().__init__(stage, NAME, PACKAGES)
        self.mailbox, self.data = mailbox, self.folder / "data"
        shipped.relink(self.folder)
        for name in ("temp", "logs"):
            (self.data / name).mkdir(parents=True)
        with sqlite3.connect(self.data / "sqlite") as database:
            database.executescript((self.folder / "usr/share/roundcube/SQL/sqlite.initial.sql").read_text())
        shipped.give(self.data)
        (self.folder / "etc/roundcube/config.inc.php").write_text(SETTINGS % (
            self.data / "sqlite", mailbox.imap_port, mailbox.smtp.port, self.data / "temp", self.data / "logs"))
        self.start(operation=OPERATION, options=f"php_value[include_path] = .:{self.folder}/usr/share/php\n")


    def contacts(self, surname):
        with sqlite3.connect(f"file:{self.data}/sqlite?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM contacts WHERE surname = ?", [surname]).fetchone()[0]


@pytest.fixture(scope="module")
def roundcube(stage):
    shipped.have(*PACKAGES)
    mailbox = Mailbox(stage.root / "mailbox")
    roundcube = Roundcube(stage, mailbox)
    yield roundcube
    roundcube.close()
    mailbox.close()


class Mail:
    """A mail that is written and sent. seen: the page has gone on to the inbox, as it does when the mail was sent."""
    path, button = "/roundcube/send", "button.send"

    def __init__(self, clicks, roundcube, subject):
        self.clicks, self.mailbox, self.subject = clicks, roundcube.mailbox, subject

    def open(self):
        self.clicks.open(f"/?_task=mail&_action=compose&_to=bob@site.test&_subject={self.subject}&_body=Once")
        self.wait_until_ready()

    def open_the_same(self, address):
        self.clicks.open(address)
        self.wait_until_ready()

    def wait_until_ready(self):
        self.clicks.wait_for_script("window.rcmail && rcmail.commands.send && !rcmail.busy")

    def made(self):
        return self.mailbox.sent(self.subject)

    def kept(self):
        return self.mailbox.kept("anna", "Sent", self.subject)

    def seen(self):
        return "_mbox=" in self.clicks.url() and self.clicks.shows("#messagelist")

    def give_up(self):
        """The page waits three minutes for an answer; in the tests a moment."""
        self.clicks.wait_for_script("(rcmail.env.request_timeout = 0.2, true)")


class Contact:
    """A new contact."""
    path, button = "/roundcube/save", "button.submit"

    def __init__(self, clicks, roundcube, name):
        self.clicks, self.roundcube, self.name = clicks, roundcube, name

    def open(self):
        self.clicks.open("/?_task=addressbook&_action=edit&_framed=1&_source=0")
        self.clicks.fill(_surname=self.name)

    def made(self):
        return self.roundcube.contacts(self.name)

    def seen(self):
        return "_action=" not in self.clicks.url() and self.clicks.shows("body")


def log_in(clicks):
    clicks.open("/")
    clicks.fill(_user="anna", _pass=PASSWORD)
    clicks.press("#rcmloginsubmit")
    clicks.wait_for("#messagelist")


@pytest.fixture
def mail(clicks, roundcube, host, guard):
    log_in(clicks)
    clicks.origin.clear()
    return Mail(clicks, roundcube, f"{host.replace('.', '-')}-{guard}")


def wait_for_roundcube(mail, clicks):
    """With the module off, too, the page goes on."""
    env.until(mail.seen, "the inbox, after the mail was sent", env.CLIENT_TIMEOUT)


def assert_once(mail, clicks):
    assert clicks.runs(mail.path) == 1
    assert (mail.made(), mail.kept()) == (1, 1)


def test_double_click(mail, clicks):
    """Roundcube's page has a lock of its own."""
    mail.open()
    clicks.double_click(mail.button)
    wait_for_roundcube(mail, clicks)
    assert_once(mail, clicks)


def test_enter_twice(mail, clicks):
    mail.open()
    clicks.enter_twice_at(mail.button)
    wait_for_roundcube(mail, clicks)
    assert_once(mail, clicks)


def test_click_again_when_the_page_gives_up(mail, clicks):
    """The server is slow. The page says that the request timed out, and takes another click."""
    mail.open()
    mail.give_up()
    with clicks.slow(mail.path) as held:
        clicks.press(mail.button)
        held.wait_until_entered()
        clicks.wait_for_script("!rcmail.busy")
        clicks.script("rcmail.env.request_timeout = 180")
        clicks.press(mail.button)
        clicks.wait_for_the_second(held)
    wait_for_roundcube(mail, clicks)
    if clicks.guarded:
        assert_once(mail, clicks)
    else:
        assert clicks.runs(mail.path) == 2
        env.until(lambda: mail.made() == 2, "two mails")


def test_two_tabs(mail, clicks):
    """A tab that was duplicated: both write the mail of one _id."""
    mail.open()
    address = clicks.url().removeprefix(clicks.base)
    with clicks.second_tab():
        mail.open_the_same(address)
    with clicks.slow(mail.path) as held:
        clicks.press(mail.button)
        held.wait_until_entered()
        with clicks.second_tab():
            clicks.press(mail.button)
            clicks.wait_for_the_second(held)
    wait_for_roundcube(mail, clicks)
    if clicks.guarded:
        with clicks.second_tab():
            wait_for_roundcube(mail, clicks)
        assert_once(mail, clicks)
    else:
        assert clicks.runs(mail.path) == 2
        env.until(lambda: mail.made() == 2, "two mails")


def test_answer_that_was_lost(mail, clicks, httpd):
    """The line breaks, Roundcube's page says so, and the person clicks again. For Roundcube there is no such mail then.
    """
    with Lossy(httpd.address, ["lose"] * 20, f"POST {PLACE}/?_task=mail&_unlock=") as lossy:
        clicks.base = lossy.url + PLACE  # cookies are for all ports
        mail.open()
        clicks.press(mail.button)
        clicks.wait_for(ERROR)
        lossy.fates.clear()
        clicks.wait_for_script(f"(document.querySelector('{ERROR}').remove(), !rcmail.busy)")
        clicks.press(mail.button)
        if clicks.guarded:
            wait_for_roundcube(mail, clicks)
            assert_once(mail, clicks)
        else:
            clicks.wait_for(ERROR)
            assert clicks.runs(mail.path) > 1 and mail.made() == 1
        clicks.leave()


def test_back_and_submit(mail, clicks):
    """Roundcube's page of a mail that was sent is a new, empty one. What is sent from there is another mail."""
    mail.open()
    first = clicks.url()
    clicks.press(mail.button)
    wait_for_roundcube(mail, clicks)
    clicks.driver.back()
    clicks.wait_for_script("location.href.includes('_action=compose')")
    mail.wait_until_ready()
    assert clicks.url() != first
    assert_once(mail, clicks)


def test_draft_is_kept_each_time(mail, clicks):
    """Between two drafts nothing but _draft_saveid changes. Then the mail is sent, and the draft is gone."""
    mail.open()
    for saved in (1, 2):
        clicks.script("document.querySelector('[name=_subject]').value += ' '")
        clicks.script("rcmail.command('savedraft')")
        env.until(lambda: clicks.runs("/roundcube/draft") == saved, "a draft is saved")
        clicks.wait_for_script("!rcmail.busy")
    clicks.press(mail.button)
    wait_for_roundcube(mail, clicks)
    assert (clicks.runs(mail.path), mail.kept()) == (1, 1)


def test_contact_is_saved_twice(clicks, roundcube, stage, host, guard):
    """The form of a contact has no lock. The second click comes while the first one is worked on."""
    log_in(clicks)
    contact = Contact(clicks, roundcube, f"{host}-{guard}")
    clicks.submit_twice(contact, stage.root / "docs")
    assert clicks.runs(contact.path) == contact.made() == (1 if clicks.guarded else 2)


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_keys_of_forms_are_the_guard(mail, clicks, httpd):
    """The page of a mail has its key, and Roundcube does not see it."""
    mail.open()
    assert clicks.script("return document.querySelector('form[name=form] [name=idempotency_key]').value.length") == 36
    clicks.press(mail.button)
    wait_for_roundcube(mail, clicks)
    assert_once(mail, clicks)
    assert "_message" in clicks.fields() and "idempotency_key" not in clicks.fields()


@pytest.mark.parametrize("guard", ["form"], indirect=True)
def test_pages_with_keys(mail, clicks, stage):
    paths = ["", "?_task=mail", "?_task=mail&_action=compose", "?_task=mail&_action=import", "?_task=addressbook",
             "?_task=addressbook&_action=edit&_framed=1&_source=0", "?_task=settings&_action=preferences",
             "?_task=settings&_action=edit-prefs&_section=general&_framed=1", "?_task=settings&_action=identities",
             "?_task=settings&_action=add-identity&_framed=1", "?_task=settings&_action=edit-folder&_framed=1"]
    assert judge_pages(clicks, [f"/{path}" for path in paths], stage.root / "docs") >= 6
