# SPDX-License-Identifier: Apache-2.0
"""Where keys come in header fields only, a request without these is known to have no key as soon as its head is read.

What other modules add to it later makes no key of it; sections in sections may name further fields.
"""
import pytest

from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
IdempotencyStatusHeader X-Once
<Location /cgi/made>
    RequestHeader set Idempotency-Key made
    RequestHeader set X-Nested made
</Location>
<Location /cgi/nested>
    <If "true">
        IdempotencyKey +header:X-Nested
    </If>
</Location>
<Location /cgi/only>
    IdempotencyMethods PUT
</Location>
"""


def executed_each_time(api, origin, place, count=2, **more):
    answers = [api.post(place, **more) for _ in range(count)]
    return not any(answer.replayed for answer in answers) and origin.executions(place) == count


def test_key_that_a_module_adds_is_none(api, origin):
    assert executed_each_time(api, origin, "/made")
    assert api.post("/made").all("X-Once") == ["idempotency;unused=no-key"]


def test_key_of_the_client_counts_all_the_same(api, origin):
    first = api.post("/made", key="sent")
    assert first.problem == (201, None) and api.post("/made", key="sent").replayed
    assert not api.post("/made", key="made").replayed


def test_field_that_only_a_nested_section_names(api, origin):
    headers = [("x-nested", "sent")]
    first = api.post("/nested", headers=headers)
    assert first.problem == (201, None) and api.post("/nested", headers=headers).replayed
    assert executed_each_time(api, origin, "/plain", headers=headers)


def test_method_is_told_before_the_missing_key(api):
    assert api.post("/only").all("X-Once") == ["idempotency;unused=method"]
    assert api.post("/only", key="k1").all("X-Once") == ["idempotency;unused=method"]


@pytest.mark.parametrize("more", ["IdempotencyRequireKey On", "IdempotencyKey query:key"])
def test_settings_that_look_at_requests_without_one(new_httpd, host, more):
    server = new_httpd(CONFIG + f"<Location /cgi/more>\n{more}\n</Location>\n").start()
    api = Api(server.address, host)
    with_query = [api.post("/more?key=k1") for _ in range(2)]
    if more.startswith("IdempotencyKey"):
        assert [answer.replayed for answer in with_query] == [False, True]
    else:
        assert [answer.problem for answer in with_query] == [(400, "key-missing")] * 2
    assert api.post("/made").all("X-Once") == ["idempotency;unused=no-key"]
