# SPDX-License-Identifier: Apache-2.0
"""Where a key may come from besides Idempotency-Key, and in which order they are asked."""
import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /cgi/sources>
    IdempotencyKey header:X-First query:once cookie:order env:ORDER_KEY "expr=%{HTTP:X-Last}"
    SetEnvIf X-Env (.+) ORDER_KEY=$1
    IdempotencyFingerprint method
    IdempotencyRequireKey On
</Location>
"""
ALL = [("header", "", [("X-First", "same")]), ("query", "?once=same", []),
       ("cookie", "", [("Cookie", "a=b; order=same")]), ("env", "", [("X-Env", "same")]),
       ("expr", "", [("X-Last", "same")])]


@pytest.mark.parametrize("name, query, headers", ALL, ids=[name for name, _, _ in ALL])
def test_each_source_gives_the_key(api, origin, name, query, headers):
    first = api.post("/sources" + query, headers=headers)
    again = api.post("/sources" + query, headers=headers)
    assert first.problem == (201, None)
    assert again.replayed and again.recorded == first.recorded


def test_same_key_from_any_source(api, origin):
    answers = [api.post("/sources" + query, headers=headers) for _, query, headers in ALL]
    assert [answer.replayed for answer in answers] == [False] + [True] * 4
    assert origin.executions("/sources") == 1


@pytest.mark.parametrize("before", range(4))
def test_earlier_source_wins(api, origin, before):
    """With the sources from one on, the first of them decides."""
    values = {"X-First": "k0", "Cookie": "order=k2", "X-Env": "k3", "X-Last": "k4"}
    present = dict(list(values.items())[before:])
    query = "?once=k1" if before == 0 else ""
    first = api.post("/sources" + query, headers=list(present.items()))
    wins = next(iter(present.values())).replace("order=", "")
    assert api.post("/sources", headers=[("X-First", wins)]).recorded == first.recorded
    assert origin.executions("/sources") == 1


@pytest.mark.parametrize("query, headers", [("?once=", []), ("", [("Cookie", "order=")]),
                                            ("?other=1", [("Cookie", "a=b")])])
def test_empty_or_absent_value_is_no_key(api, query, headers):
    assert api.post("/sources" + query, headers=headers).problem == (400, "key-missing")
    assert api.post("/sources" + query, headers=headers + [("X-Last", "k")]).problem == (201, None)


@pytest.mark.parametrize("query, headers", [
    ("", [("X-First", "")]),                          # an empty header is a wrong one
    ("?once=" + "a" * 256, []),
    ("?once=a%0Ab", []),
    ("?once=%E9", []),
    ("", [("Cookie", "order=" + "a" * 256)]),
    ("", [("X-Env", "a\xe9")]),
    ("", [("X-Last", "a" * 256)]),
])
def test_invalid_value_is_refused_though_others_are_good(api, origin, query, headers):
    good = [] if "X-Last" in dict(headers) else [("X-Last", "good")]
    assert api.post("/sources" + query, headers=headers + good).problem == (400, "key-invalid")
    assert origin.executions() == 0


def test_any_printable_characters_outside_the_draft(api, origin):
    """Only Idempotency-Key has a syntax of its own; elsewhere quotes, commas and spaces are part of the key."""
    for key in ('a,b', '"a"', 'a', 'a b'):
        assert api.post("/sources", headers=[("X-Last", key)]).problem == (201, None)
    assert api.post("/sources?once=a%2Cb").replayed
    assert api.post("/sources?once=a%20b").replayed
    assert origin.executions("/sources") == 4
