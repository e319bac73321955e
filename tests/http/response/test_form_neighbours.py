# SPDX-License-Identifier: Apache-2.0
"""
IDEMPOTENCY_FORM among other modules: caches never keep a key, rewriters have written before it, compressors come behind
it, and a page that breaks off breaks off as it would have.
"""
import gzip
import os
import re
import subprocess
import time
from urllib.parse import quote

import pytest

import env
from client_http2 import Answer, Http2

STORES = ["lmdb"]
MODULES = """cache cache_disk cache_socache substitute sed include ext_filter headers brotli deflate buffer
xml2enc proxy_html""".split() + (["http2"] if env.MPM != "prefork" else [])
CONFIG = """
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
IdempotencyEngine Off
CacheQuickHandler Off
CacheRoot "{root}/tmp"
CacheSocache shmcb
CacheHeader On
CacheEnable disk /cgi/disk
CacheEnable socache /cgi/socache
CacheEnable disk /cgi/greedy
CacheEnable disk /files/disk
CacheEnable socache /files/socache
CacheEnable disk /files/greedy
Alias /files/disk "{stage}/docs/neighbours"
Alias /files/socache "{stage}/docs/neighbours"
Alias /files/greedy "{stage}/docs/neighbours"
<LocationMatch "^/(cgi|files)/greedy">
    CacheStoreNoStore On
    CacheStorePrivate On
    CacheIgnoreNoLastMod On
    Header set Cache-Control "public, max-age=3600"
</LocationMatch>
<Directory "{stage}/docs/neighbours">
    AddType text/html .html
</Directory>
CacheIgnoreCacheControl On
CacheDefaultExpire 3600
ExtFilterDefine early mode=output cmd="/bin/sed s/GETS/post/"
ExtFilterDefine late mode=output ftype=25 cmd=/bin/cat
ProxyPass /cut http://127.0.0.1:{peer}/ disablereuse=On
ProxyPass /uncut http://127.0.0.1:{peer}/ disablereuse=On
ScriptAlias /rawform "{stage}/origins/raw.cgi"
<LocationMatch "^/(cgi|files|proxy|cut|rawform)/">
    SetOutputFilter IDEMPOTENCY_FORM
</LocationMatch>
<Location /cgi/plain>
    SetOutputFilter none
</Location>
<Location /cgi/brotli-behind>
    SetOutputFilter IDEMPOTENCY_FORM;BROTLI_COMPRESS
</Location>
<Location /cgi/brotli-before>
    SetOutputFilter BROTLI_COMPRESS;IDEMPOTENCY_FORM
</Location>
<Location /cgi/deflate-behind>
    SetOutputFilter IDEMPOTENCY_FORM;DEFLATE
</Location>
<Location /cgi/deflate-before>
    SetOutputFilter DEFLATE;IDEMPOTENCY_FORM
</Location>
<Location /cgi/sed>
    SetOutputFilter IDEMPOTENCY_FORM;SED
    OutputSed s/GETS/post/
</Location>
<Location /cgi/substitute>
    SetOutputFilter IDEMPOTENCY_FORM;SUBSTITUTE
    Substitute s/GETS/post/
</Location>
<Location /cgi/early>
    SetOutputFilter IDEMPOTENCY_FORM;early
</Location>
<Location /cgi/late>
    SetOutputFilter late;IDEMPOTENCY_FORM
</Location>
<Location /cgi/buffer>
    SetOutputFilter BUFFER;IDEMPOTENCY_FORM
</Location>
ProxyHTMLLinks form action
<LocationMatch "^/proxy/html(-plain)?/">
    ProxyHTMLEnable On
    ProxyHTMLURLMap http://inner.test/ /outer/
</LocationMatch>
<Location /proxy/html-plain>
    SetOutputFilter none
</Location>
"""
FORM = b'<form method="post" action="/pay"><input name="a"></form>'
FIELD = re.compile(rb'<input type="hidden" name="idempotency_key" value="([0-9a-f-]{36})" autocomplete="off">')



def page(path, body=FORM, more=""):
    told = f"status=200&header=Content-Type:+text/html&body={quote(body)}"
    return f"{path}/page?{told}&header=Cache-Control:+public,+max-age%3D3600&header=Last-Modified:+{DATE}{more}"


DATE = quote("Mon, 30 Nov 2026 00:00:00 GMT")


