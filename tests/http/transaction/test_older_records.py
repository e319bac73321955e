# SPDX-License-Identifier: Apache-2.0
"""A store that an earlier version has written: its records replay, and a request that differs is told in what.

A record is rewritten in place to version 1 of the layout: the long form of the fingerprint, computed here apart, and
SHA-256 as its checksum.
"""
import hashlib

import pytest

from checks import parts_named
from raw_store import RawStore

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
<Location /cgi>
    IdempotencyFingerprint method path query body header:X-Tenant
</Location>
"""
MADE_OF, REST, PARTS, FLAGS = 80, 88, 120, 296
BRIEF = 0x20
QUERY = "status=201"
TENANT = [("X-Tenant", "t1")]


def part(value):
    return b"\xff" * 8 if value is None else len(value).to_bytes(8, "big") + value


def sha256(*pieces):
    return hashlib.sha256(b"".join(pieces)).digest()


def make_older(entry, path):
    values = [(b"method", b"POST"), (b"path", path.encode()), (b"query", QUERY.encode()), (b"body", None),
              (b"header:x-tenant", b"t1")]
    asked = [(name, value) for name, value in values if name != b"body"]
    data = entry.copy()
    assert data[4] == 3 and data[FLAGS] & BRIEF
    data[4], data[FLAGS] = 1, data[FLAGS] & ~BRIEF
    data[MADE_OF:MADE_OF + 8] = sha256(*[part(name) for name, _ in values])[:8]
    data[REST:REST + 32] = sha256(*[part(name) + part(value) for name, value in asked])
    for number, (name, value) in enumerate(values):
        digest = bytes(8) if name == b"body" else sha256(part(name), part(value))[:8]
        data[PARTS + 8 * number:PARTS + 8 * number + 8] = digest
    return data


@pytest.fixture
def older(api, httpd, origin):
    """Answers a request, and makes its record an older one: (the answer, a key, a function that asks again)."""
    def ask(query=QUERY, body=b"one", tenant="t1"):
        return api.post(f"/pay?{query}", key="of-before", body=body, headers=[("X-Tenant", tenant)])
    store = RawStore(httpd)
    known = {entry.slot for entry in store.records()}
    first = ask()
    rewritten = [entry for entry in store.records() if entry.slot not in known]
    for entry in rewritten:
        store.put(entry, make_older(entry, api.base + "/pay"))
    assert rewritten
    return first, ask


def test_that_the_record_replays(older, origin):
    first, ask = older
    again = ask()
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("other, named", [({"body": b"two"}, ["body"]), ({"query": "status=202"}, ["query"]),
                                          ({"tenant": "t2"}, ["header:x-tenant"]),
                                          ({"tenant": "t2", "body": b"two"}, ["body", "header:x-tenant"])])
def test_that_what_differs_is_named(older, origin, other, named):
    _, ask = older
    refused = ask(**other)
    assert (refused.status, parts_named(refused)) == (422, named)
    assert origin.executions("/pay") == 1
