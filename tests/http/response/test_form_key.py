# SPDX-License-Identifier: Apache-2.0
"""
The filter IDEMPOTENCY_FORM puts a hidden field with a fresh key into each form of a page that posts to its own server.
No other byte changes, and the head is that of a page with a key.
"""
import gzip
import itertools
import re
import urllib.parse

import html5lib
import pytest

import env
import form_pages
from checks import assert_replayed
from client import Api
from httpd import Here, Httpd

pytestmark = pytest.mark.mpm_independent
MODULES = ["expires", "substitute", "cache", "cache_socache", "negotiation"]
STORES = ["lmdb"]
CONFIG = """
Alias /plain "{stage}/docs/formkey"
Alias /form "{stage}/docs/formkey"
Alias /zipped "{stage}/docs/formkey"
Alias /unzipped "{stage}/docs/formkey"
Alias /rewritten "{stage}/docs/formkey"
Alias /harness "{stage}/docs/formkey"
Alias /expires "{stage}/docs/formkey"
Alias /named "{stage}/docs/formkey"
Alias /chosen "{stage}/docs/formkey"
ScriptAlias /cgiform "{stage}/origins/origin.cgi"
ScriptAlias /rawform "{stage}/origins/raw.cgi"
<Location /plain>
    IdempotencyEngine Off
</Location>
<LocationMatch "^/(form|zipped|unzipped|expires|named)/">
    IdempotencyEngine Off
    SetOutputFilter IDEMPOTENCY_FORM
</LocationMatch>
<LocationMatch "^/(cgiform|rawform|proxy|fpm)/">
    SetOutputFilter IDEMPOTENCY_FORM
</LocationMatch>
<Location /zipped>
    SetOutputFilter DEFLATE;IDEMPOTENCY_FORM
</Location>
<Location /unzipped>
    SetOutputFilter INFLATE;IDEMPOTENCY_FORM
</Location>
<Location /rewritten>
    SetOutputFilter IDEMPOTENCY_FORM;INCLUDES;SUBSTITUTE
    Options +Includes
    Substitute s/GETS/POST/
</Location>
<Location /harness>
    AddOutputFilterByType IDEMPOTENCY_FORM text/html
    SetOutputFilter IDEMPOTENCY_FORM
</Location>
<Location /expires>
    ExpiresActive On
    ExpiresDefault "access plus 1 hour"
</Location>
<Location /named>
    IdempotencyFormField my-key
</Location>
<Directory "{stage}/docs/formkey">
    AllowOverride All
    Options +ExecCGI +Includes
    AddType text/html .html .shtml .gz
    AddType application/xhtml+xml .xhtml
    AddType text/plain .txt
    AddType "text/html; charset=utf-16" .utf16
    AddType "text/html; charset=iso-2022-jp" .jp
    AddType "text/html; charset=\\"UTF-8\\"; x=y" .utf8
    AddType "text/html; charset=shift_jis" .sjis
    AddEncoding x-gzip .gz
</Directory>
"""
FORM = b'<form method="post" action="/pay"><input name="a"></form>'
FIELD = re.compile(
    rb'<input type="hidden" name="([\w.-]+)"'
    rb' value="([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"'
    rb' autocomplete="off"( /)?>'
)
ALTERED = {"Cache-Control": "private, no-store", "Accept-Ranges": "none", "ETag": None, "Last-Modified": None}
NUMBERS = itertools.count()
quoted = urllib.parse.quote


def without(body):
    """The page without the fields, and how many there were; each has a key of its own."""
    keys = [match.group(2) for match in FIELD.finditer(body)]
    assert len(set(keys)) == len(keys)
    return FIELD.sub(b"", body), len(keys)


def assert_altered(answer):
    assert {name: answer[name] for name in ALTERED} == ALTERED


@pytest.fixture
def put(stage):
    """Writes a file into the folder; returns its path there."""
    folder = stage.root / "docs/formkey"
    folder.mkdir(exist_ok=True)

    def put(body=FORM, ends=".html"):
        name = f"p{next(NUMBERS)}{ends}"
        (folder / name).write_bytes(body)
        return "/" + name

    return put


@pytest.fixture
def site(api):
    return {
        name: api.at(f"/{name}")
        for name in ("plain form zipped unzipped rewritten harness expires named cgiform rawform proxy fpm").split()
    }


def raw(*pieces, type="text/html", more=""):
    """What the raw script is asked, to write this."""
    head = f"Content-Type: {type}\r\n{more}\r\n".encode()
    return "/?" + "&".join(piece.hex() for piece in (head, *pieces))


# ---- what is added -------------------------------------------------------------------------------------------------


