# SPDX-License-Identifier: Apache-2.0
"""A filter before the recorder gives up in the middle, or a handler keeps its end. Half an answer came through,
whatever the handler returns. In both ways to answer the client sees that it is none, and the key's outcome is unknown.
"""
import gzip
import http.client

import pytest

import env
from checks import assert_clean_error

STORES = ["lmdb"]
MODULES = ["substitute", "ext_filter", "sed"]
PATIENCE = "CGIScriptTimeout" if env.MPM == "prefork" else "CGIDScriptTimeout"
KINDS = ["cgi", "proxy", "fpm"]
# /includes: far longer than a busy machine takes to start Python, or no script would get as far as its gate.
CONFIG = f"""
ExtFilterDefine dies mode=output cmd="/nowhere/filter"
<LocationMatch "/streamed/">
    IdempotencyResponse stream
</LocationMatch>
<LocationMatch "/includes$">
    SetOutputFilter INCLUDES
    Options +IncludesNoExec
    {PATIENCE} 3s
</LocationMatch>
<LocationMatch "/substitute$">
    SetOutputFilter SUBSTITUTE
    Substitute s|a|b|
    SubstituteMaxLineLength 1k
</LocationMatch>
<LocationMatch "/inflate$">
    SetOutputFilter INFLATE
</LocationMatch>
<LocationMatch "/external$">
    SetOutputFilter dies
</LocationMatch>
ScriptAlias /raw "{{stage}}/origins/raw.cgi"
<LocationMatch "/fine$">
    SetOutputFilter SUBSTITUTE
    Substitute s|a|b|
</LocationMatch>
"""


def broken(api, path, query):
    """What a client gets of it: a whole error page, or the beginning of an answer and no end."""
    with api.post_async(f"{path}?{query}", key="k1", body=b"1") as conn:
        raw = http.client.HTTPResponse(conn.sock, method="POST")
        raw.begin()
        try:
            body = raw.read()
        except (http.client.IncompleteRead, ConnectionResetError):
            return None
    return raw.status, raw.getheader("Idempotency-Error"), body


def assert_cut(api, origin, way, name, query):
    path = f"/{way}/{name}" if way else f"/{name}"
    first = broken(api, path, query)
    if way == "streamed":
        assert first is None or first[0] in (502, 504), first
    else:
        assert first and first[0] in (502, 504) and first[1] is None and first[2].endswith(b"</body></html>\n"), first
    assert api.post(f"{path}?{query}", key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert origin.executions() == 1


WAYS = ["", "streamed"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", [1, 3])
def test_script_that_hangs_under_includes(api, origin, way, moment):
    path = f"/{way}/includes" if way else "/includes"
    with origin.hold(f"{path}.{moment}"):
        assert_cut(api, origin, way, "includes", "parts=4&body=01234567")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_line_too_long_for_substitute(api, origin, way, kind):
    """mod_proxy_http returns OK for it, mod_proxy_fcgi an error; mod_cgi does not look."""
    assert_cut(api.at("/" + kind), origin, way, "substitute", "body=" + "a" * 4000)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("damage", ["middle", "end"])
def test_inflate_cannot_read_it(api, origin, way, damage):
    packed = bytearray(gzip.compress(bytes(range(256)) * 40, 1))
    if damage == "middle":
        packed[60:160] = b"x" * 100
    else:
        packed[-8:-4] = b"xxxx"  # the checksum
    answer = b"Status: 201\r\nContent-Encoding: gzip\r\n\r\n" + packed
    assert_cut(api.at("/raw"), origin, way, "inflate", answer.hex())


@pytest.mark.parametrize("way", WAYS)
def test_external_filter_cannot_be_started(api, origin, httpd, way):
    path = f"/{way}/external" if way else "/external"
    assert broken(api, path, "size=4000")[0] == 500
    assert httpd.outcomes(api, 1)[0][2:4] == ["executed", "unknown"]
    assert origin.executions() == 1


@pytest.mark.parametrize("kind", env.KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_filters_that_let_it_through(api, origin, way, kind):
    """The same chain where nothing fails: an answer like others."""
    api, path = api.at("/" + kind), f"/{way}/fine" if way else "/fine"
    first, again = (api.post(f"{path}?body=banana&parts=2", key="k1", body=b"1") for _ in range(2))
    assert (first.status, first.body) == (201, b"bbnbnb")
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions(path) == 1
