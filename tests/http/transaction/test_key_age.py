# SPDX-License-Identifier: Apache-2.0
"""IdempotencyKeyAge: a key that is older than the server remembers keys begins nothing, and its client is told so."""
import email.utils
import time
import uuid

import pytest

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
IdempotencyStoreTimeout 9s
SetEnvIf X-Key-Env (.+) KEY_ENV=$1
<LocationMatch "^/cgi/(hour|watched|bypassed|limited)">
    IdempotencyKeyAge 1h
</LocationMatch>
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
</Location>
<Location /cgi/bypassed>
    IdempotencyStoreFailure bypass
</Location>
<Location /cgi/limited>
    IdempotencyMaxKeys 1 per 3h
</Location>
<Location /cgi/toggled>
    SetEnv ap_trust_cgilike_cl 1
    IdempotencyInterrupted retry
    <If "%{HTTP:X-Bound} == 'yes'">
        IdempotencyKeyAge 1h
    </If>
</Location>
<Location /cgi/life>
    IdempotencyTTL 10min
    IdempotencyKeyAge 400d
</Location>
<Location /cgi/strict>
    IdempotencyKeyAge 1h required
</Location>
<Location /cgi/dated>
    IdempotencyKeyAge 1h first-sent
</Location>
<Location /cgi/env>
    IdempotencyKey env:KEY_ENV
    IdempotencyKeyAge 1h
