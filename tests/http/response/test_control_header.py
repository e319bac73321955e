# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Control: how an application says what is to become of its answer."""
import pytest

import env
from checks import assert_replayed

CONFIG = """
<Location /cgi/off>
    IdempotencyEngine Off
</Location>
"""
NO_STORE = "header=Idempotency-Control:+no-store"


def test_no_store_releases(each_api, origin, httpd):
    answers = [each_api.post(f"/pay?{NO_STORE}", key="k1") for _ in range(2)]
    assert [answer.problem for answer in answers] == [(201, None)] * 2
    assert answers[0].body != answers[1].body
    assert [answer["Idempotency-Control"] for answer in answers] == [None, None]
    assert origin.executions("/pay") == 2
    assert [row[2:4] for row in httpd.outcomes(each_api, 2)] == [["executed", "released"]] * 2


@pytest.mark.parametrize("value", ["No-Store", "ttl=60,+no-store", "no-store,no-store", "ttl%3D60,no-store"])
def test_last_valid_member_wins_no_store(api, origin, value):
    for _ in range(2):
        assert not api.post(f"/pay?header=Idempotency-Control:+{value}", key="k1").replayed
    assert origin.executions("/pay") == 2


@pytest.mark.parametrize("value", ["no-store,+ttl=60", "ttl=60"])
def test_last_valid_member_wins_ttl(api, origin, value):
    first, second = assert_replayed(api, origin, f"/pay?header=Idempotency-Control:+{value}")
    assert first["Idempotency-Control"] is None and second["Idempotency-Control"] is None


def test_ttl_ends_the_record(api, origin):
    path = "/pay?header=Idempotency-Control:+ttl%3D3"
    assert_replayed(api, origin, path)
    env.until(lambda: not api.post(path, key="k1").replayed, "the record expires")
    assert origin.executions("/pay") == 2


@pytest.mark.mpm_independent
@pytest.mark.parametrize("value", ["ttl%3D0", "ttl%3D99999999", "ttl%3D-1", "ttl%3Dx", "ttl", "never", "no-store%3D1"])
def test_invalid_member_is_ignored_with_a_warning(api, origin, expect_log, value):
    expect_log(33)
    first, second = assert_replayed(api, origin, f"/pay?header=Idempotency-Control:+{value}")
    assert first["Idempotency-Control"] is None and second["Idempotency-Control"] is None


@pytest.mark.mpm_independent
def test_invalid_member_leaves_the_others(api, origin, expect_log, httpd):
    expect_log(33)
    for _ in range(2):
        assert not api.post("/pay?header=Idempotency-Control:+no-store,+never,+ttl%3D0", key="k1").replayed
    assert len(httpd.log.faults()) == 2  # one for each response, however many members


@pytest.mark.mpm_independent
def test_clients_copy_is_ignored(api, origin):
    assert_replayed(api, origin, "/pay", headers=[("Idempotency-Control", "no-store")])


def test_never_passed_on_where_the_engine_is_on(each_api):
    for method in ("GET", "POST"):
        answer = each_api.request(method, f"/pay?{NO_STORE}&header=X-Kept:+1")
        assert (answer["Idempotency-Control"], answer["X-Kept"]) == (None, "1")


def test_untouched_where_the_engine_is_off(api):
    assert api.post(f"/off?{NO_STORE}", key="k1")["Idempotency-Control"] == "no-store"
