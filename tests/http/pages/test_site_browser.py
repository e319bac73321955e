# SPDX-License-Identifier: Apache-2.0
"""
The site of documents in Chromium, as `make html` makes it: on a phone and on a desk, in light and in dark.

Nothing has to be scrolled sideways but what is meant to, each text has the contrast of WCAG AA, links of the navigation
are large enough for a finger, and the pages fetch and run nothing. The site is read from its folder, as from a package.
"""
import pytest

import browsing
import env

pytestmark = [pytest.mark.mpm_independent, pytest.mark.browser]
SITE = env.REPO / "build" / "html"
PHONE, DESK = 360, 1280
LEAST_TEXTS = 40
# Small links in a row can be missed by a finger: 24 pixels is what WCAG 2.2 AA asks for.
SMALL = """
return [...document.querySelectorAll('nav a, header a, summary, .steps a')].filter(one => one.checkVisibility())
    .filter(one => one.getBoundingClientRect().height < 24).map(one => one.outerHTML);
"""
SIDEWAYS = """
const inner = document.documentElement.clientWidth;
return [document.documentElement.scrollWidth, inner, [...document.querySelectorAll('main *')]
    .filter(one => !one.closest('.wide') && one.getBoundingClientRect().right > inner + .5)
    .map(one => one.outerHTML.slice(0, 120))];
"""


@pytest.fixture(scope="module")
def browser():
    with browsing.chromium() as driver:
        yield browsing.Browser(driver)


def site_pages():
    return sorted(SITE.rglob("*.html"))


def open_page(browser, page):
    browser.driver.get(page.as_uri())
    for details in browser.all("details"):
        browser.driver.execute_script("arguments[0].open = true", details)


def check_page(browser, page, width):
    open_page(browser, page)
    wide, inner, beyond = browser.driver.execute_script(SIDEWAYS)
    assert (wide, beyond) == (inner, []), (page, width)
    assert browser.driver.execute_script(SMALL) == [], page
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        found, seen = browser.driver.execute_script(browsing.CONTRAST)
        assert found == [] and seen >= LEAST_TEXTS, (page, scheme, found)
        browser.shot(f"{page.stem}-{scheme}-{width}")


def test_each_page_can_be_read_on_a_phone(browser):
    pages = site_pages()
    assert len(pages) > 30
    browser.size(PHONE)
    for page in pages:
        check_page(browser, page, PHONE)
    assert [line["message"] for line in browser.driver.get_log("browser")] == []


def test_and_on_a_desk(browser):
    browser.size(DESK)
    for place in ("index.html", "stores.html", "internals/lease.html"):
        check_page(browser, SITE / place, DESK)


def test_the_navigation_is_a_link_away_on_a_phone_and_beside_the_text_on_a_desk(browser):
    browser.size(PHONE)
    open_page(browser, SITE / "manual.html")
    browser.one(".to-pages").click()
    top = browser.driver.execute_script("return document.querySelector('nav').getBoundingClientRect().top")
    assert 0 <= top < 900
    browser.one("nav a[href='faq.html']").click()
    assert browser.driver.title == "Questions · mod_idempotency"
    browser.size(DESK)
    open_page(browser, SITE / "internals" / "lease.html")
    assert not browser.one(".to-pages").is_displayed()
    nav, main = (browser.one(name).rect for name in ("nav", "main"))
    assert nav["x"] + nav["width"] <= main["x"]
    browser.one("nav a[href='../stores.html']").click()
    assert browser.driver.title == "Stores · mod_idempotency"


def test_a_wide_table_scrolls_by_itself_and_by_the_keyboard(browser):
    browser.size(PHONE)
    open_page(browser, SITE / "index.html")
    wide = browser.driver.execute_script("""
        const one = [...document.querySelectorAll('.wide')].find(one => one.scrollWidth > one.clientWidth);
        one.focus();
        return [document.activeElement === one, one.getAttribute('aria-label')];
    """)
    assert wide in ([True, "Table"], [True, "Code"])
