# SPDX-License-Identifier: Apache-2.0
"""The page over the admin API, as a client without scripts reads it: its content, its users, and that nothing in it
acts."""
import html
import re
import sys
from urllib.parse import urlencode

import pytest

import admins
import env
from checks import basic
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from memcached_server import Memcached, url  # noqa: E402 (found by the line above)

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = admins.BODIES + admins.DOORS
HTML = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Page:
    """Reads the page; text is what a person sees of it, roughly."""

    def __init__(self, address, host, place="/admin/staff", user="alice"):
        self.api = Api(address, host, place, [HTML] + ([basic(user)] if user else []))

    def get(self, path="/"):
        return self.api.get(path)

    def find(self, key, **fields):
        body = urlencode({"key": key, "scope.host": self.api.host, "scope.user": "", **fields}).encode()
        return self.api.post("/", body=body, headers=[("Content-Type", "application/x-www-form-urlencoded")])


def text(answer):
    return html.unescape(re.sub(r"<[^>]*>", " ", answer.body.decode()))


def slot_in(answer):
    return re.search(rb'class="slot[^"]*"[^>]*>([0-9a-f]{64})<', answer.body).group(1).decode()


@pytest.fixture
def page(httpd, host):
    return Page(httpd.address, host)


def test_frame_lets_nothing_in(page):
    answer = page.get()
    assert answer.status == 200 and answer["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert (answer["X-Content-Type-Options"], answer["Cache-Control"], answer["Referrer-Policy"]) == \
        ("nosniff", "no-store", "no-referrer")
    assert "Accept" in answer["Vary"]
    markup = answer.body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=\"page.js\")", markup)
    assert not re.search(r"(src|href|action)=\"(https?:)?//", markup)


def test_files_of_the_page(page):
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        answer = page.get("/" + name)
        assert answer.status == 200 and answer["Content-Type"].startswith(kind), name
        assert answer["X-Content-Type-Options"] == "nosniff" and len(answer.body) > 100
        head = page.api.request("HEAD", "/" + name)
        assert head.status == 200 and head.body == b"" and head["Content-Length"] == str(len(answer.body))


def test_who_asks_for_no_page_gets_json(page):
    for accept in ("application/json", "*/*", "text/html;q=0"):
        api = Api(page.api.address, page.api.host, "/admin/staff", [basic("alice"), ("Accept", accept)])
        answer = api.get("/")
        assert (answer.status, answer["Content-Type"]) == (404, "application/problem+json"), accept


def test_head_and_other_methods(page):
    head = page.api.request("HEAD", "/")
    assert head.status == 200 and head.body == b"" and "default-src 'none'" in head["Content-Security-Policy"]
    for method in ("PUT", "DELETE", "OPTIONS"):
        answer = page.api.request(method, "/", body=b"")
        assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, POST"), method
    wrong = page.api.post("/", body=b"{}", headers=[("Content-Type", "application/json")])
    assert wrong.status == 415


def test_address_ends_in_a_slash(page):
    for path, leads in (("", "staff/"), ("?slot=12", "staff/?slot=12"), ("/a:b", "./a:b/"), ("/%3Cb%3E", "%3cb%3e/")):
        answer = page.get(path)
        assert (answer.status, answer["Location"]) == (307, leads), path


def test_open_place_is_refused_with_what_to_configure(httpd, host):
    answer = Page(httpd.address, host, "/admin/open", user=None).get()
    assert answer.status == 403 and "configure Require" in text(answer)
    assert b"<h2>" not in answer.body.split(b"<dialog")[0]  # and nothing else
    for name in ("/page.js", "/v1/stats"):
        assert Page(httpd.address, host, "/admin/open", user=None).get(name).status == 403
    assert Page(httpd.address, host, user=None).get().status == 401


def test_who_may_only_read_is_told_so(httpd, host, api, page):
    api.post("/pay", key="k1", body=b"1")
    slot = slot_in(page.find("k1"))
    assert b"data-version" in page.get(f"/?slot={slot}").body
    local = Page(httpd.address, host, "/admin/local", user=None).get(f"/?slot={slot}")
    assert local.status == 200 and b"data-version" not in local.body
    assert "only read" in text(local) and "Require valid-user" in text(local)


