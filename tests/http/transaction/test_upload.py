# SPDX-License-Identifier: Apache-2.0
"""Request bodies: complete before anything is claimed, up to the spool; beyond it hashed while the handler reads them.
"""
import hashlib

import pytest

import env
from checks import assert_replayed, parts_named
from origins.answer import binary

CONFIG = """
<Location ~ "^/[a-z]+/small">
    IdempotencyPrefetch 4K
    IdempotencySpool 64K
</Location>
<Location ~ "^/[a-z]+/none">
    IdempotencyPrefetch 0
    IdempotencySpool 0
</Location>
"""
PREFETCH, SPOOL = 4096, 65536
SIZES = [0, 1, PREFETCH - 1, PREFETCH, PREFETCH + 1, SPOOL - 1, SPOOL, SPOOL + 1, 5 * SPOOL]


def keyed(length, key="k1"):
    return [("Idempotency-Key", key), ("Content-Length", str(length))]


def chunked(body, size=1000):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("path", ["/small", "/none"])
@pytest.mark.parametrize("size", SIZES)
def test_origin_reads_what_was_sent(each_api, origin, path, size):
    body = binary("u", size)
    first, _ = assert_replayed(each_api, origin, f"{path}?echo=1", body=body)
    assert (first.json["length"], first.json["sha256"]) == (size, hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize("size", [PREFETCH + 1, SPOOL, SPOOL + 1, 5 * SPOOL])
def test_chunked_body(each_api, origin, size):
    body = binary("u", size)
    fields = [("Idempotency-Key", "k1"), ("Transfer-Encoding", "chunked")]
    answers = []
    for _ in range(2):
        with each_api.connect() as conn:
            conn.send(each_api.head("POST", "/small?echo=1", fields) + chunked(body))
            answers.append(conn.result())
    assert answers[0].json["sha256"] == hashlib.sha256(body).hexdigest()
    assert answers[1].replayed and answers[1].recorded == answers[0].recorded


@pytest.mark.parametrize("size", [PREFETCH, SPOOL, 5 * SPOOL])
def test_last_byte_counts(each_api, origin, size):
    body = binary("u", size)
    each_api.post("/small", key="k1", body=body)
    refused = each_api.post("/small", key="k1", body=body[:-1] + b"?")
    assert refused.problem == (422, "key-reused")
    assert parts_named(refused) == ["body"] or body[-1:] == b"?"
    assert origin.executions("/small") == 1


@pytest.mark.parametrize("size", [SPOOL - 10, 5 * SPOOL])
def test_declared_length_counts(each_api, origin, size):
    body = binary("u", size)
    each_api.post("/small", key="k1", body=body)
    for other in (body[:-5], body + b"12345"):
        assert each_api.post("/small", key="k1", body=other).problem == (422, "key-reused")
    assert origin.executions("/small") == 1


@pytest.mark.parametrize("how", ["reset", "close"])
def test_broken_upload_claims_nothing_and_runs_nothing(each_api, origin, httpd, how):
    size = 10 << 20
    body = binary("u", size // 8) * 8
    conn = each_api.connect()
    conn.send(each_api.head("POST", "/pay?echo=1", keyed(size)) + body[:size // 2])
    conn.reset() if how == "reset" else conn.sock.close()
    httpd.outcomes(each_api, 1)  # httpd is done with it
    assert origin.executions() == 0
    retry = each_api.post("/pay?echo=1", key="k1", body=body)
    assert retry.problem == (201, None) and not retry.replayed
    assert retry.json["sha256"] == hashlib.sha256(body).hexdigest()
    assert origin.executions("/pay") == 1


def test_broken_chunked_upload(each_api, origin, httpd):
    conn = each_api.connect()
    head = each_api.head("POST", "/small", [("Idempotency-Key", "k1"), ("Transfer-Encoding", "chunked")])
    conn.send(head + chunked(b"x" * 2000)[:-5])
    conn.reset()
    httpd.outcomes(each_api, 1)
    assert origin.executions() == 0
    assert each_api.post("/small", key="k1", body=b"x" * 2000).problem == (201, None)


def test_upload_that_breaks_off_while_the_handler_reads(api, origin, httpd):
    """Beyond the spool the handler has begun; what it did with half a body nobody knows."""
    body = binary("u", 5 * SPOOL)
    conn = api.connect()
    conn.send(api.head("POST", "/small", keyed(len(body))) + body[:2 * SPOOL])
    env.until(lambda: origin.executions("/small"), "the handler begins")
    conn.reset()
    rows = httpd.outcomes(api, 1)
    assert rows[0][2:4] == ["executed", "unknown"]
    assert api.post("/small", key="k1", body=body).problem == (409, "outcome-unknown")
    assert origin.executions("/small") == 1


def test_duplicate_of_a_large_body_while_it_is_read(api, origin):
    """The owner's body is not known yet: a duplicate is told that it runs, whatever its own body."""
    body = binary("u", 5 * SPOOL)
    with api.connect() as conn:
        conn.send(api.head("POST", "/small", keyed(len(body))) + body[:2 * SPOOL])
        env.until(lambda: origin.executions("/small"), "the handler begins")
        assert api.post("/small", key="k1", body=body).problem == (409, "in-progress")
        conn.send(body[2 * SPOOL:])
        first = conn.result()
    assert api.post("/small", key="k1", body=body).recorded == first.recorded
    assert origin.executions("/small") == 1


def test_no_temporary_files_are_left(each_api, origin, httpd):
    each_api.post("/small", key="k1", body=binary("u", SPOOL))
    conn = each_api.connect()
    conn.send(each_api.head("POST", "/small", keyed(SPOOL, "k2")) + binary("u", SPOOL // 2))
    conn.reset()
    httpd.outcomes(each_api, 2)
    env.until(lambda: not list((httpd.root / "tmp").iterdir()), "temporary files are gone")
