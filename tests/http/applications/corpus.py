# SPDX-License-Identifier: Apache-2.0
"""
The pages of real applications with IDEMPOTENCY_FORM, as a browser sees them: they differ by the hidden fields alone.

Each page is taken from the application as it comes through the filter. Without its fields it is the page as it was, and
is served again, at /plain as it is and at /form through the filter.
"""
import re
import urllib.request

import env
from form_judge import judge

FIELD = re.compile(rb'<input type="hidden" name="idempotency_key" value="[-0-9a-f]{36}"[^>]*>')
# No script of a page moves it, and no page loads anything.
CORPUS = """
Alias /plain "{stage}/docs/corpus"
Alias /form "{stage}/docs/corpus"
<Location /form>
    SetOutputFilter IDEMPOTENCY_FORM
</Location>
<Directory "{stage}/docs/corpus">
    Options -Includes
    AddType text/html .html
    AddDefaultCharset utf-8
    Header always set Content-Security-Policy "default-src 'none'"
</Directory>
"""


def fetch(url, cookies=()):
    header = "; ".join(f"{one['name']}={one['value']}" for one in cookies)
    request = urllib.request.Request(url, headers={"Cookie": header})
    with urllib.request.urlopen(request, timeout=env.CLIENT_TIMEOUT) as answer:
        assert answer.headers.get_content_type() == "text/html", url
        return answer.read()


def judge_pages(clicks, paths, folder):
    """Pages of whoever is logged in in the browser, and the same pages of a visitor."""
    folder = folder / "corpus"
    folder.mkdir(exist_ok=True)
    cookies, pages, live = clicks.driver.get_cookies(), {}, {}
    for path in paths:
        for who in (cookies, ()):
            name = f"{len(pages)}.html"
            page = fetch(clicks.base + path, who)
            (folder / name).write_bytes(FIELD.sub(b"", page))
            pages[name], live[name] = True, len(FIELD.findall(page))
    server = clicks.base.rsplit("/", 1)[0]
    for name, keys in live.items():
        assert len(FIELD.findall(fetch(f"{server}/form/{name}"))) == keys, name
    (folder.parent / "blank.html").write_text("<!DOCTYPE html><title>blank</title>")
    clicks.base = server
    clicks.open("/blank.html")
    found, keys = judge(clicks.driver, pages)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert len(found) == 2 * len(paths) and keys == sum(live.values())
    return keys
