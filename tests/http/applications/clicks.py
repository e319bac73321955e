# SPDX-License-Identifier: Apache-2.0
"""
What people do to the forms of applications, in Chromium: click twice, press Enter twice, go back and submit, reload.

The driver waits for no page (page load strategy none); tests wait for what they want to see.
"""
import contextlib
import itertools

import env
from lossy import Lossy

NUMBERS = itertools.count(1)
# Commands of the driver wait while the browser waits for a page. So the page itself presses the button.
ASK = """
const [selector, name] = arguments;
const button = document.querySelector(selector);
const ask = async which => {
    while (!(await fetch(`${name}-${which}.txt`, {cache: 'no-store'})).ok) await new Promise(go => setTimeout(go, 20));
    button.click();
};
ask('first').then(() => ask('second'));
"""


class Clicks:
    """guarded: the module is on. What was posted before this began does not count."""

    def __init__(self, driver, base, origin, httpd, guarded):
        self.driver, self.base, self.origin, self.httpd, self.guarded = driver, base, origin, httpd, guarded
        self.tab, self.log_begins = driver.current_window_handle, self.waits()
        self.answers_begin = len(self.answers())

    def close(self):
        for handle in self.driver.window_handles:
            if handle != self.tab:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self.tab)
        self.leave()
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def leave(self):
        self.driver.get("about:blank")

    # ---- pages -----------------------------------------------------------------------------------------------------

    def url(self):
        return self.driver.current_url

    def script(self, text, *words):
        """What a script says of the page; None while there is none."""
        from selenium.common.exceptions import WebDriverException
        try:
            return self.driver.execute_script(text, *words)
        except WebDriverException:
            return None

    def open(self, path):
        """A page that is complete. The document before it is marked, so that it is not taken for the new one."""
        self.script("window.before = true")
        self.driver.get(self.base + path)
        self.wait_for_script("!window.before && document.readyState === 'complete' && location.href !== 'about:blank'")

    def wait_for_script(self, text):
        return env.until(lambda: self.script(f"return {text}"), f"the page: {text}", env.CLIENT_TIMEOUT)

    def shows(self, selector):
        return self.script("return document.readyState === 'complete' && !!document.querySelector(arguments[0])",
                           selector)

    def wait_for(self, selector):
        return env.until(lambda: self.shows(selector), f"the page shows {selector}", env.CLIENT_TIMEOUT)

    def fill(self, **fields):
        for name, value in fields.items():
            field = self.element(f"[name='{name}']")
            if field.get_attribute("type") != "file":
                field.clear()
            field.send_keys(value)

    def element(self, selector):
        return self.driver.find_element("css selector", selector)

    # ---- what people do --------------------------------------------------------------------------------------------

    def actions(self):
        from selenium.webdriver import ActionChains
        return ActionChains(self.driver)

    def press(self, selector):
        self.element(selector).click()

    def prepare(self, selector, folder):
        """The page presses the button when a file says so, and again for the second: see go()."""
        self.folder, self.name = folder, f"go-{self.driver.session_id[:8]}-{next(NUMBERS)}"
        self.driver.execute_script(ASK, selector, f"/{self.name}")

    def go(self, which):
        (self.folder / f"{self.name}-{which}.txt").write_text("go")

    def double_click(self, selector):
        button = self.element(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        self.actions().double_click(button).perform()

    def enter_twice(self, name):
        self.enter_twice_at(f"[name='{name}']")

    def enter_twice_at(self, selector):
        self.driver.execute_script("arguments[0].focus()", self.element(selector))
        self.actions().send_keys("\ue007\ue007").perform()

    def back(self, selector):
        self.script("window.before = true")
        self.driver.back()
        self.wait_for_script("!window.before")
        self.wait_for(selector)

    def reload(self):
        self.driver.refresh()

    def wait_for_an_error(self):
        """The browser's own page, which says that there was no answer."""
        self.wait_for_script("location.href.startsWith('chrome-error:')")

    @contextlib.contextmanager
    def second_tab(self):
        others = [handle for handle in self.driver.window_handles if handle != self.tab]
        if others:
            self.driver.switch_to.window(others[0])
        else:
            self.driver.switch_to.new_window("tab")
        yield
        self.driver.switch_to.window(self.tab)

    # ---- what the server sees --------------------------------------------------------------------------------------

    def slow(self, path):
        """The application is slow: who posts there waits until the block ends."""
        return self.origin.hold(path)

    def runs(self, path):
        return self.origin.executions(path)

    def waits(self):
        return self.httpd.log.count("-> WAITING, wait")

    def fields(self):
        """The names of the fields that the application has seen in forms."""
        return {name for run in self.origin.runs() for name in run["fields"]}

    def wait_for_the_second(self, held):
        """The second click has come: to the application, or to wait at the guard for the first one's answer."""
        if self.guarded:
            env.until(lambda: self.waits() > self.log_begins, "the second click waits at the guard")
        else:
            held.wait_until_entered()

    def answers(self):
        """The paths of the POST requests that were answered, of all tests."""
        lines = [line.split() for line in (self.httpd.root / "outcomes.log").read_text().splitlines()]
        return [line[2] for line in lines if line[-1] == "POST"]

    def answered(self, path, times):
        return self.answers()[self.answers_begin:].count(path) >= times

    def wait_for_answer(self, form):
        """The page that the form leads to. With the module off, any page that comes after it."""
        if self.guarded:
            env.until(form.seen, "the page that the form leads to", env.CLIENT_TIMEOUT)
        else:
            self.wait_for_script("document.readyState === 'complete'")

    # ---- a form, submitted twice -----------------------------------------------------------------------------------

    def submit_twice(self, form, folder):
        """The second click comes while the application works for the first one. Files of the folder are served at /."""
        form.open()
        self.prepare(form.button, folder)
        with self.slow(form.path) as held:
            self.go("first")
            held.wait_until_entered()
            self.go("second")
            self.wait_for_the_second(held)
        self.wait_for_answer(form)

    def submit_by_a_double_click(self, form):
        """As fast as a mouse."""
        form.open()
        self.double_click(form.button)
        self.wait_for_answer(form)

    def submit_in_two_tabs(self, form):
        """Each tab opens the form by itself. Behind the guard, both see the same page in the end."""
        form.open()
        with self.second_tab():
            form.open()
        with self.slow(form.path) as held:
            self.press(form.button)
            held.wait_until_entered()
            with self.second_tab():
                self.press(form.button)
                self.wait_for_the_second(held)
        self.wait_for_answer(form)
        first = self.url()
        with self.second_tab():
            self.wait_for_answer(form)
            if self.guarded:
                assert self.url() == first

    def submit_by_enter(self, form):
        """Enter, twice, in a field of the form."""
        form.open()
        self.enter_twice(form.field)
        self.wait_for_answer(form)

    def submit_back_and_again(self, form):
        """From the page that the form leads to, back to the form. Behind the guard it leads to the same page again."""
        form.open()
        self.press(form.button)
        env.until(form.seen, "the page that the form leads to", env.CLIENT_TIMEOUT)
        first = self.url()
        self.back(form.button)
        form.fill()
        self.press(form.button)
        env.until(lambda: self.answered(form.path, 2), "the second answer")
        self.wait_for_answer(form)
        if self.guarded:
            assert self.url() == first

    def submit_over_a_broken_line(self, form, server):
        """Whatever Chromium tries, no answer comes. Its page of errors is loaded again, which sends the form again.

        It returns how often it was sent.
        """
        with Lossy(server, ["lose"] * 20, f"POST {form.path}") as lossy:
            self.base = self.base.replace("{}:{}".format(*server), lossy.url.removeprefix("http://"))
            form.open()
            self.press(form.button)
            self.wait_for_an_error()
            lossy.fates.clear()
            before = len(lossy.attempts)
            self.reload()
            env.until(lambda: len(lossy.attempts) > before, "the form is sent again")
            self.wait_for_answer(form)
            return before + 1
