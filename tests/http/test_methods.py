# SPDX-License-Identifier: Apache-2.0
"""Which requests are guarded by their method."""
import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /proxy/posts>
    IdempotencyMethods POST
</Location>
<Location /proxy/purges>
    IdempotencyMethods +PURGE -DELETE
</Location>
<Location /proxy/off>
    IdempotencyEngine Off
</Location>
<Location /proxy/off/but-here>
    IdempotencyEngine On
</Location>
"""


def replays(api, method, path, key="k1"):
    answers = [api.request(method, path, key=key) for _ in range(2)]
    assert not answers[0].replayed
    assert all(answer.status == 201 for answer in answers)
    return answers[1].replayed


@pytest.fixture
def proxied(api):
    return api.at("/proxy")


@pytest.mark.parametrize("path, method, guarded", [
    ("/pay", "POST", True), ("/pay", "PUT", True), ("/pay", "PATCH", True), ("/pay", "DELETE", True),
    ("/pay", "GET", False), ("/pay", "HEAD", False), ("/pay", "OPTIONS", False), ("/pay", "PURGE", False),
    ("/posts", "POST", True), ("/posts", "PUT", False),
    ("/purges", "PURGE", True), ("/purges", "POST", True), ("/purges", "DELETE", False),
    ("/off", "POST", False), ("/off/but-here", "POST", True),
])
def test_guarded_by_method_and_place(proxied, origin, path, method, guarded):
    assert replays(proxied, method, path) == guarded
    assert origin.executions(path) == (1 if guarded else 2)


def test_without_a_key_nothing_is_guarded(proxied, origin):
    assert not replays(proxied, "POST", "/pay", key=None)
    assert origin.executions("/pay") == 2


def test_get_with_a_bad_key_passes(proxied):
    assert proxied.get("/pay", headers=["Idempotency-Key: a,b"]).problem == (201, None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"])
def test_safe_methods_cannot_be_configured(new_httpd, method):
    code, said = new_httpd(f"IdempotencyMethods POST {method}\n").check_config()
    assert code != 0
    assert "IdempotencyMethods" in said and method in said
