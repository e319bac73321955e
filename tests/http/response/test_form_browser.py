# SPDX-License-Identifier: Apache-2.0
"""
What a browser makes of a page with IDEMPOTENCY_FORM: the same tree of elements, with the hidden fields in it and
nothing else.

Chromium loads each page as it is and as it comes through the filter, in frames of one document, and compares. Pages
put together by chance are written into frames as text.
"""
import base64
from urllib.parse import quote

import pytest

import browsing
import env
import form_pages
from form_judge import JUDGE, judge

pytestmark = [pytest.mark.mpm_independent, pytest.mark.browser]
STORES = ["lmdb"]
CONFIG = """
LogLevel idempotency:trace1
Alias /plain "{stage}/docs/pages"
Alias /form "{stage}/docs/pages"
<Location /form>
    SetOutputFilter IDEMPOTENCY_FORM
</Location>
<Location />
    IdempotencyEngine Off
</Location>
<Directory "{stage}/docs/pages">
    AddType text/html .html
    AddDefaultCharset utf-8
    AddType application/xhtml+xml .xhtml
</Directory>
<LocationMatch "^/cgi/(shop|off)">
    IdempotencyEngine On
    IdempotencyKey header:Idempotency-Key form:idempotency_key
    IdempotencyConcurrent wait
    SetOutputFilter IDEMPOTENCY_FORM
    SetInputFilter IDEMPOTENCY_FORM
</LocationMatch>
<Location /cgi/off>
    IdempotencyEngine Off
</Location>
"""
SOUPS = 300

SOUP = (
    JUDGE
    + """
const [soups, done] = arguments;
const decode = text => new TextDecoder().decode(Uint8Array.from(atob(text), c => c.charCodeAt(0)));
const frames = [0, 1].map(() => document.body.appendChild(document.createElement('iframe')));
const write = (frame, text) => {
    const doc = frame.contentDocument;
    doc.open(); doc.write(text); doc.close();
    return doc;
};
const n = {fields: 0}, found = [];
for (const [plain, form] of soups) {
    const wrong = judge(write(frames[0], decode(plain)), write(frames[1], decode(form)), false, n);
    if (wrong) found.push(wrong + '\\n' + decode(plain));
}
done([found, n.fields]);
"""
)


@pytest.fixture(scope="module")
def browser():
    with browsing.chromium() as driver:
        yield driver


@pytest.fixture
def folder(stage, httpd):
    folder = stage.root / "docs/pages"
    folder.mkdir(exist_ok=True)
    (folder / "empty.txt").write_text("")
    return folder


def address(httpd):
    return "{}:{}".format(*httpd.address)


def test_the_tree_differs_by_the_fields_alone(httpd, browser, folder):
    exact = {}
    for pages, ends, is_exact in (
        (form_pages.pages(address(httpd)), ".html", True),
        (form_pages.unsure_pages(), ".html", False),
        (form_pages.xml_pages(), ".xhtml", True),
        (form_pages.xml_pages(form_pages.XML_WITHOUT), ".xhtml", False),
    ):
        for name, body in pages.items():
            (folder / (name + ends)).write_bytes(body)
            exact[name + ends] = is_exact
    browser.get(f"http://{address(httpd)}/plain/no-form.html")
    found, fields = judge(browser, exact)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert len(found) == len(exact) and fields > 80


def test_pages_put_together_by_chance(httpd, browser, folder, api):
    soups, api = [], api.at("/form")
    with api.connect() as conn:
        for seed in range(SOUPS):
            plain = form_pages.soup(seed, without=("iframe", "object"))  # a frame costs as much as a page
            (folder / f"soup{seed}.html").write_bytes(plain)
            form = api.start("GET", f"/soup{seed}.html", conn=conn).result("GET").body
            soups.append([base64.b64encode(body).decode() for body in (plain, form)])
    browser.get(f"http://{address(httpd)}/plain/no-form.html")
    found, fields = browser.execute_async_script(SOUP, soups)
    assert found == []
    assert fields > SOUPS / 8


# The page clicks when files say so, and no command of the driver is under way: those wait for a page that is asked for.
SHOP = """<form method="post" action="order?status=200"><input name="item" value="book"><button>Buy</button></form>
<script>
const ask = async name => {
    while (!(await fetch('/plain/' + name, {cache: 'no-store'})).ok) await new Promise(go => setTimeout(go, 20));
    document.querySelector('button').click();
};
ask('first-PLACE.txt').then(() => ask('second-PLACE.txt'));
</script>"""


@pytest.mark.parametrize("place", ["shop", "off"])
def test_double_click(httpd, browser, folder, origin, place):
    """Two posts and two orders without the guard, one order with it; the browser shows what the order has answered."""
    page = SHOP.replace("PLACE", place)
    browser.get(f"http://{address(httpd)}/cgi/{place}/page?status=200&header=Content-Type:+text/html&body={quote(page)}")
    with origin.hold(f"/{place}/order") as held:
        (folder / f"first-{place}.txt").write_text("go")
        held.wait_until_entered()
        (folder / f"second-{place}.txt").write_text("go")
        if place == "off":
            held.wait_until_entered()
        if place == "shop":
            env.until(lambda: any("-> WAITING, wait" in line for line in httpd.log.lines()), "the second click waits")
    shown = env.until(lambda: "execution" in browser.page_source and browser.page_source, "an answer is shown")
    runs = origin.runs(f"/{place}/order")
    assert len(runs) == (1 if place == "shop" else 2)
    assert runs[-1]["id"] in shown
