# SPDX-License-Identifier: Apache-2.0
"""Keys: two spellings of one key, and everything that is refused before the store is asked."""
import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /cgi/must>
    IdempotencyRequireKey On
</Location>
<Location /cgi/uuid>
    IdempotencyKeyFormat uuid
</Location>
<Location /cgi/order>
    IdempotencyKeyFormat "order-[0-9]+"
</Location>
<Location /cgi/between>
    IdempotencyKeyLength 8 16
</Location>
"""
UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324"

BAD = ["", '""', '"', '"abc', 'abc"', 'a"bc', 'a,b', '"a", "b"', '"a" b', '"a"b', '"a";', '"a";=', r'"a\x"', '"a\\"',
       "a b", "a\tb", '"a\tb"', "\xe9", '"\xe9"', "a" * 256, '"' + "a" * 256 + '"', '"' + '\\"' * 256 + '"']
SAME = [("abc", '"abc"'), ('"abc"', '  "abc"  '), ('"abc"', '"abc";p=1'), ('"abc"', '"abc"; p; q="x,y"'),
        (r'"a\\c"', r"a\c"), ("a" * 255, '"' + "a" * 255 + '"'), (r'"a\"b"', r'"a\"b";v'), ('"a b"', '"a b"'),
        ("(a:b;c)", '"(a:b;c)"')]


def keyed(*lines):
    return {"headers": [f"Idempotency-Key: {line}" for line in lines]}


@pytest.mark.parametrize("value", BAD, ids=lambda value: ascii(value)[:40])
def test_bad_key_is_refused(api, origin, httpd, value):
    refused = api.post("/pay", **keyed(value))
    assert refused.problem == (400, "key-invalid"), refused
    assert refused.json["status"] == 400
    assert origin.executions() == 0
    assert httpd.outcomes(api, 1)[0][2] == "key-invalid"


@pytest.mark.parametrize("byte", [0x01, 0x1f, 0x7f])
def test_control_byte_is_refused(api, origin, byte):
    assert api.post("/pay", **keyed(f"a{chr(byte)}b")).status == 400
    assert origin.executions() == 0


@pytest.mark.parametrize("lines", [('"a"', '"a"'), ('"a"', '"b"'), ("", '"a"')])
def test_more_than_one_field_line_is_refused(api, origin, lines):
    assert api.post("/pay", **keyed(*lines)).problem == (400, "key-invalid")
    assert origin.executions() == 0


@pytest.mark.parametrize("one, other", SAME, ids=lambda value: value[:20])
def test_two_spellings_of_one_key(api, origin, one, other):
    first = api.post("/pay", **keyed(one))
    second = api.post("/pay", **keyed(other))
    assert first.status == 201
    assert second.replayed and second.recorded == first.recorded


@pytest.mark.parametrize("one, other", [("abc", "ABC"), ("abc", "abcd"), (r'"a\\c"', "ac"), ('"a"', '"a "')])
def test_two_keys(api, origin, one, other):
    assert api.post("/pay", **keyed(one)).status == 201
    assert not api.post("/pay", **keyed(other)).replayed
    assert origin.executions("/pay") == 2


def test_missing_key(api, origin):
    refused = api.post("/must")
    assert refused.problem == (400, "key-missing")
    assert origin.executions() == 0
    assert api.post("/must", key="k1").status == 201
    assert api.post("/pay").status == 201  # elsewhere a key is the client's choice


@pytest.mark.parametrize("path, good, bad", [
    ("/uuid", [UUID, UUID.upper()], ["k1", UUID + "0", "x" + UUID, UUID.replace("-", "")]),
    ("/order", ["order-1", "order-123"], ["order-", "order-1x", "xorder-1", "my order-1"]),
    ("/between", ["12345678", "1234567890123456"], ["1234567", "12345678901234567"]),
])
def test_configured_form(api, origin, path, good, bad):
    assert [api.post(path, key=key).problem for key in bad] == [(400, "key-invalid")] * len(bad)
    assert origin.executions() == 0
    assert [api.post(path, key=key).status for key in good] == [201] * len(good)


def test_refused_before_the_body_is_asked_for(api, origin):
    with api.connect() as conn:
        conn.send(api.head("POST", "/pay", ["Idempotency-Key: a,b", "Expect: 100-continue", "Content-Length: 5"]))
        assert conn.sock.recv(16).startswith(b"HTTP/1.1 400")


def test_key_is_not_repeated_to_the_client(api):
    refused = api.post("/pay", **keyed('"<script>secret'))
    assert b"secret" not in refused.body
