# SPDX-License-Identifier: Apache-2.0
"""Set-Cookie: replayed to those who proved to be the same client, not to anybody else."""
import pytest

from checks import SIGN_IN, basic

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /cgi/keep>
    IdempotencySetCookie keep
</Location>
<Location /cgi/omit>
    IdempotencySetCookie omit
</Location>
<Location /cgi/members>
""" + SIGN_IN + """</Location>
<LocationMatch "untied$">
    IdempotencyScope host
    IdempotencyFingerprint method path
</LocationMatch>
<Location /cgi/user>
    IdempotencyFingerprint -credentials
</Location>
"""
COOKIES = "?header=Set-Cookie:+a%3D1&header=Set-Cookie:+b%3D2"
TOKEN, SESSION, OTHER = ("Authorization", "Bearer t"), ("Cookie", "PHPSESSID=s"), ("Cookie", "own=1")


def twice(api, path, headers):
    first, second = (api.post(path + COOKIES, key="k1", headers=headers) for _ in range(2))
    assert first.all("Set-Cookie") == ["a=1", "b=2"]
    assert second.replayed and second.body == first.body
    return second.all("Set-Cookie")


@pytest.mark.parametrize("headers", [[TOKEN], [SESSION], [TOKEN, OTHER], [TOKEN, SESSION]], ids=str)
def test_kept_for_a_client_with_credentials(each_api, headers):
    assert twice(each_api, "/pay", headers) == ["a=1", "b=2"]


@pytest.mark.parametrize("headers", [[], [OTHER], [("Cookie", "cookie_consent=yes; lang=de")]], ids=str)
def test_left_out_for_an_anonymous_client(each_api, headers):
    """A cookie that no IdempotencySessionCookie names may be one that many have."""
    assert twice(each_api, "/pay", headers) == []


@pytest.mark.parametrize("path, kept", [("/members", ["a=1", "b=2"]), ("/members/untied", []), ("/untied", []),
                                        ("/user", [])])
def test_kept_only_where_the_record_is_tied_to_the_client(api, path, kept):
    """Who is known, and is in neither scope nor fingerprint, shares the record with others."""
    assert twice(api, path, [basic("alice")]) == kept


@pytest.mark.parametrize("headers", [[], [SESSION]], ids=str)
@pytest.mark.parametrize("path, kept", [("/keep", ["a=1", "b=2"]), ("/omit", [])])
def test_configured(api, path, kept, headers):
    assert twice(api, path, headers) == kept
