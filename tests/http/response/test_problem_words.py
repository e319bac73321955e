# SPDX-License-Identifier: Apache-2.0
"""IdempotencyProblemStatus and IdempotencyRetryAfter: another status, another time to come back, problem by problem."""
import pytest

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
IdempotencyStoreTimeout 9s
<Location /cgi/usual>
    IdempotencyRequireKey On
</Location>
<Location /cgi/other>
    IdempotencyRequireKey On
    IdempotencyMismatchStatus 409
    IdempotencyProblemStatus key-missing=428 key-reused=412 in-progress=423
    IdempotencyRetryAfter in-progress=3 store-unavailable=off key-reused=90s too-many-keys=1500ms
    IdempotencyMaxKeys 1 per 1h
</Location>
<Location /cgi/other/inner>
    IdempotencyProblemStatus +key-missing=400
    IdempotencyRetryAfter +in-progress=off
    IdempotencyMaxKeys none
</Location>
<Location /cgi/other/plain>
    IdempotencyProblemStatus none
    IdempotencyRetryAfter none
    IdempotencyMaxKeys none
</Location>
<Location /cgi/page>
    IdempotencyProblemStatus key-missing=428
    IdempotencyRequireKey On
    ErrorDocument 428 "a page of ours"
</Location>
"""


def in_progress(api, origin, path):
    with origin.hold(path) as held:
        first = api.post_async(path, key="k1")
        held.wait_until_entered()
        answer = api.post(path, key="k1")
    first.result()
    return answer.status, answer["Retry-After"]


@pytest.mark.parametrize("path, told", [("/usual", (409, "1")), ("/other", (423, "3")), ("/other/inner", (423, None)),
                                        ("/other/plain", (409, "1"))])
def test_in_progress(api, origin, path, told):
    assert in_progress(api, origin, path) == told


@pytest.mark.parametrize("path, status", [("/usual", 400), ("/other", 428), ("/other/inner", 400),
                                          ("/other/plain", 400)])
def test_key_missing(api, path, status):
    refused = api.post(path)
    assert refused.problem == (status, "key-missing") and refused.json["status"] == status
    assert refused["Retry-After"] is None


def test_it_wins_over_mismatch_status(api):
    for path, status, later in (("/other", 412, "90"), ("/other/plain", 409, None)):
        api.post(path, key=path)
        refused = api.post(path, key=path, body=b"another")
        assert refused.problem == (status, "key-reused") and refused["Retry-After"] == later


def test_a_computed_time_gives_way(api):
    """1500 ms are two whole seconds."""
    api.post("/other", key="k1")
    refused = api.post("/other", key="k2")
    assert refused.problem == (429, "too-many-keys") and refused["Retry-After"] == "2"


def test_none_at_all(httpd, api, expect_log):
    httpd.control.fail("claim", "timeout")
    for path, later in (("/usual", "5"), ("/other", None)):
        refused = api.post(path, key="k1")
        assert refused.problem == (503, "store-unavailable") and refused["Retry-After"] == later
    httpd.control.behave()
    expect_log(10)


def test_error_page_has_the_other_status_too(api):
    page = api.post("/page", headers=["Accept: text/html"])
    assert page.problem == (428, "key-missing") and page.body == b"a page of ours"
