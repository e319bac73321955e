# SPDX-License-Identifier: Apache-2.0
"""The fields by which a client says what is to be done, beside method and path: another word there is another request.
"""
import pytest

from checks import assert_replayed, parts_named

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
<Location /cgi/without>
    IdempotencyFingerprint -operation
</Location>
<Location /cgi/credentials>
    IdempotencyFingerprint operation credentials
</Location>
"""
FIELDS = """Content-Disposition Content-Encoding Content-Range Depth Destination Overwrite Slug SOAPAction Upload-Offset
X-Amz-Target
X-HTTP-Method X-HTTP-Method-Override X-Method-Override""".split()


def refused_for(api, origin, first, second, path="/do"):
    """The parts that the 422 names which the second of two requests gets; the first one's record stays its own."""
    before = origin.executions()
    assert api.post(path, key="k1", body=b"", headers=first).status == 201
    refused = api.post(path, key="k1", body=b"", headers=second)
    assert refused.problem == (422, "key-reused") and not refused.replayed
    assert api.post(path, key="k1", body=b"", headers=first).replayed
    assert origin.executions() == before + 1
    return parts_named(refused)


@pytest.mark.parametrize("field", FIELDS)
def test_other_operation_is_another_request(api, origin, field):
    assert refused_for(api, origin, [(field, "PUT")], [(field, "DELETE")]) == ["operation"]


@pytest.mark.parametrize("first, second", [
    ([("X-HTTP-Method-Override", "PUT")], []),
    ([], [("SOAPAction", '"urn:pay"')]),
    ([("SOAPAction", "")], []),
    ([("X-HTTP-Method", "PUT")], [("X-Method-Override", "PUT")]),
    ([("Depth", "0"), ("Overwrite", "T")], [("Depth", "0"), ("Overwrite", "F")]),
    ([("Slug", "a"), ("Slug", "b")], [("Slug", "b"), ("Slug", "a")]),
    ([("Slug", "a"), ("Slug", "a")], [("Slug", "a")]),
    ([("Content-Disposition", "aDepth0")], [("Content-Disposition", "a"), ("Depth", "0")]),
], ids=str)
def test_fields_are_told_apart_by_name_and_number(api, origin, first, second):
    assert refused_for(api, origin, first, second) == ["operation"]


def test_names_of_fields_and_their_order_among_each_other_do_not_matter(api, origin):
    first = api.post("/do", key="k1", headers=[("depth", "0"), ("X-Amz-Target", "a.B")])
    again = api.post("/do", key="k1", headers=[("x-amz-target", "a.B"), ("DEPTH", "0")])
    assert again.replayed and again.recorded == first.recorded


def test_fields_that_say_nothing_of_an_operation_do_not_matter(api, origin):
    api.post("/do", key="k1", headers=[("X-Method", "PUT"), ("Accept-Encoding", "gzip"), ("Content-Language", "en")])
    assert api.post("/do", key="k1", headers=[("X-Method", "POST")]).replayed


def test_part_can_be_left_out(api, origin):
    api.post("/without", key="k1", headers=[("Depth", "0")])
    assert api.post("/without", key="k1", headers=[("Depth", "1")]).replayed
    assert origin.executions() == 1


def test_stranger_is_told_of_credentials_only(api, origin):
    first = [("Depth", "0"), ("Authorization", "Bearer a")]
    assert refused_for(api, origin, first, [("Depth", "1"), ("Authorization", "Bearer b")],
                       "/credentials") == ["credentials"]


def test_equal_operation_is_replayed(api, origin):
    assert_replayed(api, origin, "/do", headers=[(field, f"value of {field}") for field in FIELDS])
