# SPDX-License-Identifier: Apache-2.0
"""A duplicate of a request that still runs is refused; of many at once exactly one is executed."""
import os

import env

CONFIG = "" if env.MPM != "prefork" else "StartServers 66\nMinSpareServers 66\n"
CLIENTS, ROUNDS = 64, int(os.environ.get("IDEM_ROUNDS", "200"))


def test_second_request_is_refused_while_first_runs(each_api, origin):
    with origin.hold("/pay") as held:
        first = each_api.post_async("/pay", key="k1", json={"amount": 10})
        held.wait_until_entered()
        refused = each_api.post("/pay", key="k1", json={"amount": 10})
        assert refused.problem == (409, "in-progress")
        assert refused["Retry-After"] == "1"
        assert not held.entered()
    assert first.result().status == 201
    assert origin.executions("/pay") == 1


def test_retry_after_the_first_has_ended_is_replayed(each_api, origin):
    with origin.hold("/pay") as held:
        first = each_api.post_async("/pay", key="k1")
        held.wait_until_entered()
        assert each_api.post("/pay", key="k1").problem == (409, "in-progress")
    first = first.result()
    again = each_api.post("/pay", key="k1")
    assert again.replayed and again.recorded == first.recorded


def test_other_keys_run_meanwhile(api, origin):
    with origin.hold("/pay") as held:
        waiting = [api.post_async("/pay", key=f"k{n}") for n in range(4)]
        held.wait_until_entered(4)
    assert [conn.result().status for conn in waiting] == [201] * 4


def test_of_64_at_once_exactly_one_is_executed(api, origin):
    """All but the last byte of each request is sent first, so that they become complete as nearly at once as can be."""
    api = api.at("/proxy")
    for number in range(ROUNDS):
        conns = [api.connect() for _ in range(CLIENTS)]
        fields = [("Idempotency-Key", f'"k{number}"'), ("Content-Length", "5")]
        for conn in conns:
            conn.send(api.head("POST", "/pay", fields) + b"hell")
        for conn in conns:
            conn.send(b"o")
        answers = [conn.last_result() for conn in conns]
        executed = [answer for answer in answers if answer.problem == (201, None) and not answer.replayed]
        assert len(executed) == 1
        others = [answer for answer in answers if answer is not executed[0]]
        assert all(answer.problem == (409, "in-progress") or answer.recorded == executed[0].recorded
                   for answer in others)
        assert origin.executions("/pay") == number + 1
