# SPDX-License-Identifier: Apache-2.0
"""
Request bodies with a Content-Encoding: whether somebody on the way decodes them, the guard does not guess. A key in
one is refused, scope and fingerprint count its bytes, and the application gets it as without the module.
"""
import gzip
import hashlib

import pytest

from checks import parts_named
from forms import URLENCODED, chunked, field, multipart

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/cgi"
CONFIG = """
<Location /cgi/key>
    IdempotencyKey header:Idempotency-Key form:request_key json:/id
</Location>
<Location /cgi/scope>
    IdempotencyScope host json:/tenant form:tenant
</Location>
<Location /cgi/values>
    IdempotencyFingerprint method json:/amount form:amount
</Location>
<Location /cgi/canon>
    IdempotencyFingerprint method body=json,-/at body=form,-at
</Location>
<Location /cgi/raw>
    IdempotencyFingerprint method body
</Location>
<Location /cgi/except>
    IdempotencyExcept json:/method get
</Location>
<LocationMatch "^/cgi/[a-z]+/decoded">
    SetInputFilter DEFLATE
</LocationMatch>
"""
JSON = ("Content-Type", "application/json")
CODINGS = ["gzip", "x-gzip", "GZIP", "br", "deflate", "zstd", "x-own", "gzip, br", "identity, gzip", "gzip;q=1"]
every_coding = pytest.mark.parametrize("coding", CODINGS)


def packed(body, coding="gzip", kind=JSON, level=9):
    return {"body": gzip.compress(body, compresslevel=level, mtime=0),
            "headers": [kind, ("Content-Encoding", coding)]}


BODIES = {
    "json": packed(b'{"id": "k1"}'),
    "text": packed(b'{"id": "k1"}', kind=("Content-Type", "text/plain")),
    "form": packed(b"request_key=k1", kind=URLENCODED),
    "parts": packed(multipart(field("request_key", "k1"))["body"], kind=multipart()["headers"][0]),
}


@pytest.mark.parametrize("kind", BODIES)
@every_coding
def test_key_is_refused(api, origin, kind, coding):
    """With its reason, and before anything runs; also where mod_deflate would decode the body."""
    sent = {**BODIES[kind], "headers": [BODIES[kind]["headers"][0], ("Content-Encoding", coding)]}
    for path in ("/key", "/key/decoded"):
        refused = api.post(path, **sent)
        assert refused.problem == (400, "key-invalid") and "it has a Content-Encoding" in refused.json["detail"]
    assert origin.executions() == 0


def test_key_in_chunks_is_refused(api, origin):
    sent = BODIES["json"]
    assert chunked(api, "/key", sent["body"], sent["headers"], size=5).problem == (400, "key-invalid")
    assert origin.executions() == 0


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_no_coding_at_all(api, origin, coding):
    sent = {"body": b'{"id": "k1"}', "headers": [JSON, ("Content-Encoding", coding)]}
    assert [api.post("/key", **sent).replayed for _ in range(2)] == [False, True]
    assert origin.executions("/key") == 1


@every_coding
def test_key_in_a_header(api, origin, coding):
    """The body is not looked at; its bytes are compared."""
    sent, other = packed(b'{"id": 1}', coding), packed(b'{"id": 2}', coding)
    assert [api.post("/key", key="k1", **sent).replayed for _ in range(2)] == [False, True]
    assert api.post("/key", key="k1", **other).problem == (422, "key-reused")
    assert origin.executions("/key") == 1


def test_type_that_holds_no_key(api, origin):
    sent = packed(b"\x89PNG", kind=("Content-Type", "image/png"))
    assert [api.post("/key", **sent).problem for _ in range(2)] == [(201, None)] * 2
    assert origin.executions("/key") == 2


@every_coding
def test_scope_has_the_bytes(api, origin, coding):
    """So a key is another one's in another body. Nobody can choose a tenant that the guard does not see."""
    answers = [api.post("/scope", key="k1", **packed(body, coding))
               for body in (b'{"tenant": "a"}', b'{"tenant": "b"}', b'{"tenant": "a"}')]
    assert [(answer.status, answer.replayed) for answer in answers] == [(201, False), (201, False), (201, True)]
    assert api.post("/scope", key="k1", body=b'{"tenant": "a"}', headers=[JSON]).replayed is False
    assert origin.executions("/scope") == 3


@pytest.mark.parametrize("path, part", [("/values", "json:/amount"), ("/canon", "body=json"), ("/raw", "body")])
@every_coding
def test_fingerprint_has_the_bytes(api, origin, path, part, coding):
    """The same bytes are the same request. The same values in other bytes are another one, and at is not left out."""
    first = api.post(path, key="k1", **packed(b'{"amount": 10, "at": 1}', coding))
    assert first.status == 201
    assert api.post(path, key="k1", **packed(b'{"amount": 10, "at": 1}', coding)).replayed
    for other in (packed(b'{"amount": 10, "at": 2}', coding), packed(b'{"amount": 10, "at": 1}', coding, level=1)):
        refused = api.post(path, key="k1", **other)
        assert refused.problem == (422, "key-reused") and part in parts_named(refused), other
    assert origin.executions(path) == 1


def test_what_is_left_out_counts_in_a_form_too(api):
    first, other = (packed(b"amount=10&at=%d" % at, kind=URLENCODED) for at in (1, 2))
    assert api.post("/canon", key="k1", **first).status == 201
    assert api.post("/canon", key="k1", **other).problem == (422, "key-reused")


@pytest.mark.parametrize("path", ["/values", "/canon", "/raw"])
def test_behind_the_guard_it_is_decoded(api, origin, path):
    """mod_deflate's input filter stands between the guard and the application."""
    text = b'{"amount": 10}' * 500
    answers = [api.post(path + "/decoded?echo=1", key="k1", **packed(text)) for _ in range(2)]
    assert answers[0].json["sha256"] == hashlib.sha256(text).hexdigest()
    assert answers[1].replayed and origin.executions() == 1
    assert api.post(path + "/decoded", key="k1", **packed(text, level=1)).problem == (422, "key-reused")


@every_coding
def test_the_application_gets_every_byte(api, coding):
    sent = packed(b'{"amount": 10}', coding)
    assert api.post("/canon?echo=1", key="k1", **sent).json["sha256"] == hashlib.sha256(sent["body"]).hexdigest()


def test_nothing_is_unpacked(api, origin):
    """Sixty-four megabytes of zeros in some kilobytes cost what the kilobytes cost."""
    bomb = packed(b"0" * (64 << 20))
    assert len(bomb["body"]) < 100_000
    assert [api.post("/canon", key="k1", **bomb).replayed for _ in range(2)] == [False, True]
    assert api.post("/key", **bomb).problem == (400, "key-invalid")
    assert origin.executions() == 1


@every_coding
def test_exceptions_do_not_see_it(api, origin, coding):
    sent = packed(b'{"method": "get"}', coding)
    assert [api.post("/except", key="k1", **sent).replayed for _ in range(2)] == [False, True]
    assert not api.post("/except", key="k2", body=b'{"method": "get"}', headers=[JSON]).replayed
    assert origin.executions("/except") == 2


def test_coding_is_part_of_the_request(api):
    """Of the default fingerprint: the same bytes under another name are another request."""
    sent = packed(b"x")
    assert api.post("/plain", key="k1", **sent).status == 201
    refused = api.post("/plain", key="k1", body=sent["body"], headers=[JSON, ("Content-Encoding", "x-own")])
    assert refused.problem == (422, "key-reused") and "operation" in parts_named(refused)
