# SPDX-License-Identifier: Apache-2.0
"""What the module tells handlers and logs; and what it tells nobody."""
import re

import pytest

CONFIG = "LogLevel idempotency:trace3\n"
SECRET = "sekret-8e03978e"


def test_handler_is_told(each_api, origin):
    if each_api.base == "/proxy":
        pytest.skip("a backend behind HTTP has no environment")
    each_api.post("/pay", key="k1")
    each_api.post("/pay", key="k2")
    runs = origin.runs("/pay")
    for run in runs:
        assert run["IDEMPOTENCY_ATTEMPT"] == "1"
        assert re.fullmatch("[0-9a-f]{8}", run["IDEMPOTENCY_SLOT"])
        assert re.fullmatch("[0-9a-f]{32}", run["IDEMPOTENCY_TOKEN"])
    assert runs[0]["IDEMPOTENCY_SLOT"] != runs[1]["IDEMPOTENCY_SLOT"]
    assert runs[0]["IDEMPOTENCY_TOKEN"] != runs[1]["IDEMPOTENCY_TOKEN"]


def test_unguarded_handler_is_told_nothing(api, origin):
    api.post("/pay")
    assert not [name for name in origin.runs("/pay")[0] if name.startswith("IDEMPOTENCY_")]


def test_handler_sees_the_request_unchanged(each_api, origin):
    answer = each_api.post("/pay?echo=1", key="k1", body=b"hello", headers=[("X-Own", "1")])
    assert answer.json["sent"]["HTTP_IDEMPOTENCY_KEY"] == '"k1"'
    assert answer.json["sent"]["HTTP_X_OWN"] == "1"
    assert answer.json["length"] == 5


def test_outcomes_stand_in_the_log(api, origin, httpd):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        api.post("/pay", key="k1", body=b"1")
    first.result()
    api.post("/pay", key="k1", body=b"1")
    api.post("/pay", key="k1", body=b"2")
    api.post("/pay", headers=["Idempotency-Key: a,b"])
    api.post("/pay")
    rows = httpd.outcomes(api, 6)
    slot = origin.runs("/pay")[0]["IDEMPOTENCY_SLOT"]
    assert sorted(row[1:] for row in rows) == sorted([
        ["409", "in-progress", "-", slot],
        ["201", "executed", "recorded", slot],
        ["201", "replayed", "-", slot],
        ["422", "key-reused", "-", slot],
        ["400", "key-invalid", "-", "-"],
        ["201", "-", "-", "-"]])


def test_key_is_written_nowhere(api, httpd, store):
    for body in (b"1", b"1", b"2"):
        api.post("/pay", key=SECRET, body=body)
    api.post("/pay", headers=[f'Idempotency-Key: "{SECRET}'])
    httpd.outcomes(api, 4)
    files = [path for path in httpd.root.rglob("*") if path.is_file()]
    assert (httpd.root / "error.log") in files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
