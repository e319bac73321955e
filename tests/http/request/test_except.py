# SPDX-License-Identifier: Apache-2.0
"""IdempotencyExcept: a request that says that it only reads passes, although it has a key. In doubt it is guarded."""
import pytest

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/cgi/rpc"
CONFIG = """
<Location /cgi/rpc>
    IdempotencyExcept json:/method "^get"
    IdempotencyStatusHeader Idempotency-Status
    IdempotencyLookup On
    IdempotencySpool 1K
    IdempotencyPrefetch 1K
    IdempotencyKeyLength 2 10
</Location>
<Location /cgi/rpc/must>
    IdempotencyRequireKey On
</Location>
<Location /cgi/rpc/form>
    IdempotencyExcept form:action "^(list|show)$"
</Location>
<Location /cgi/rpc/head>
    IdempotencyExcept header:X-Read-Only .
</Location>
<Location /cgi/rpc/none>
    IdempotencyExcept none
</Location>
"""
JSON, FORM = ("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")


def replayed(api, path="", body=b'{"method":"get"}', headers=(JSON,), key="k1"):
    """Whether the second of two equal requests was a replay; both were answered by the application."""
    answers = [api.post(path, key=key, body=body, headers=list(headers)) for _ in range(2)]
    assert [answer.problem for answer in answers] == [(201, None)] * 2, answers
    return answers[1].replayed


@pytest.mark.parametrize("path, body, headers", [
    ("", b'{"method":"get"}', [JSON]),
    ("", b'{"id": 1, "method" : "getAll"}', [JSON]),
    ("/must", b'{"method":"get"}', [JSON]),
    ("/form", b"action=list&x=1", [FORM]),
    ("/head", b"1", [("X-Read-Only", "yes")]),
])
def test_what_matches_passes(api, origin, path, body, headers):
    assert not replayed(api, path, body, headers)
    assert origin.executions() == 2


@pytest.mark.parametrize("path, body, headers", [
    ("", b'{"method":"set"}', [JSON]),
    ("", b'{"other":"get"}', [JSON]),
    ("", b'{"method":["get"]}', [JSON]),
    ("", b'{"method":"get"', [JSON]),
    ("", b'{"method":"get","method":"set"}', [JSON]),
    ("", b'{"method":"get"}', [("Content-Type", "text/xml")]),
    ("", b'{"method":"get","long":"%s"}' % (b"x" * 2000), [JSON]),
    ("/form", b"action=delete&x=list", [FORM]),
    ("/form", b"action=list&action=delete", [FORM]),
    ("/head", b"1", []),
    ("/none", b'{"method":"get"}', [JSON]),
], ids=["another", "absent", "no string", "cut", "twice", "another type", "beyond the spool", "form", "two fields",
        "no header", "none"])
def test_in_doubt_it_is_guarded(api, origin, path, body, headers):
    assert replayed(api, path, body, headers)
    assert origin.executions() == 1


def test_no_key_is_asked_for(api, origin):
    assert api.post("/must", json={"method": "get"}).problem == (201, None)
    assert api.post("/must", json={"method": "set"}).problem == (400, "key-missing")


def test_a_key_that_does_not_count_is_not_judged(api, origin):
    assert api.post("", json={"method": "get"}, key="x").problem == (201, None)
    assert api.post("", json={"method": "set"}, key="x").problem == (400, "key-invalid")


def test_status_header_says_why(api):
    assert api.post("", json={"method": "get"}, key="k1")["Idempotency-Status"] == "idempotency;unused=except"


def test_who_only_asks_is_never_executed(api, origin):
    asked = api.post("", json={"method": "get"}, key="k1", headers=[("Prefer", "idempotency=lookup")])
    assert asked.problem == (501, "lookup-unavailable")
    assert origin.executions() == 0


def test_the_application_gets_every_byte(api):
    body = b'{"method":"get","text":"%s"}' % (b"y" * 700)
    told = api.post("?echo=1", body=body, headers=[JSON], key="k1").json
    assert told["length"] == len(body)
