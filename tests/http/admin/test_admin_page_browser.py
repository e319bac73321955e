# SPDX-License-Identifier: Apache-2.0
"""
The page in Chromium: found, resolved and forgotten with a question before; pages of other sites refused; readable in
light, in dark, on a phone, and without scripts.
"""
from urllib.parse import urlencode

import pytest

import admins
import browsing
import env
from checks import kill_while_it_runs
from client import Api

pytestmark = [pytest.mark.mpm_independent, pytest.mark.browser]
STORES = ["lmdb"]
CONFIG = admins.BODIES + admins.ADMIN + """
<Location "/reader">
    SetHandler idempotency-admin
    Require ip 127.0.0.1
</Location>
Alias /elsewhere "{stage}/docs/elsewhere"
<Location "/elsewhere">
    IdempotencyEngine Off
    Require all granted
</Location>
"""
VIEWS = ("./", "./?view=entries", "./?slot={slot}&body=1", "./?slot={unknown}", "./?slot=" + "0" * 64)
SCHEMES = ("light", "dark")


class Browser(browsing.Browser):
    def __init__(self, driver):
        super().__init__(driver)
        self.origin = None

    def get(self, path="./", place="/admin/"):
        self.driver.get(self.origin + place + path.removeprefix("./"))

    def said(self):
        """What the page says after an action."""
        return env.until(lambda: self.one("#said").text, "the page says what was done")


@pytest.fixture(scope="module")
def driver():
    with browsing.chromium() as driver:
        yield driver


@pytest.fixture
def host(httpd):
    """The browser's and the client's keys are of one host."""
    return "{}:{}".format(*httpd.address)


@pytest.fixture
def browser(driver, httpd, host):
    """Signed in as alice; whatever the page does against its own policy fails the test."""
    browser = Browser(driver)
    browser.size(1100)
    browser.scheme("light")
    browser.scripts(True)
    browser.origin = f"http://alice:secret@{host}"
    browser.get()
    browser.origin = f"http://{host}"
    driver.get_log("browser")
    yield browser
    browser.scripts(True)
    messages = [line["message"] for line in driver.get_log("browser")]
    assert [message for message in messages if "Content Security Policy" in message] == []


@pytest.fixture
def api(httpd, host):
    return Api(httpd.address, host)


KEYS = iter(range(10**6))


@pytest.fixture
def key():
    return f"k{next(KEYS)}"


@pytest.fixture
def unknown(httpd, api, origin, key):
    """A key whose process was killed while it was executed."""
    origin.clear()
    kill_while_it_runs(httpd, api, origin, key=key)
    return key


def find_key(browser, key):
    """As a person does it, by the keyboard alone."""
    from selenium.webdriver.common.keys import Keys

    browser.get()
    summary = browser.one(".by-key summary")
    summary.send_keys(Keys.ENTER)
    field = browser.one("#key")
    field.send_keys(key + Keys.ENTER)
    env.until(lambda: browser.all("article a.slot.whole") or "No entry" in browser.text, "the key was looked up")
    entries = browser.all("article a.slot.whole")
    return entries[0].text if entries else None


def button(browser, text):
    one, = [one for one in browser.all("button.deed") if one.text == text]
    return one


def decide(browser, text, answer):
    """Presses the button and answers the question; what was asked."""
    button(browser, text).click()
    dialog = env.until(lambda: next(iter(browser.all("dialog[open]")), None), "the question")
    asked = dialog.text
    assert browser.driver.switch_to.active_element == browser.one("#confirm-no")  # Enter alone does nothing
    browser.one("#confirm-yes" if answer else "#confirm-no").click()
    env.until(lambda: not browser.all("dialog[open]"), "the question is gone")
    return asked