def tree(body):
    """html5lib's, serialized; with the number of forms in it that post here."""
    parsed = html5lib.HTMLParser(namespaceHTMLElements=False).parse(body, likely_encoding="utf-8", scripting=True)
    due = sum(form.get("method", "").lower() == "post" for form in parsed.iter("form"))
    for parent in list(parsed.iter()):
        for child in list(parent):
            if child.get("name") == "idempotency_key":
                index = list(parent).index(child)
                if child.tail and index:
                    parent[index - 1].tail = (parent[index - 1].tail or "") + child.tail
                elif child.tail:
                    parent.text = (parent.text or "") + child.tail
                parent.remove(child)
    return html5lib.serialize(parsed, omit_optional_tags=False, quote_attr_values="always"), due


@pytest.mark.parametrize("kind", ["pages", "unsure_pages"])
def test_pages_keep_every_byte_and_their_tree(site, host, put, kind):
    pages = form_pages.pages(host) if kind == "pages" else form_pages.unsure_pages()
    for name, body in pages.items():
        answer = site["form"].get(put(body))
        assert without(answer.body)[0] == body, name
        if "template" not in name:  # which html5lib does not know
            assert tree(answer.body)[0] == tree(body)[0], name
    assert len(pages) > 10


def test_pages_put_together_by_chance(site, put):
    """The tree that html5lib makes differs by the fields alone. It knows neither templates nor newer selects."""
    fields = 0
    with site["form"].connect() as conn:
        for seed in range(400):
            body = form_pages.soup(seed, without=("select", "option", "template"))
            answer = site["form"].start("GET", put(body), conn=conn).result("GET").body
            assert without(answer)[0] == body, seed
            assert tree(answer)[0] == tree(body)[0], body
            fields += without(answer)[1]
    assert fields > 50


def test_cut_at_every_byte(site):
    """A page that comes in two pieces is the same page, wherever the first one ends."""
    page = (
        b"<!DOCTYPE html><!--<form method=post>--><form METHOD='&#112;ost' action=/x><script>'<form"
        b" method=post>'</script></form><form method=post>"
    )
    for at in range(1, len(page)):
        padded = page.rjust(2 * (len(page) - at)).ljust(2 * at)  # so that its half ends there
        answer = site["proxy"].get(f"/page?header=Content-Type:+text/html&status=200&parts=2&body={quoted(padded)}")
        assert without(answer.body) == (padded, 2)


def test_each_page_has_keys_of_its_own(site, put):
    path = put(FORM + FORM)
    keys = {match.group(2) for _ in range(3) for match in FIELD.finditer(site["form"].get(path).body)}
    assert len(keys) == 6


def test_right_behind_the_start_tag(site, put):
    body = site["form"].get(put(b"<p>" + FORM)).body
    assert re.fullmatch(rb'<p><form method="post" action="/pay">' + FIELD.pattern + rb'<input name="a"></form>', body)


def test_a_name_of_ones_own(site, put):
    assert FIELD.search(site["named"].get(put()).body).group(1) == b"my-key"


def test_xhtml(site, put):
    for name, body in form_pages.xml_pages().items():
        answer = site["form"].get(put(body, ".xhtml"))
        assert without(answer.body)[0] == body, name
        assert all(match.group(3) for match in FIELD.finditer(answer.body))
    assert without(site["form"].get(put(form_pages.xml_pages()["plain"], ".xhtml")).body)[1] == 1


def test_a_form_that_leads_to_this_server_by_name(site, put, host):
    """By the name that the client used, or the server's own."""
    forms = b"".join(
        b"<form method=post action='%s'></form>" % action.encode()
        for action in (
            f"http://{host}/",
            f"HTTPS://{host.upper()}:443/x",
            f"//{host}",
            "http://evil.test/",
            "//evil.test",
            f"http://{host}:81/",
        )
    )
    assert without(site["form"].get(put(forms)).body)[1] == 3


# ---- what is left as it is -----------------------------------------------------------------------------------------


