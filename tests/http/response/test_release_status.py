# SPDX-License-Identifier: Apache-2.0
"""Answers that mean "not now" are not kept, if the application itself wrote them."""
import pytest

from checks import assert_replayed

CONFIG = """
<Location /cgi/never>
    IdempotencyReleaseStatus none
</Location>
<Location /cgi/classes>
    IdempotencyReleaseStatus 3xx 404 5xx
</Location>
<Location /cgi/also>
    IdempotencyReleaseStatus +500 -503
</Location>
ProxyPass /unreachable http://127.0.0.1:9/ retry=1ms
"""


@pytest.mark.parametrize("status", [401, 407, 408, 421, 425, 429, 503])
def test_released_by_default(each_api, origin, status, httpd):
    answers = [each_api.post(f"/pay?status={status}&reason=Not+Now", key="k1") for _ in range(2)]
    assert [answer.status for answer in answers] == [status] * 2
    assert answers[0].body != answers[1].body
    assert origin.executions("/pay") == 2
    assert [row[2:4] for row in httpd.outcomes(each_api, 2)] == [["executed", "released"]] * 2


@pytest.mark.parametrize("status", [400, 403, 404, 500, 501, 502, 504])
def test_recorded_by_default(each_api, origin, status):
    assert_replayed(each_api, origin, f"/pay?status={status}")


def test_released_slot_takes_another_request(api, origin):
    assert api.post("/pay?status=503", key="k1", body=b"1").status == 503
    assert api.post("/pay?status=200", key="k1", body=b"2").problem == (200, None)
    assert origin.executions("/pay") == 2


@pytest.mark.mpm_independent
def test_none_releases_nothing(api, origin):
    for number, status in enumerate((401, 429, 503)):
        assert_replayed(api, origin, f"/never?status={status}", key=f"k{number}")


@pytest.mark.mpm_independent
def test_list_is_changed_in_place(api, origin):
    assert_replayed(api, origin, "/also?status=503", key="k1")
    for status in (500, 429):
        answers = [api.post(f"/also?status={status}", key=f"k{status}") for _ in range(2)]
        assert answers[0].body != answers[1].body


@pytest.mark.mpm_independent
@pytest.mark.parametrize("status", [300, 303, 404, 500, 501, 503, 599])
def test_class_releases_each_of_its_statuses(api, origin, status):
    answers = [api.post(f"/classes?status={status}", key="k1") for _ in range(2)]
    assert [answer.status for answer in answers] == [status] * 2
    assert origin.executions("/classes") == 2


@pytest.mark.mpm_independent
@pytest.mark.parametrize("status", [200, 299, 400, 403, 405, 429])
def test_class_releases_nothing_else(api, origin, status):
    assert_replayed(api, origin, f"/classes?status={status}")


def test_backend_that_could_not_be_reached_is_released(api, httpd):
    answers = [api.at("/unreachable").post("/pay", key="k1") for _ in range(2)]
    assert [answer.problem for answer in answers] == [(503, None)] * 2
    assert not answers[1].replayed
    assert [row[2:4] for row in httpd.outcomes(api, 2)] == [["executed", "released"]] * 2