def keys_of(body):
    return FIELD.findall(body)


# ---- caches --------------------------------------------------------------------------------------------------------


@pytest.fixture
def put(stage):
    """Writes a file that has been there for a year."""
    folder = stage.root / "docs/neighbours"
    folder.mkdir(exist_ok=True)

    def put(name, body):
        (folder / name).write_bytes(body)
        os.utime(folder / name, (time.time() - 3e7,) * 2)
        return "/" + name

    return put


def kept_in(httpd):
    return [file.read_bytes() for file in (httpd.root / "tmp").rglob("*") if file.is_file()]


@pytest.mark.mpm_independent
@pytest.mark.parametrize("kind", ["disk", "socache", "greedy"])
@pytest.mark.parametrize("made", ["written", "file"])
def test_no_cache_keeps_a_page_with_a_key(httpd, api, put, kind, made):
    """Not even one that was told to store whatever comes. Each visitor gets keys of his own."""
    path = page(f"/cgi/{kind}") if made == "written" else f"/files/{kind}" + put("form.html", FORM)
    answers = [api.at("").get(path) for _ in range(3)]
    keys = [key for answer in answers for key in keys_of(answer.body)]
    assert len(keys) == len(set(keys)) == 3
    assert not any((answer["X-Cache"] or "").startswith("HIT") or answer["Age"] for answer in answers)
    assert not any(key in text for key in keys for text in kept_in(httpd))


@pytest.mark.mpm_independent
@pytest.mark.parametrize("kind", ["disk", "socache", "greedy"])
def test_a_page_without_a_form_is_kept(api, put, kind):
    """So the test above can fail."""
    path = f"/files/{kind}" + put("plain.html", b"<p>no form")
    assert [api.at("").get(path)["X-Cache"].split()[0] for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.mpm_independent
def test_head_and_conditions_do_not_bring_a_key_into_a_cache(api, origin):
    cgi = api.at("/cgi")
    cgi.request("HEAD", page("/disk"))
    first = cgi.get(page("/disk"))
    again = cgi.get(page("/disk"), headers=[("If-Modified-Since", "Mon, 30 Nov 2026 00:00:00 GMT"),
                                            ("Cache-Control", "max-stale")])
    assert (again.status, len(keys_of(again.body))) == (200, 1)
    assert keys_of(first.body) != keys_of(again.body)


# ---- compressors and rewriters -------------------------------------------------------------------------------------


@pytest.mark.mpm_independent
@pytest.mark.parametrize("place", ["deflate-behind", "deflate-before"])
def test_deflate(api, place):
    answer = api.at("/cgi").get(page(f"/{place}", FORM * 9), headers=[("Accept-Encoding", "gzip")])
    assert answer["Content-Encoding"] == "gzip" and answer["ETag"] is None
    assert FIELD.sub(b"", gzip.decompress(answer.body)) == FORM * 9
    assert len(set(keys_of(gzip.decompress(answer.body)))) == 9


@pytest.mark.mpm_independent
@pytest.mark.parametrize("place", ["brotli-behind", "brotli-before"])
def test_brotli(httpd, api, place):
    asked = ["curl", "-s", "-D", "-", "--compressed", "-H", "Accept-Encoding: br", "-H", f"Host: {api.host}"]
    url = "http://{}:{}/cgi".format(*httpd.address) + page(f"/{place}", FORM * 9)
    head, _, body = subprocess.run([*asked, url], capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
    assert b"Content-Encoding: br" in head and b"no-store" in head
    assert FIELD.sub(b"", body) == FORM * 9 and len(set(keys_of(body))) == 9


@pytest.mark.mpm_independent
@pytest.mark.parametrize("place", ["sed", "substitute", "early"])
def test_what_a_rewriter_has_made_a_form(api, place):
    body = FORM.replace(b"post", b"GETS")
    answer = api.at("/cgi").get(page(f"/{place}", body))
    assert (FIELD.sub(b"", answer.body).rstrip(b"\n"), len(keys_of(answer.body))) == (FORM, 1)


@pytest.mark.mpm_independent
@pytest.mark.parametrize("place", ["late", "buffer"])
def test_before_a_filter_that_copies(api, place):
    answer = api.at("/cgi").get(page(f"/{place}"))
    assert (FIELD.sub(b"", answer.body), len(keys_of(answer.body))) == (FORM, 1)


@pytest.mark.mpm_independent
def test_behind_proxy_html(api):
    """It maps the backend's addresses first: a form that led to the backend leads here. Its output is what is kept."""
    body = b'<html><body><form method="post" action="http://inner.test/pay"></form>' \
           b'<form method="post" action="http://other.test/"></form></body></html>'
    plain, form = (api.at("/proxy").get(page(place, body)).body for place in ("/html-plain", "/html"))
    assert b'action="/outer/pay"' in plain and keys_of(plain) == []
    assert FIELD.sub(b"", form) == plain and len(keys_of(form)) == 1
    assert re.search(rb'action="/outer/pay">' + FIELD.pattern, form)


# ---- character sets ------------------------------------------------------------------------------------------------


PLAIN = ["utf-8", "Shift_JIS", "EUC-JP", "gbk", "GB18030", "big5", "euc-kr", "windows-1252", "koi8-r", "iso-8859-15"]
OTHER = ["utf-16", "UTF-16LE", "utf-7", "iso-2022-jp", "iso-2022-kr", "hz-gb-2312", "cp037", "utf-32", "nobody-knows"]


@pytest.mark.mpm_independent
@pytest.mark.parametrize("charset, fields", [(one, 1) for one in PLAIN] + [(one, 0) for one in OTHER])
def test_character_sets(api, charset, fields):
    """Where "<" may be another character, or a part of one, the page stays as it is, and keeps its head."""
    head = f'Content-Type: text/html; charset="{charset}"\r\nETag: "x"\r\n\r\n'
    body = "\u8868".encode("shift_jis") + FORM
    answer = api.at("/rawform").get("/?" + head.encode().hex() + "&" + body.hex())
    assert (FIELD.sub(b"", answer.body), len(keys_of(answer.body))) == (body, fields)
    assert (answer["ETag"] is None) == bool(fields)


# ---- pages that break off, and streams -----------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CUT = {
    "declared": (HEAD + b"Content-Length: 1000\r\n\r\n", FORM),
    "long": (HEAD + b"Content-Length: 300000\r\n\r\n", FORM + b"x" * 200_000 + FORM),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(FORM), FORM)),
    "in the tag": (HEAD + b"Content-Length: 1000\r\n\r\n", FORM + b'<form method="po'),
    "no form": (HEAD + b"Content-Length: 1000\r\n\r\n", b"<p>none"),
}


