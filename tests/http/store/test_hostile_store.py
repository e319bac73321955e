# SPDX-License-Identifier: Apache-2.0
"""A store's server answers with garbage. Parent and children live, the client gets 503, and nothing runs on a claim
that was not won.
"""
import sys

import pytest

import env
from checks import tolerate
from client import Api

sys.path.append(str(env.REPO / "tests/store/servers"))
from fake_memcached import FakeMemcached  # noqa: E402 (found by the line above)
from fake_redis import DONE, NOW, FakeRedis  # noqa: E402

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyStoreTimeout 300ms
ServerLimit 1
StartServers 1
MaxRequestWorkers 24
MaxSpareThreads 24
"""
TROUBLE = ["IDEM010", "IDEM022", "IDEM050", "IDEM062", "IDEM064", "IDEM065"]


def refused(server, host, origin):
    """Two requests: one finds out, and another one after it. Returns what was logged."""
    api = Api(server.address, host)
    children = server.children()
    for number in range(2):
        answer = api.post("/pay", key=f"k{number}")
        assert answer.problem == (503, "store-unavailable") and answer.json["detail"]
    assert origin.executions("/pay") == 0
    assert api.post("/pay").problem == (201, None)  # without a key
    assert server.children() == children
    said = server.startup + server.log.faults()
    server.stop()
    tolerate(server, *TROUBLE)
    return said


@pytest.mark.parametrize("time", [
    b"*2\r\n:1700000000\r\n:5\r\n", b"*2\r\n$-1\r\n$-1\r\n", b"*2\r\n$19\r\n9223372036854775807\r\n$1\r\n0\r\n",
    b"*2147483647\r\n"
])
def test_redis_whose_time_is_none(new_httpd, host, origin, time):
    with FakeRedis(time=time) as fake:
        said = refused(new_httpd(CONFIG, fake.url()).start(), host, origin)
        wanted = "announced an answer of more" if time.startswith(
            b"*2147") else "Redis gave an invalid answer to TIME: an array"
        assert any("IDEM064" in line and wanted in line for line in said)


@pytest.mark.parametrize("claim", [
    b"*2\r\n$5\r\ntaken\r\n" + NOW, b"*5\r\n$5\r\ntaken\r\n" + NOW + b"$-1\r\n:0\r\n:0\r\n",
    DONE.replace(b"*2", b"*1"), b"*2\r\n$4\r\ndone\r\n:-5\r\n"
])
def test_redis_that_gives_no_verdict(new_httpd, host, origin, claim):
    with FakeRedis().scripted(claim=claim) as fake:
        said = refused(new_httpd(CONFIG, fake.url()).start(), host, origin)
        assert any("IDEM010" in line and "gave an invalid answer" in line for line in said)


@pytest.mark.parametrize("length", [-2, 2000000000])
def test_memcached_whose_values_have_no_length(new_httpd, host, origin, length):
    with FakeMemcached() as fake:
        def answer(connection):
            mark = fake.kept.get(fake.asked[-1][1])  # what the child wrote when it attached
            whole = mark and b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (fake.asked[-1][1].encode(), len(mark), mark)
            connection.sendall(whole or f"VALUE {fake.asked[-1][1]} 0 {length}\r\nxx\r\nEND\r\n".encode())
        server = new_httpd(CONFIG, fake.url()).start()
        api = Api(server.address, host)
        assert api.post("/pay", key="first").problem == (201, None)
        origin.clear()
        fake.answers["get"] = answer
        said = refused(server, host, origin)
        assert any("IDEM010" in line and "gave an invalid answer to get" in line for line in said)
