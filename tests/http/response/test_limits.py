# SPDX-License-Identifier: Apache-2.0
"""A response too long to keep reaches its client whole, and is never produced a second time."""
import pytest

from origins.answer import binary

CONFIG = """
IdempotencyMaxResponse 16K
<Location /cgi/large>
    IdempotencyMaxResponse 1M
</Location>
<Location /cgi/huge>
    IdempotencyMaxResponse 64M
</Location>
"""


def assert_not_kept(api, origin, path, size):
    first = api.post(f"{path}?size={size}&seed=s", key="k1", body=b"1")
    assert first.problem == (201, None)
    assert first.body == binary("s", size)
    assert api.post(f"{path}?size={size}&seed=s", key="k1", body=b"1").problem == (409, "response-not-kept")
    assert api.post(f"{path}?size={size}&seed=s", key="k1", body=b"2").problem == (422, "key-reused")
    assert origin.executions(path) == 1


@pytest.mark.parametrize("size", [16383, 16384])
def test_up_to_the_limit_is_kept(each_api, origin, size):
    first = each_api.post(f"/pay?size={size}&seed=s", key="k1")
    again = each_api.post(f"/pay?size={size}&seed=s", key="k1")
    assert first.body == binary("s", size)
    assert again.replayed and again.recorded == first.recorded


@pytest.mark.parametrize("size", [16385, 40000])
def test_over_the_limit(each_api, origin, httpd, size):
    assert_not_kept(each_api, origin, "/pay", size)
    rows = sorted(row[2:4] for row in httpd.outcomes(each_api, 3))  # two processes may log in another order
    assert rows == [["executed", "tombstone"], ["key-reused", "-"], ["response-not-kept", "-"]]


def test_far_over_the_limit(each_api, origin):
    assert_not_kept(each_api, origin, "/pay", 3 << 20)


def test_large_response_is_kept_where_there_is_room(api, origin, store):
    if store != "lmdb":
        pytest.skip("said in test_larger_than_the_store_can_hold")
    path = f"/large?size={(1 << 20) - 1}&seed=s"
    first, again = api.post(path, key="k1"), api.post(path, key="k1")
    assert again.replayed and again.recorded == first.recorded
    assert len(again.body) == (1 << 20) - 1


def test_larger_than_the_store_can_hold(api, origin, store):
    if store == "lmdb":
        pytest.skip("its largest value is larger than any limit here")
    assert_not_kept(api, origin, "/huge", 3 << 20)