def test_by_key_and_by_slot(api, page):
    first = api.post("/pay?status=207", key="k1", body=b"1")
    found = page.find("k1")
    assert found.status == 200 and "looked up with this scope" in text(found) and "207" in text(found)
    assert b"k1" not in found.body
    slot = slot_in(found)
    by_digits = page.get(f"/?prefix={slot[:16].upper()}+")
    assert by_digits.status == 200 and slot_in(by_digits) == slot
    body = page.get(f"/?slot={slot}&body=1")
    assert html.escape(first.body.decode()) in body.body.decode()
    assert page.find("k1", raw="1").status == 200
    other = page.find('k1', other=f"host={api.host} user")
    assert slot_in(other) == slot
    gone = page.find("k2")
    assert gone.status == 200 and "is free" in text(gone)
    assert page.get("/?slot=" + "0" * 64).status == 404
    for wrong in ({"key": ""}, {"key": "a\x01"}, {"key": "k1", "scope.nothing": "x"}, {"key": "k1", "other": "<i>"}):
        answer = page.find(**wrong)
        assert answer.status == 400 and b"<i>" not in answer.body, wrong


def test_lists_filter_and_go_on(api, page):
    for i in range(5):
        api.post("/pay", key=f"k{i}", body=b"1")
    seen, path = [], "/?state=record&older=&newer=&prefix=&limit=2&view=entries"
    while path:
        answer = page.get(path)
        assert answer.status == 200
        seen += re.findall(r'href="\./\?slot=([0-9a-f]{64})"', answer.body.decode())
        more = re.search(r'rel="next" href="\.(/[^"]*)"', answer.body.decode())
        path = html.unescape(more.group(1)) if more else None
    assert len(seen) == len(set(seen)) >= 5
    assert "No such entry" in text(page.get("/?state=damaged"))
    for wrong in ("state=gone", "older=x", "prefix=xyz", "limit=0", "cursor=" + "0" * 99):
        assert page.get("/?" + wrong).status == 400, wrong


def test_markup_of_others_is_text(httpd, host, api, page):
    """In a header value, in a body, in a key, a scope, a path, a query and a filter."""
    value = "<script>alert(1)</script>"
    api.post("/pay?" + urlencode({"header": f"X-Evil: {value}", "body": EVIL}), key="k1", body=b"1")
    slot = slot_in(page.find("k1"))
    shown = page.get(f"/?slot={slot}&body=1")
    assert html.escape(value, quote=False).encode() in shown.body and "onerror" in text(shown)
    answers = [shown, page.find(EVIL), page.find("k1", **{"scope.host": EVIL}), page.find("k1", other=EVIL),
               page.find("k1", **{"scope." + EVIL: "x"})]
    for name in ("slot", "prefix", "state", "cursor", "view", "older", EVIL):
        answers.append(page.get("/?" + urlencode({name: EVIL})))
    answers.append(page.get("/%3Cscript%3Ealert(1)%3C/script%3E/"))
    for answer in answers:
        assert answer["Content-Type"].startswith("text/html")
        for markup in (b"<script>", b"<img", b"onerror=alert(2)>", b'"\'&<'):
            assert markup not in answer.body, answer


def test_page_says_what_the_api_says(api, page):
    for _ in range(3):
        api.post("/pay", key="k1", body=b"1")
    json = Api(page.api.address, page.api.host, "/admin/staff", [basic("alice")])
    row = r'<th scope="row">([a-z-]+)</th><td class="number">\d+</td><td class="number">(\d+)</td>'

    least = {"executed": 1, "replayed": 2, "recorded": 1}

    def both():
        """What the two say, once they say the same of all three; a request is counted when its answer has gone out, so
        it may still be missing in one or both.
        """
        stats = json.get("/v1/stats?entries=0").json
        counted = {**stats["counted"]["outcomes"], **stats["counted"]["settlements"]}
        counted = {name: count for name, count in counted.items() if count}
        shown = {name: int(count) for name, count in re.findall(row, page.get().body.decode())}
        complete = all(shown.get(name, 0) >= count for name, count in least.items())
        return stats if counted == shown and complete else None
    stats = env.until(both, "page and API say the same")
    assert stats["entries"] is None
    chart = page.get().body.decode()
    assert '<rect class="executed"' in chart and '<rect class="replayed"' in chart


def test_what_runs_is_listed_and_left_alone(api, page, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        overview, entry = page.get(), page.find("k1")
        assert "Requests that run now" in text(overview) and slot_in(entry)[:12] in text(overview)
        assert "not disturbed" in text(entry) and b"data-version" not in entry.body
    with first:
        assert first.result().status == 201


def test_store_that_cannot_list_says_so(new_httpd, tmp_path, host):
    with Memcached(tmp_path / "one") as memcached:
        server = new_httpd(CONFIG, url(memcached)).start()
        api, page = Api(server.address, host), Page(server.address, host)
        api.post("/pay?status=207", key="k1", body=b"1")
        for path, status in (("/", 200), ("/?view=entries", 501)):
            answer = page.get(path)
            assert answer.status == status and "501" in text(answer) and "list" in text(answer)
            assert b'<table class="entries"' not in answer.body and "No outcome is unknown" not in text(answer)
        assert "207" in text(page.find("k1"))
