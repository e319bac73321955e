# SPDX-License-Identifier: Apache-2.0
"""Which Authorization may be another one in each request: all but those of schemes that are known not to be. Where a
retry may never match for that reason, the administrator is told, once for each location. No log has the client's
credentials.
"""
import pytest

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
SECRET = "5ec7e7"
MAY_CHANGE = [
    (f"AWS4-HMAC-SHA256 Credential={SECRET}", "AWS4-HMAC-SHA256"),
    (f"DPoP {SECRET}", "DPoP"),
    (f"hawk id={SECRET}", "hawk"),
    (f'OAuth oauth_nonce="{SECRET}"', "OAuth"),
    (f"Negotiate {SECRET}", "Negotiate"),
    (f'Digest nonce="{SECRET}"', "Digest"),
    (f"NTLM {SECRET}", "NTLM"),
    (f"HMAC {SECRET}", "HMAC"),
    (f"Of-Nobody.1 {SECRET}", "Of-Nobody.1"),
    (f"Bearerlike {SECRET}", "Bearerlike"),
    (SECRET, "no known scheme"),
    (f"{SECRET}=/+ x", "no known scheme"),
    (f"{SECRET * 8} x", "no known scheme"),
    (f'"{SECRET}" x', "no known scheme"),
    (f"Own,{SECRET} x", "no known scheme"),
]
# Locations are told apart by what they compare, so each case has a location of its own.
CONFIG = "".join(f"<Location /cgi/case{n}>\nIdempotencyFingerprint +header:X-{n}\n</Location>\n"
                 for n in range(len(MAY_CHANGE))) + """
<Location /cgi/own>
    IdempotencyStableSchemes Own
</Location>
<Location /cgi/own/more>
    IdempotencyStableSchemes +other
</Location>
<Location /cgi/own/less>
    IdempotencyFingerprint +header:X-Less
    IdempotencyStableSchemes -OWN
</Location>
<Location /cgi/unseen>
    IdempotencyFingerprint -credentials
</Location>
"""


def ask(api, place, value, key="k1"):
    return api.post(place, key=key, headers=[("Authorization", value)])


@pytest.mark.parametrize("case", range(len(MAY_CHANGE)))
def test_credentials_that_may_change_with_every_request(api, httpd, expect_log, case):
    expect_log(54)
    value, shown = MAY_CHANGE[case]
    for n in range(12):
        ask(api, f"/case{case}", value, f"k{n}")
    lines = [line for line in httpd.log.lines() if "IDEM054" in line]
    assert len(lines) == len({line.split("[pid ")[1].split("]")[0].split(":")[0]
                              for line in lines})  # once in each child
    assert all(f"Authorization ({shown}) may change" in line and SECRET not in line for line in lines)


@pytest.mark.parametrize("place, value", [
    ("/pay", "Bearer x"),
    ("/pay", "bearer x"),
    ("/pay", "Basic x"),
    ("/pay", "Token x"),
    ("/pay", "ApiKey x"),
    ("/pay", "APIKEY x"),
    ("/own", "Own x"),
    ("/own", "OWN x"),
    ("/own", "Bearer x"),
    ("/own/more", "Other x"),
    ("/own/more", "own x"),
    ("/unseen", "Hawk x"),
])
def test_credentials_that_do_not(api, place, value):
    assert ask(api, place, value).problem == (201, None)
    assert ask(api, place, value).replayed


def test_scheme_that_is_taken_from_the_list(api, expect_log):
    expect_log(54)
    ask(api, "/own/less", "Own x")


def test_request_that_is_not_guarded(api):
    assert ask(api, "/case0", "Hawk x", None).status == 201
