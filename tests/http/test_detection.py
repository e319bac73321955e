# SPDX-License-Identifier: Apache-2.0
"""DetectionOnly: every request is executed, nothing is changed, and the log says what On would have done."""
import pytest

import env
from client import Api

STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
IdempotencyEngine DetectionOnly
<Location /proxy/on>
    IdempotencyEngine On
</Location>
<Location /proxy/required>
    IdempotencyRequireKey On
</Location>
"""


@pytest.fixture
def api(httpd, host):
    return Api(httpd.address, host, "/proxy")


def words(httpd, api, count):
    return [row[2] for row in httpd.outcomes(api, count)]


def test_duplicates_are_executed_and_counted(httpd, api, origin):
    answers = [api.post("/pay", key="k1", body=b"1") for _ in range(3)]
    assert [answer.problem for answer in answers] == [(201, None)] * 3
    assert not any(answer.replayed for answer in answers)
    assert len({answer.body for answer in answers}) == 3
    assert origin.executions("/pay") == 3
    assert words(httpd, api, 3) == ["detected:executed", "detected:replayed", "detected:replayed"]


def test_other_body_is_noticed(httpd, api, origin):
    api.post("/pay", key="k1", body=b"1")
    api.post("/pay", key="k1", body=b"2")
    assert words(httpd, api, 2) == ["detected:executed", "detected:key-reused"]
    assert origin.executions("/pay") == 2


def test_other_header_is_noticed(httpd, api, origin):
    api.post("/pay", key="k1", body=b"1")
    api.post("/pay", key="k1", body=b"1", headers=[("Authorization", "Bearer 2")])
    assert words(httpd, api, 2) == ["detected:executed", "detected:key-reused"]


def test_running_duplicate(httpd, api, origin):
    with origin.hold("/pay") as held:
        conns = [api.post_async("/pay", key="k1")]
        held.wait_until_entered()
        conns.append(api.post_async("/pay", key="k1"))
        held.wait_until_entered()
    assert [conn.result().status for conn in conns] == [201, 201]
    assert sorted(words(httpd, api, 2)) == ["detected:executed", "detected:in-progress"]


def test_bad_and_missing_keys_pass(httpd, api, origin):
    assert api.post("/pay", headers=[("Idempotency-Key", '"broken')]).problem == (201, None)
    assert api.post("/required").problem == (201, None)
    assert words(httpd, api, 2) == ["detected:key-invalid", "detected:key-missing"]


def test_released_status_is_not_counted_as_a_record(httpd, api, origin):
    for _ in range(2):
        api.post("/pay?status=503", key="k1")
        api.post("/other?header=Idempotency-Control:%20no-store", key="k2")
    assert words(httpd, api, 4) == ["detected:executed"] * 4


def test_responses_are_not_held_back(httpd, api, origin):
    with origin.hold("/pay.1") as second:
        conn = api.post_async("/pay?parts=2&body=firstlater", key="k1")
        second.wait_until_entered()
        seen = b""
        while b"first" not in seen:
            piece = conn.sock.recv(4096)
            assert piece
            seen += piece
    conn.sock.close()


def test_store_trouble_passes(httpd, api, origin, expect_log):
    expect_log(10)
    httpd.control.fail("claim", "down")
    try:
        assert api.post("/pay", key="k1").problem == (201, None)
    finally:
        httpd.control.behave()
    assert words(httpd, api, 1) == ["detected:store-unavailable"]


def test_switching_on_begins_with_no_keys_known(new_httpd, host, origin, expect_log):
    expect_log(62)  # said at each start: the store lies under /tmp
    server = new_httpd(CONFIG, "lmdb").start()
    api = Api(server.address, host, "/proxy")
    api.post("/pay", key="k1")
    server.stop()
    server.config = server.config.replace("DetectionOnly", "On")
    server.start()
    answer = api.post("/pay", key="k1")
    assert answer.problem == (201, None) and not answer.replayed
    assert api.post("/pay", key="k1").replayed
    assert origin.executions("/pay") == 2


def test_body_of_any_size_reaches_the_application(httpd, api, origin):
    body = b"x" * 300000
    answers = [api.post("/pay?echo=1", key="k1", body=body) for _ in range(2)]
    assert [answer.json["length"] for answer in answers] == [300000] * 2
    assert words(httpd, api, 2) == ["detected:executed", "detected:replayed"]
