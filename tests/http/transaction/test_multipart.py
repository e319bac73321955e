# SPDX-License-Identifier: Apache-2.0
"""Multipart bodies: the boundary is left out, and nothing else. Two bodies that a reader would tell apart never share a
record.
"""
import pytest

from checks import parts_named

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
<Location ~ "^/[a-z]+/small">
    IdempotencyPrefetch 4K
    IdempotencySpool 64K
</Location>
<Location /cgi/bare>
    IdempotencyFingerprint body
</Location>
"""
SPOOL = 65536


def field(name, value):
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def multipart(*parts, boundary="AB", subtype="form-data", end="\r\n", padding="", body=None):
    if body is None:
        body = "".join(f"--{boundary}{padding}\r\n{part}" for part in parts) + f"--{boundary}--{padding}{end}"
    return {"body": body.encode(), "headers": [("Content-Type", f"multipart/{subtype}; boundary={boundary}")]}


def assert_other(api, origin, first, second, path="/pay"):
    assert api.post(path, key="k1", **first).status == 201
    refused = api.post(path, key="k1", **second)
    assert refused.problem == (422, "key-reused") and parts_named(refused) == ["body"]
    assert api.post(path, key="k1", **first).replayed
    assert origin.executions(path.split("?")[0]) == 1


def assert_same(api, origin, first, second, path="/pay"):
    answer = api.post(path, key="k1", **first)
    again = api.post(path, key="k1", **second)
    assert again.replayed and again.recorded == answer.recorded
    assert origin.executions(path.split("?")[0]) == 1


FORGED = "1\r\n--\r\n" + field("amount", "2").rstrip("\r\n")
TWO = [field("amount", "1"), field("amount", "2")]


@pytest.mark.parametrize("first, second", [
    (multipart(field("amount", FORGED)), multipart(*TWO)),
    (multipart(*TWO), multipart(field("amount", FORGED), boundary="CD")),
    (multipart(field("a", "1\r\n----\r\n")), multipart(body=f"--AB\r\n{field('a', '1')}--AB--\r\n\r\n--AB--\r\n")),
    (multipart(field("a", "1\r\n--ABx")), multipart(field("a", "1\r\n--CDx"), boundary="CD")),
    (multipart(field("a", "1\r\n--AB x")), multipart(field("a", "1\r\n--CD x"), boundary="CD")),
    (multipart(field("a", "1\n--AB\n2")), multipart(field("a", "1\n--CD\n2"), boundary="CD")),
    (multipart(body="--\r\n\r\nx\r\n--AB--\r\n"), multipart(body="--AB\r\n\r\nx\r\n--AB--\r\n")),
    (multipart(*TWO), multipart(*TWO, end="")),
    (multipart(*TWO), multipart(*TWO, end="\r\nmore")),
    (multipart(*TWO), multipart(body="before\r\n" + multipart(*TWO)["body"].decode())),
], ids=[str(n) for n in range(10)])
def test_bodies_that_are_not_the_same(api, origin, first, second):
    assert_other(api, origin, first, second)


def test_body_longer_than_the_spool(api, origin):
    filler = field("f", "x" * 3 * SPOOL)
    first = multipart(filler, field("amount", FORGED))
    assert_other(api, origin, first, multipart(filler, *TWO), "/small?echo=1")


@pytest.mark.parametrize("subtype", ["form-data", "mixed", "related", "x-anything", "FORM-DATA"])
def test_another_boundary_is_the_same_in_every_multipart_type(api, origin, subtype):
    one = multipart(*TWO, boundary="----one", subtype=subtype)
    assert_same(api, origin, one, multipart(*TWO, boundary="another-and-longer", subtype=subtype))


@pytest.mark.parametrize(
    "shape",
    [dict(end=""), dict(padding=" \t"),
     dict(end="\r\nepilogue"), dict(end="\r\n--AC")], ids=str)
def test_another_boundary_is_the_same_in_unusual_shapes(api, origin, shape):
    assert_same(api, origin, multipart(*TWO, **shape), multipart(*TWO, boundary="c", **shape))


@pytest.mark.parametrize("extra", [0, 1, 2, 5000])
def test_another_boundary_beyond_the_spool(api, origin, extra):
    """Marks and boundaries of other lengths: the retry is compared at exactly the byte where the first one ended."""
    parts = [field(f"f{n}", "\r\n--".join("y" * (n + extra)) + "\r\n")
             for n in range(60)] + [field("big", "z" * 4 * SPOOL)]
    first, second = multipart(*parts, boundary="q"), multipart(*parts, boundary="q" * 70)
    assert_same(api, origin, first, second, "/small?echo=1")


def test_raw_body_is_no_multipart_body(api, origin):
    """Where the type is no part of the fingerprint, the very bytes that stand for a multipart body are another body."""
    refused = api.post("/bare", key="k1", **multipart(body="--AB\r\n\r\n1\r\n--AB--\r\n"))
    assert refused.status == 201
    other = api.post("/bare", key="k1", body=b"--P\r\nD\r\n1\r\n--P--\r\nD", headers=[("Content-Type", "text/plain")])
    assert other.problem == (422, "key-reused") and parts_named(other) == ["body"]
