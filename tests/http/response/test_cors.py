# SPDX-License-Identifier: Apache-2.0
"""A script on another site can read what the module says, where it can read the response at all."""
import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /cgi/shared>
    Header always set Access-Control-Allow-Origin https://shop.test
</Location>
<Location /cgi/streamed>
    IdempotencyResponse stream
    Header always set Access-Control-Allow-Origin https://shop.test
</Location>
<Location /cgi/exposing>
    Header always set Access-Control-Allow-Origin *
    Header always set Access-Control-Expose-Headers X-Own
</Location>
<Location /cgi/marked>
    Header always set Access-Control-Allow-Origin *
    IdempotencyReplayedHeader X-Again
</Location>
<Location /cgi/withdrawn>
    Header always unset Access-Control-Allow-Origin
</Location>
"""
OURS = {"idempotent-replayed", "idempotency-error", "retry-after"}
ALLOWED = "header=Access-Control-Allow-Origin:+*"


def exposed(response):
    return {
        name.strip().lower()
        for value in response.all("Access-Control-Expose-Headers") for name in value.split(",")
    }


def test_exposed_on_a_first_answer_that_flows(api):
    assert exposed(api.post("/streamed", key="k1")) == OURS


@pytest.mark.parametrize("path", ["/shared", f"/pay?{ALLOWED}"])
def test_exposed_on_a_replay(api, path):
    api.post(path, key="k1")
    again = api.post(path, key="k1")
    assert again.replayed and exposed(again) == OURS


@pytest.mark.parametrize("path", ["/shared"])
def test_exposed_on_a_refusal(api, path):
    refused = api.post(path, headers=["Idempotency-Key: a,b"])
    assert refused.problem == (400, "key-invalid") and exposed(refused) >= {"idempotency-error", "retry-after"}


def test_added_to_what_is_exposed_already(api):
    for path in ("/exposing", f"/pay?{ALLOWED}&header=Access-Control-Expose-Headers:+X-Own"):
        api.post(path, key=path)
        again = api.post(path, key=path)
        assert again.replayed and exposed(again) == OURS | {"x-own"}


def test_marker_by_its_configured_name(api):
    api.post("/marked", key="k1")
    assert exposed(api.post("/marked", key="k1")) == OURS - {"idempotent-replayed"} | {"x-again"}


@pytest.mark.parametrize("path", ["/pay", f"/withdrawn?{ALLOWED}"])
def test_not_exposed_without_permission(api, path):
    for _ in range(2):
        assert exposed(api.post(path, key="k1")) == set()
    assert exposed(api.post(path, headers=["Idempotency-Key: a,b"])) == set()
