# SPDX-License-Identifier: Apache-2.0
"""What a balancer does with one request when a member fails, and what its retry gets. The second member is a spare one.
"""
import pytest

from client import Api
from httpd import Httpd
from peer import Peer, end_request, stdout

STORES = ["lmdb"]
MODULES = ["proxy_balancer", "lbmethod_byrequests"]
# Members that failed stay marked, so each test has a balancer of its own: name, scheme of the two members, more.
BALANCERS = [
    ("refusing", "http", "http", ""), ("dying", "http", "http", ""), ("both", "http", "http", ""),
    ("marked", "http", "http", "ProxySet forcerecovery=Off"), ("busy", "http", "http", ""),
    ("twice", "fcgi", "fcgi", ""), ("once", "fcgi", "fcgi", "ProxySet maxattempts=0"), ("mixed", "fcgi", "http", ""),
    ("fastcgi", "fcgi", "fcgi", "ProxySet forcerecovery=Off"), ("unlike", "http", "fcgi", ""),
]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"


def config_of(first, second):
    blocks = [f"""
<Proxy "balancer://{name}">
    BalancerMember {one}://127.0.0.1:{first.port} disablereuse=On
    BalancerMember {two}://127.0.0.1:{second.port} disablereuse=On status=+H
    {more}
</Proxy>
ProxyPass /{name} balancer://{name}
""" for name, one, two, more in BALANCERS]
    return "".join(blocks)


@pytest.fixture(scope="module")
def members():
    members = Peer(), Peer()
    yield members
    for member in members:
        member.close()


@pytest.fixture(scope="module")
def httpd(stage, store, members):
    server = Httpd(stage, config_of(*members), store, MODULES)
    yield server.start()
    server.stop()


@pytest.fixture
def first(members):
    return members[0]


@pytest.fixture
def second(members):
    return members[1]


@pytest.fixture
def api(httpd, host, members):
    for member in members:
        member.requests = 0
    return Api(httpd.address, host, "")


def send(api, name):
    return api.post_async(f"/{name}/pay", key="k1", body=b"1")


def serve(member, answer):
    exchange = member.accept()
    exchange.read_http()
    exchange.send(answer)
    exchange.end()


def serve_fastcgi(member, answer):
    exchange = member.accept()
    exchange.read_fastcgi()
    exchange.send(answer)
    exchange.end()


def assert_recorded(api, name, answer, members):
    before = [member.requests for member in members]
    again = send(api, name).last_result()
    assert again.replayed and again.recorded == answer.recorded
    assert [member.requests for member in members] == before and not any(member.came() for member in members)


def assert_unknown(api, name, members):
    before = [member.requests for member in members]
    assert send(api, name).last_result().problem == (409, "outcome-unknown")
    assert [member.requests for member in members] == before and not any(member.came() for member in members)


def test_member_that_cannot_be_reached(api, members, first, second):
    """Handed on to the other one: that is one execution."""
    first.refuse()
    conn = send(api, "refusing")
    serve(second, ANSWER)
    first.listen()
    answer = conn.last_result()
    assert answer.problem == (200, None) and answer.body == b"0123456789"
    assert (first.requests, second.requests) == (0, 1)
    assert_recorded(api, "refusing", answer, members)


def test_member_that_dies_before_its_answer(api, members, first, second):
    """mod_proxy_http's 502 is not handed on."""
    conn = send(api, "dying")
    serve(first, b"")
    answer = conn.last_result()
    assert answer.problem == (502, None)
    assert (first.requests, second.requests) == (1, 0)
    assert_unknown(api, "dying", members)


def test_neither_can_be_reached(api, first, second):
    """Nothing was executed: the retry is."""
    first.refuse()
    second.refuse()
    assert send(api, "both").last_result().problem == (503, None)
    first.listen()
    second.listen()
    conn = send(api, "both")
    serve(first, ANSWER)
    assert conn.last_result().problem == (200, None)
    assert (first.requests, second.requests) == (1, 0)


def test_both_are_marked_as_failed(api, httpd, first, second):
    """The retries are not even tried: they must not be told so for a day."""
    first.refuse()
    second.refuse()
    answers = [send(api, "marked").last_result() for _ in range(3)]
    first.listen()
    second.listen()
    assert [answer.problem for answer in answers] == [(503, None)] * 3
    assert not any(answer.replayed for answer in answers)
    assert [row[2:4] for row in httpd.outcomes(api, 3)] == [["executed", "released"]] * 3


def test_member_whose_application_says_503(api, first, second):
    """Not handed on, and released."""
    busy = b"HTTP/1.1 503 Not Now\r\nContent-Length: 4\r\n\r\nbusy"
    for count in (1, 2):
        conn = send(api, "busy")
        serve(first, busy)
        answer = conn.last_result()
        assert answer.problem == (503, None) and answer.body == b"busy" and not answer.replayed
        assert (first.requests, second.requests) == (count, 0)


def test_fastcgi_member_that_dies_is_followed_by_the_other(api, members, first, second):
    """mod_proxy_fcgi returns 503 for it, which mod_proxy takes for "not sent": both have executed, as the manual warns.
    """
    conn = send(api, "twice")
    serve_fastcgi(first, b"")
    serve_fastcgi(second, stdout(b"Status: 201\r\n\r\n0123456789") + end_request())
    answer = conn.last_result()
    assert answer.problem == (201, None) and answer.body == b"0123456789"
    assert (first.requests, second.requests) == (1, 1)
    assert_recorded(api, "twice", answer, members)


def test_maxattempts_0_stops_that(api, members, first, second):
    conn = send(api, "once")
    serve_fastcgi(first, b"")
    answer = conn.last_result()
    assert answer.problem == (503, None)
    assert (first.requests, second.requests) == (1, 0) and not second.came()
    assert_unknown(api, "once", members)


def test_unreachable_member_behind_one_that_died(api, members, first, second):
    """The last one's 503 says that it was sent nothing; the first one may have acted."""
    second.refuse()
    conn = send(api, "mixed")
    serve_fastcgi(first, b"")
    answer = conn.last_result()
    second.listen()
    assert answer.problem == (503, None)
    assert (first.requests, second.requests) == (1, 0)
    assert_unknown(api, "mixed", members)


@pytest.mark.parametrize("name", ["fastcgi", "unlike"])
def test_neither_fastcgi_member_can_be_reached(api, httpd, first, second, name):
    """Each says so; the retries find both marked as failed, and nothing was sent then either."""
    first.refuse()
    second.refuse()
    answers = [send(api, name).last_result() for _ in range(3)]
    first.listen()
    second.listen()
    assert [answer.problem for answer in answers] == [(503, None)] * 3
    assert not any(answer.replayed for answer in answers)
    assert [row[2:4] for row in httpd.outcomes(api, 3)] == [["executed", "released"]] * 3