@pytest.mark.parametrize("name", CUT)
def test_page_that_breaks_off(httpd, api, peer, name):
    """Its client sees that it is not whole, with the filter as without it: it is cut, or an error where nothing has
    left yet. What came through has its fields."""
    head, body = CUT[name]
    seen = []
    for place in ("/uncut/page", "/cut/page"):
        with api.at(place).start("GET", "") as conn:
            exchange = peer.accept()
            exchange.read_http()
            exchange.send(head + body)
            exchange.end()
            seen.append(read_to_the_end(conn))
    plain, form = seen
    assert not is_complete(*plain) and not is_complete(*form), seen
    assert form[0].startswith(b"HTTP/1.1 502") or len(set(keys_of(form[1]))) == body.count(FORM)


def read_to_the_end(conn):
    data = b""
    while piece := conn.sock.recv(65536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def is_complete(head, body):
    if head.startswith(b"HTTP/1.1 502"):
        return False
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length:
        return len(body) == int(length[1])
    return body.endswith(b"0\r\n\r\n") if b"chunked" in head.lower() else b"Connection: close" in head and body


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
@pytest.mark.parametrize("before", [0, 300_000], ids=["short", "long"])
def test_over_http2(httpd, host, before):
    head = b"Content-Type: text/html\r\nETag: \"x\"\r\n\r\n"
    path = "/rawform/?" + "&".join([head.hex(), f"78*{before}", FORM.hex() + "*2"]).replace("78*0&", "")
    with Http2(httpd.address, host) as client:
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(":method", "GET"), (":scheme", "http"), (":authority", host),
                                        (":path", path)], end_stream=True)
        client.answers[stream] = Answer()
        client.flush()
        answer = client.result(stream)
    assert (answer.status, answer["cache-control"], answer["etag"]) == (200, "private, no-store", None)
    assert FIELD.sub(b"", answer.body) == b"x" * before + FORM * 2 and len(set(keys_of(answer.body))) == 2