WIDE = FORM.decode()
UNTOUCHED = {
    "text": (FORM, ".txt"),
    "no form": (b"<p>nothing<form>", ".html"),
    "nothing": (b"", ".html"),
    "utf-16 by type": (FORM, ".utf16"),
    "utf-16 by mark": (WIDE.encode("utf-16"), ".html"),
    "utf-16 by zeros": (WIDE.encode("utf-16-le"), ".html"),
    "utf-16 big": (WIDE.encode("utf-16-be"), ".html"),
    "utf-32": (WIDE.encode("utf-32"), ".html"),
    "iso-2022-jp by type": (FORM, ".jp"),
    "iso-2022-jp by meta": (b"<meta charset=iso-2022-jp>" + FORM, ".html"),
    "iso-2022-jp by its bytes": ("\u65e5\u672c<form method=post>".encode("iso-2022-jp"), ".html"),
    "compressed": (gzip.compress(FORM, mtime=0), ".gz"),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_not_understood(site, put, name):
    path = put(*UNTOUCHED[name])
    plain, answer = site["plain"].get(path), site["form"].get(path)
    assert (answer.body, answer.recorded) == (plain.body, plain.recorded)
    assert answer["ETag"] and answer["Last-Modified"] and answer["Content-Length"] == str(len(plain.body))


@pytest.mark.parametrize("ends", [".utf8", ".sjis"])
def test_other_character_sets(site, put, ends):
    body = "\u8868<form method=post>\u8868".encode("shift_jis" if ends == ".sjis" else "utf-8")
    assert without(site["form"].get(put(body, ends)).body) == (body, 1)


@pytest.mark.parametrize(
    "more",
    [
        "Cache-Control: no-transform, max-age=9\r\n",
        "Content-Disposition: attachment; filename=a.html\r\n",
        "Status: 206 Partial Content\r\nContent-Range: bytes 0-9/100\r\n",
        "Content-Encoding: x-other\r\n",
    ],
)
def test_answers_that_are_no_pages(site, more):
    answer = site["rawform"].get(raw(FORM, more=more + 'ETag: "x"\r\n'))
    assert (answer.body, answer["ETag"]) == (FORM, '"x"')


def test_no_type(site):
    assert site["rawform"].get("/?" + b"Status: 200\r\n\r\n".hex() + "&" + FORM.hex()).body == FORM


# ---- the head ------------------------------------------------------------------------------------------------------


def test_no_cache_keeps_a_key(site, put):
    answer = site["form"].get(put())
    assert_altered(answer)
    assert answer["Content-Length"] == str(len(answer.body))


def test_what_an_application_says_of_caching(site):
    more = (
        "Cache-Control: public, max-age=60\r\nCDN-Cache-Control: max-age=60\r\nSurrogate-Control:"
        ' max-age=60\r\nExpires: Thu, 01 Dec 2033 16:00:00 GMT\r\nETag: "x"\r\nLast-Modified: Thu, 01 Dec 1994'
        " 16:00:00 GMT\r\nContent-MD5: x\r\nDigest: x\r\nContent-Digest: x\r\nRepr-Digest: x\r\nSet-Cookie:"
        " a=b\r\nX-Other: y\r\n"
    )
    answer = site["rawform"].get(raw(FORM, more=more))
    assert_altered(answer)
    gone = "CDN-Cache-Control Surrogate-Control Expires Content-MD5 Digest Content-Digest Repr-Digest".split()
    assert [answer[name] for name in gone] == [None] * len(gone)
    assert (answer["Set-Cookie"], answer["X-Other"], without(answer.body)) == ("a=b", "y", (FORM, 1))


def test_expires_does_not_make_it_storable(site, put):
    assert site["expires"].get(put())["Cache-Control"].startswith("private, no-store")


def test_head_is_that_of_get(site, put):
    path = put()
    get, head = site["form"].get(path), site["form"].request("HEAD", path)
    assert_altered(head)
    assert (head["Content-Length"], head.body) == (get["Content-Length"], b"")
    plain = put(b"<p>no form")
    assert site["form"].request("HEAD", plain).recorded[:3] == site["form"].get(plain).recorded[:3]


def test_head_without_a_body_to_look_at(site):
    """A backend sends none; there may be forms in it."""
    head = site["proxy"].request(
        "HEAD", f"/page?status=200&header=Content-Type:+text/html&header=ETag:+%22x%22&body={quoted(FORM)}"
    )
    assert_altered(head)
    assert head["Content-Length"] is None


def test_neither_ranges_nor_conditions(site, put):
    path = put()
    plain = site["plain"].get(path)
    for name, value in (
        ("If-None-Match", plain["ETag"]),
        ("If-Modified-Since", plain["Last-Modified"]),
        ("Range", "bytes=0-9"),
        ("If-Match", '"y"'),
    ):
        answer = site["form"].get(path, headers=[(name, value)])
        assert (answer.status, without(answer.body)) == (200, (FORM, 1)), name
        assert_altered(answer)


def test_ranges_of_what_is_no_page(site, put):
    path = put(FORM, ".txt")
    assert site["form"].get(path, headers=[("Range", "bytes=0-4")]).body == FORM[:5]
    assert site["form"].get(path, headers=[("If-None-Match", site["form"].get(path)["ETag"])]).status == 304


# ---- long and slow pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["form", "rawform"])
def test_long_pages(site, put, kind):
    """Nothing is kept back for long. A page that went on without a form has the head of a page with one."""
    page = b"<p>" + b"x" * 300_000 + FORM + b"y" * 100_000 + FORM
    answer = site[kind].get(
        put(page) if kind == "form" else raw(b"<p>") + "&78*300000&" + FORM.hex() + "&79*100000&" + FORM.hex()
    )
    assert without(answer.body) == (page, 2)
    assert_altered(answer)
    plain = site["form"].get(put(b"<p>" + b"x" * 300_000))
    assert_altered(plain)


def test_what_is_flushed_is_seen(api, site, origin):
    """The first half of a page arrives while its application still works at the other."""
    half = quoted(FORM)
    path = f"/slow?status=200&header=Content-Type:+text/html&parts=2&body={half}{half}"
    with origin.hold("/slow.1") as held:
        with site["proxy"].start("GET", path) as conn:
            held.wait_until_entered()
            seen = b""
            while b"</form>" not in seen:
                seen += conn.sock.recv(65536)
            held.let_go()
            while not seen.endswith(b"0\r\n\r\n"):
                seen += conn.sock.recv(65536)
    assert len(FIELD.findall(seen)) == 2


def test_no_random_bytes(stage, host, put, expect_log):
    """There is no key that somebody could guess: the page stays as it is."""
    path, switch = put(), stage.root / "no-random"
    environment = {"LD_PRELOAD": str(env.MODULE.parent / "no_random.so"), "NO_RANDOM": str(switch)}
    server = Httpd(stage, CONFIG, "lmdb", MODULES, type("Place", (Here,), {"environment": environment})).start()
    site = Api(server.address, host, "/form")
    assert without(site.get(path).body) == (FORM, 1)
    switch.touch()
    expect_log(180)
    answer = site.get(path)
    assert (answer.body, bool(answer["ETag"])) == (FORM, True)
    switch.unlink()
    assert without(site.get(path).body) == (FORM, 1)
    server.stop()


# ---- beside other filters ------------------------------------------------------------------------------------------


def test_before_compression(site, put):
    answer = site["zipped"].get(put(FORM * 9), headers=[("Accept-Encoding", "gzip")])
    assert answer["Content-Encoding"] == "gzip"
    assert without(gzip.decompress(answer.body)) == (FORM * 9, 9)


def test_behind_inflate(site, put):
    answer = site["unzipped"].get(put(gzip.compress(FORM), ".gz"))
    assert answer["Content-Encoding"] is None and without(answer.body) == (FORM, 1)


def test_behind_rewriters(site, put):
    part = put(b'<form method="GETS"></form>')
    page = b'<p><!--#include virtual="' + part[1:].encode() + b'" --><form method="GETS"></form>'
    assert without(site["rewritten"].get(put(page, ".shtml")).body) == (
        b'<p><form method="POST"></form><form method="POST"></form>',
        2,
    )


def test_named_twice_it_acts_once(site, put):
    assert without(site["harness"].get(put()).body) == (FORM, 1)


HTACCESS = [
    "SetOutputFilter IDEMPOTENCY_FORM",
    "AddOutputFilter IDEMPOTENCY_FORM html",
    "AddOutputFilterByType IDEMPOTENCY_FORM text/html",
    'FilterDeclare mine\nFilterProvider mine IDEMPOTENCY_FORM "true"\nFilterChain mine',
    "SetOutputFilter IDEMPOTENCY_FORM;DEFLATE;IDEMPOTENCY_FORM",
]


@pytest.mark.parametrize("htaccess", HTACCESS)
def test_a_tenants_choice(api, stage, put, htaccess):
    put()
    folder = stage.root / f"docs/formkey/t{next(NUMBERS)}"
    folder.mkdir()
    (folder / ".htaccess").write_text(
        htaccess
        + "\nSetEnv filter-errordocs 1\nIdempotencyFormField tenants.key\nErrorDocument 404 /chosen/"
        + folder.name
        + "/a.html\n"
    )
    (folder / "a.html").write_bytes(FORM)
    site = api.at(f"/chosen/{folder.name}")
    for path, status in (("/a.html", 200), ("/none", 404)):
        answer = site.get(path)
        assert (answer.status, without(answer.body)) == (status, (FORM, 1))
        assert FIELD.search(answer.body).group(1) == b"tenants.key"


# ---- guarded answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cgiform", "proxy", "fpm"])
def test_a_replayed_page_has_the_same_keys(site, origin, kind):
    """A page that answers a guarded request is one page, however often it is delivered: so is each of its forms."""
    path = f"/pay?status=200&header=Content-Type:+text/html;charset=utf-8&header=ETag:+%22x%22&body={quoted(FORM)}"
    first, again = assert_replayed(site[kind], origin, path)
    assert without(first.body) == (FORM, 1)
    assert_altered(first)
    assert_altered(again)