def test_unknown_outcome_is_found_and_resolved(browser, api, unknown, origin):
    browser.get()
    row = browser.one(".entries a.slot").text.rstrip("…")
    assert "the process that ran it died" in browser.text
    slot = find_key(browser, unknown)
    assert row == slot[:12]
    assert unknown not in browser.driver.current_url
    browser.shot("unknown-entry")
    asked = decide(browser, "Let a retry run", False)
    assert slot in asked and "same content is executed" in asked
    assert browser.one("article .state").text == "unknown"
    asked = decide(browser, "It was done", True)
    assert slot in asked and "409 response-not-kept" in asked
    assert "resolved as done" in browser.said()
    assert browser.one("article .state").text == "tombstone"
    assert api.post("/pay", key=unknown, body=b"1").problem == (409, "response-not-kept")
    browser.get()
    assert "No outcome is unknown" in browser.text


def test_each_other_way_to_resolve(browser, api, unknown, origin):
    slot = find_key(browser, unknown)
    browser.get(f"./?slot={slot}")
    decide(browser, "Let a retry run", True)
    assert "resolved as retry" in browser.said() and "next request with the same content run" in browser.text
    browser.get(f"./?slot={slot}")
    decide(browser, "It was not done", True)
    assert "resolved as not-done" in browser.said() and "its key is free" in browser.text
    assert api.post("/pay", key=unknown, body=b"1").problem == (201, None)


def test_forget_and_who_was_faster(browser, api, origin, key):
    api.post("/pay", key=key, body=b"1")
    slot = find_key(browser, key)
    browser.get(f"./?prefix={slot[:20]}")
    browser.driver.switch_to.new_window("tab")
    browser.get(f"./?slot={slot}")
    asked = decide(browser, "Forget", True)
    assert "done twice" in asked and "forgotten" in browser.said()
    api.post("/pay?status=202", key=key, body=b"1")
    browser.driver.close()
    browser.driver.switch_to.window(browser.driver.window_handles[0])
    decide(browser, "Forget", True)
    assert browser.said().startswith("Not done.")
    assert "202" in browser.one("article").text and origin.executions("/pay") == 2


CROSS = """
const [target, slot, done] = arguments;
(async () => {
    const tries = {};
    const attempt = async (name, path, more) => {
        try { const a = await fetch(target + path, more); tries[name] = a.type + ' ' + a.status; }
        catch (error) { tries[name] = error.name; }
    };
    const entry = 'v1/entries/' + slot, credentials = 'include';
    await attempt('token', 'v1/token', {credentials});
    await attempt('delete', entry, {method: 'DELETE', credentials});
    await attempt('simple', entry + '/resolve', {method: 'POST', credentials, mode: 'no-cors', body: '{"as": "done"}'});
    await attempt('json', entry + '/resolve', {method: 'POST', credentials, body: '{"as": "done"}',
        headers: {'Content-Type': 'application/json', 'Idempotency-Admin-Token': 'x'}});
    done(tries);
})();
"""


FRAME = """
const [target, done] = arguments;
const frame = document.body.appendChild(document.createElement('iframe'));
frame.onload = () => {
    let seen = '';
    try { seen = frame.contentDocument.body.innerText; } catch { }
    done(seen);
};
frame.src = target;
"""


def test_page_of_another_site_cannot_act(browser, httpd, api, unknown, stage):
    slot = find_key(browser, unknown)
    folder = stage.root / "docs/elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text("<!DOCTYPE html><title>elsewhere</title><body>elsewhere")
    address, port = httpd.address
    browser.driver.get(f"http://localhost:{port}/elsewhere/page.html")
    tries = browser.driver.execute_async_script(CROSS, f"http://{address}:{port}/admin/", slot)
    assert {tries[name] for name in ("token", "delete", "json")} == {"TypeError"}
    assert tries["simple"].startswith("opaque")
    browser.get(f"./?slot={slot}")
    assert browser.one("article .state").text == "unknown"
    assert "IDEM20" not in "".join(httpd.log.lines())


def test_nobody_frames_the_page(browser, stage):
    """Not even a page of the same origin, which could otherwise look inside."""
    folder = stage.root / "docs/elsewhere"
    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text("<!DOCTYPE html><title>elsewhere</title><body>elsewhere")
    browser.get("page.html", place="/elsewhere/")
    assert browser.driver.execute_async_script(FRAME, "page.html") == "elsewhere"
    assert browser.driver.execute_async_script(FRAME, "/admin/") == ""
    assert any("frame-ancestors" in line["message"] for line in browser.driver.get_log("browser"))