</Location>
"""
EXPIRED, INVALID, GOOD = (409, "key-expired"), (400, "key-invalid"), (201, None)
HOUR = 3600
BOUND = [("X-Bound", "yes")]
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def uuid7(age=0, number=1):
    """A UUID of version 7 that was made so many seconds ago."""
    milliseconds = int((time.time() - age) * 1000)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | number))


def ulid(age=0):
    number = int((time.time() - age) * 1000) << 80 | 1
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(26)))


def first_sent(age=0):
    return ("Repeatability-First-Sent", email.utils.formatdate(time.time() - age, usegmt=True))


@pytest.mark.parametrize("make", [uuid7, ulid, lambda age: uuid7(age).upper(), lambda age: ulid(age).lower()],
                         ids=["uuidv7", "ulid", "UUIDV7", "ulid in small letters"])
def test_new_keys_by_their_own_time(api, origin, make):
    assert api.post("/hour", key=make(HOUR - 60)).problem == GOOD
    refused = api.post("/hour", key=make(HOUR + 60))
    assert refused.problem == EXPIRED and refused["Retry-After"] is None
    assert refused.json["type"].endswith(":key-expired")
    assert origin.executions("/hour") == 1


def test_keys_without_a_time_pass(api, origin):
    for key in ("order-1", str(uuid.uuid4())):
        assert api.post("/hour", key=key).problem == GOOD


def test_unless_a_time_is_required(api, origin):
    assert api.post("/strict", key=str(uuid.uuid4())).problem == INVALID
    assert api.post("/strict", key=uuid7()).problem == GOOD
    assert api.post("/strict", key="k1", headers=[first_sent()]).problem == GOOD


def test_known_keys_are_answered_as_ever(api, origin):
    """The bound came later than the key."""
    known, late = uuid7(2 * HOUR, 1), uuid7(2 * HOUR, 2)
    assert api.post("/toggled", key=known).problem == GOOD
    assert api.post("/toggled", key=known, headers=BOUND).replayed
    assert api.post("/toggled", key=known, headers=BOUND, body=b"other").problem == (422, "key-reused")
    assert api.post("/toggled", key=late, headers=BOUND).problem == EXPIRED
    assert origin.executions("/toggled") == 1


def test_takeover_is_no_new_key(api, origin):
    """Its execution was cut: that is known, and policy says retry."""
    key, path = uuid7(2 * HOUR), "/toggled?header=Content-Length:+8&body=0123"
    assert api.post(path, key=key).status == 502
    assert api.post(path, key=key, headers=BOUND).status == 502
    assert origin.executions("/toggled") == 2


def test_never_longer_than_the_record_lives(api):
    """Of ten minutes a clock may be ahead by two and a half: so much earlier a new key is too old."""
    assert api.post("/life", key=uuid7(7 * 60)).problem == GOOD
    assert api.post("/life", key=uuid7(8 * 60)).problem == EXPIRED
    assert api.post("/life", key=uuid7(-2 * 60)).problem == GOOD
    assert api.post("/life", key=uuid7(-3 * 60)).problem == INVALID


@pytest.mark.parametrize("make", [uuid7, ulid])
def test_times_in_the_future(api, origin, make):
    assert api.post("/hour", key=make(-4 * 60)).problem == GOOD
    refused = api.post("/hour", key=make(-6 * 60))
    assert refused.problem == INVALID and "future" in refused.json["detail"]
    assert make(-6 * 60)[:8] not in refused.json["detail"]
    assert origin.executions("/hour") == 1


def test_repeatability_first_sent(api, origin):
    assert api.post("/hour", key="k1", headers=[first_sent(HOUR - 60)]).problem == GOOD
    assert api.post("/hour", key="k2", headers=[first_sent(HOUR + 60)]).problem == EXPIRED
    future = api.post("/hour", key="k3", headers=[first_sent(-6 * 60)])
    assert future.problem == INVALID and "Repeatability-First-Sent" in future.json["detail"]
    assert origin.executions("/hour") == 1


@pytest.mark.parametrize("value", [
    "", "yesterday", "1732979000", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT; x"
])
def test_what_is_no_date(api, origin, value):
    assert api.post("/hour", key="k1", headers=[("Repeatability-First-Sent", value)]).problem == INVALID
    assert origin.executions("/hour") == 0


def test_two_lines_are_no_date(api):
    assert api.post("/hour", key="k1", headers=[first_sent(), first_sent()]).problem == INVALID


def test_the_older_of_two_times_counts(api):
    assert api.post("/hour", key=uuid7(), headers=[first_sent(2 * HOUR)]).problem == EXPIRED
    assert api.post("/hour", key=uuid7(2 * HOUR), headers=[first_sent()]).problem == EXPIRED


def test_only_the_times_that_are_named(api):
    assert api.post("/dated", key=uuid7(2 * HOUR)).problem == GOOD
    assert api.post("/dated", key=ulid(-2 * HOUR)).problem == GOOD
    assert api.post("/dated", key="k3", headers=[first_sent(2 * HOUR)]).problem == EXPIRED


def test_any_source_of_the_key(api):
    assert api.post("/env", headers=[("X-Key-Env", uuid7(2 * HOUR))]).problem == EXPIRED
    assert api.post("/env", headers=[("X-Key-Env", uuid7())]).problem == GOOD


def test_nothing_is_left_in_the_store(httpd, api):
    before = len(httpd.control.calls())
    assert api.post("/hour", key=uuid7(2 * HOUR)).problem == EXPIRED
    assert httpd.control.calls()[before:] == [["fetch", "notfound"]]


def test_does_not_count_as_a_new_key(api):
    assert api.post("/limited", key=uuid7(2 * HOUR)).problem == EXPIRED
    assert api.post("/limited", key=uuid7()).problem == GOOD


def test_claim_that_wins_is_given_back(httpd, api, origin):
    """What a look did not tell the claim does: it wins, and is given back."""
    key, before = uuid7(2 * HOUR), len(httpd.control.calls())
    httpd.control.fail("fetch", "full")
    assert api.post("/hour", key=key).problem == EXPIRED
    assert [call[0] for call in httpd.control.calls()[before:]] == ["fetch", "fetch", "claim", "release"]
    httpd.control.behave()
    assert origin.executions("/hour") == 0


def test_no_bypass_for_an_old_key(httpd, api, origin, expect_log):
    httpd.control.fail("claim", "timeout")
    httpd.control.fail("fetch", "timeout")
    assert api.post("/bypassed", key=uuid7(2 * HOUR)).problem == (503, "store-unavailable")
    assert api.post("/bypassed", key=uuid7()).problem == GOOD
    httpd.control.behave()
    assert origin.executions("/bypassed") == 1
    expect_log(10, 50)


def test_watched_only(httpd, api, origin):
    assert api.post("/watched", key=uuid7(2 * HOUR)).problem == GOOD
    assert api.post("/watched", key=uuid7(-2 * HOUR)).problem == GOOD
    assert [row[2] for row in httpd.outcomes(api, 2)] == ["detected:key-expired", "detected:key-invalid"]


def test_outcome_in_the_log(httpd, api):
    api.post("/hour", key=uuid7(2 * HOUR))
    assert [row[1:4] for row in httpd.outcomes(api, 1)] == [["409", "key-expired", "-"]]
