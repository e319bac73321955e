# SPDX-License-Identifier: Apache-2.0
"""What another guard's Idempotency-Error becomes: "nothing was done" is released, all others are answers."""
import pytest

from client import Api

STORES = ["lmdb"]
CONFIG = """
<LocationMatch "/stream">
    IdempotencyResponse stream
</LocationMatch>
<LocationMatch "/watched">
    IdempotencyEngine DetectionOnly
</LocationMatch>
<LocationMatch "/none">
    IdempotencyReleaseStatus none
</LocationMatch>
"""
UNDONE = [(409, "in-progress"), (503, "store-unavailable"), (429, "too-many-keys")]
ANSWERS = [(409, "outcome-unknown"), (409, "response-not-kept"), (422, "key-reused"), (400, "key-invalid"),
           (409, "conflict")]


def query(status, name):
    return f"?status={status}&header=Idempotency-Error:%20{name}"


@pytest.mark.parametrize("path", ["/none", "/none/stream"])
@pytest.mark.parametrize("status, name", UNDONE, ids=lambda value: str(value))
def test_nothing_was_done(each_api, origin, status, name, path):
    """Its client is told so, too."""
    for count in (1, 2):
        answer = each_api.post(path + query(status, name), key="k1")
        assert answer.problem == (status, name) and not answer.replayed
        assert origin.executions(path) == count


def test_it_has_the_last_word(api, origin):
    for _ in range(2):
        api.post("/pay" + query(409, "in-progress") + "&header=Idempotency-Control:%20ttl=60", key="k1")
    assert origin.executions("/pay") == 2


@pytest.mark.parametrize("status, name", ANSWERS, ids=lambda value: str(value))
def test_answers(each_api, origin, status, name):
    first = each_api.post("/pay" + query(status, name), key="k1")
    again = each_api.post("/pay" + query(status, name), key="k1")
    assert first.problem == (status, name) and again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_where_it_is_only_watched(httpd, host):
    api = Api(httpd.address, host, "/cgi")
    for _ in range(2):
        api.post("/watched" + query(409, "in-progress"), key="k1")
    assert [row[2:4] for row in httpd.outcomes(api, 2)] == [["detected:executed", "released"]] * 2