@pytest.fixture
def shown(browser, api, origin, key, unknown):
    """Slots of a record that is full of markup, and of an unknown outcome."""
    evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">" + "long" * 60
    api.post("/pay?" + urlencode({"header": "X-Evil: <b>bold</b>" + "w" * 120, "body": evil}), key=key + "x", body=b"1")
    api.post("/pay?" + urlencode({"header": "X-Evil: <b>bold</b>" + "w" * 120, "body": evil}), key=key + "x", body=b"1")
    api.post("/pay", key=key + "x", body=b"2")
    slot = find_key(browser, key + "x")
    return {"slot": slot, "unknown": find_key(browser, unknown)}


def test_light_dark_phone_and_no_scripts(browser, shown, api, origin):
    """Each view in each: contrast as WCAG AA wants it, nothing to be scrolled sideways, markup as text."""
    with origin.hold("/slow") as held:
        running = api.post_async("/slow", key="runs", body=b"1")
        held.wait_until_entered()
        for number, view in enumerate(VIEWS):
            for scheme in SCHEMES:
                for width in (1100, 360):
                    browser.scheme(scheme)
                    browser.size(width)
                    browser.get(view.format(**shown))
                    for details in browser.all("details"):
                        browser.driver.execute_script("arguments[0].open = true", details)
                    found, seen = browser.driver.execute_script(browsing.CONTRAST)
                    assert found == [] and seen > 15, (view, scheme, width)
                    root = browser.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
                    assert root[0] <= root[1] == width, (view, width)
                    assert browser.driver.title.endswith("Idempotency")
                    browser.shot(f"view{number}-{scheme}-{width}")
        browser.size(360)
        browser.get(f"./?slot={shown['unknown']}")
        button(browser, "It was done").click()
        env.until(lambda: browser.all("dialog[open]"), "the question")
        found, _ = browser.driver.execute_script(browsing.CONTRAST)
        assert found == []
        browser.shot("question-dark-360")
        browser.size(1100)
        browser.scheme("light", "reduce")
        assert browser.driver.execute_script(
            "return getComputedStyle(document.querySelector('button')).transitionDuration") in ("0s", "")
    with running:
        running.result()


def test_reading_without_scripts(browser, shown):
    browser.scripts(False)
    browser.get()
    assert "Needs a decision" in browser.text and browser.all("svg rect.executed")
    assert browser.all(f".entries a[href='./?slot={shown['unknown']}']")
    browser.get(f"./?slot={shown['unknown']}")
    assert "outcome-unknown" in browser.text and f"idemctl resolve {shown['unknown']} --as done" in browser.text
    assert not [one for one in browser.all("button.deed") if one.is_displayed()]
    browser.shot("no-scripts")
    browser.get(f"./?slot={shown['slot']}&body=1")
    assert "<script>document.title" in browser.one("pre").text and "<b>bold</b>" in browser.text
    browser.get("./?view=entries&state=record")
    assert browser.all(f".entries a[href='./?slot={shown['slot']}']")


def test_reader_has_no_buttons(browser, shown):
    browser.get(f"./?slot={shown['unknown']}", place="/reader/")
    assert "You may only read here" in browser.text and not browser.all("button.deed")


def test_keyboard_reaches_everything_and_escape_does_nothing(browser, shown):
    from selenium.webdriver.common.keys import Keys

    browser.get(f"./?slot={shown['unknown']}")
    seen = []
    for _ in range(40):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        at = browser.driver.switch_to.active_element
        seen.append(at.text)
        if at.text == "It was done":
            break
    assert "Skip to the content" in seen and seen[-1] == "It was done"
    assert browser.driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    at.send_keys(Keys.ENTER)
    env.until(lambda: browser.all("dialog[open]"), "the question")
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    env.until(lambda: not browser.all("dialog[open]"), "the question is gone")
    assert browser.driver.switch_to.active_element.text == "It was done"
    assert browser.one("article .state").text == "unknown"
