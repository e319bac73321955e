# SPDX-License-Identifier: Apache-2.0
"""A guarded request that reaches a guard again on its way: one decision, one execution, one record."""
import re
import socket

import pytest

import env
from checks import assert_replayed
from client import Api
from httpd import Httpd

STORES = ["lmdb"]
MODULES = ["proxy_balancer", "lbmethod_byrequests"] + (["http2"] if env.MPM != "prefork" else [])
FIELD = "Idempotency-Execution"
MEMBER = r"[0-9a-f]{64}\.[0-9a-f]{32}\.[0-9a-f]{32}"
CONFIG = """
Listen 127.0.0.1:{second}
Listen 127.0.0.1:{third}
<IfModule http2_module>
    Listen 127.0.0.1:{http2}
    <VirtualHost 127.0.0.1:{http2}>
        Protocols h2c http/1.1
        ProxyPreserveHost On
        ProxyPass /keep http://127.0.0.1:{second}
    </VirtualHost>
</IfModule>
<Proxy "balancer://inner">
    BalancerMember http://127.0.0.1:{second}
</Proxy>
<VirtualHost 127.0.0.1:{port}>
    RewriteEngine On
    RewriteRule ^/rewritten/(.*) http://127.0.0.1:{second}/$1 [P]
    ProxyPass /keep http://127.0.0.1:{second}
    ProxyPass /own http://127.0.0.1:{second}
    ProxyPass /three http://127.0.0.1:{second}/on
    ProxyPass /back http://127.0.0.1:{second}/back
    ProxyPass /balanced balancer://inner
    ProxyPass /watched http://127.0.0.1:{second}
    <LocationMatch "^/(keep|three|back|balanced|rewritten)">
        ProxyPreserveHost On
    </LocationMatch>
    <LocationMatch "^/keep/cgi/wait">
        IdempotencyConcurrent wait 20s
    </LocationMatch>
    <Location /watched>
        IdempotencyEngine DetectionOnly
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:{second}>
    ProxyPreserveHost On
    ProxyPass /on http://127.0.0.1:{third}
    ProxyPass /back http://127.0.0.1:{port}
    <Location /cgi/watched>
        IdempotencyEngine DetectionOnly
    </Location>
    <Location /cgi/operation>
        IdempotencyKey header:X-Operation
    </Location>
</VirtualHost>
<VirtualHost 127.0.0.1:{third}>
</VirtualHost>
"""
WAYS = [
    "/keep/cgi", "/keep/fpm", "/keep/proxy", "/own/cgi", "/three/cgi", "/three/proxy", "/back/cgi", "/balanced/cgi",
    "/rewritten/cgi"
]


class Ports:
    """Three more of a server's, which the kernel gives nobody else."""

    def __init__(self):
        self.sockets = [socket.socket() for _ in range(3)]
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        self.second, self.third, self.http2 = [one.getsockname()[1] for one in self.sockets]

    def close(self):
        for one in self.sockets:
            one.close()


@pytest.fixture(scope="module")
def ports():
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture(scope="module")
def httpd(stage, store, ports):
    config = CONFIG
    for name in ("second", "third", "http2"):
        config = config.replace(f"{{{name}}}", str(getattr(ports, name)))
    server = Httpd(stage, config, store, MODULES)
    yield server.start()
    server.stop()


@pytest.fixture
def front(httpd, host):
    return Api(httpd.address, host, "")


@pytest.fixture
def inner(ports, host):
    """A client of the second virtual host that does not come by the first."""
    return Api(("127.0.0.1", ports.second), host, "")


def field_of(answer):
    """What the backend of /proxy was sent, which it echoes."""
    return answer.json["sent"].get("HTTP_IDEMPOTENCY_EXECUTION")


def guarded(httpd, api, count):
    """Outcome, settlement and slot of so many requests that were decided, once they are logged, in whatever order."""
    rows = env.until(lambda: at_least(count, [row[2:] for row in httpd.outcomes(api, count) if row[2] != "-"]),
                     f"{count} are logged")
    assert len(rows) == count
    return rows


def at_least(count, rows):
    return rows if len(rows) >= count else None


# ---- one decision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_one_execution_and_one_record(httpd, front, origin, way):
    first, _ = assert_replayed(front.at(way), origin, "/pay")
    assert first.problem == (201, None)
    assert sorted(row[:2] for row in guarded(httpd, front, 2)) == [["executed", "recorded"], ["replayed", "-"]]


@pytest.mark.parametrize("way", ["/keep/cgi", "/own/cgi", "/three/cgi"])
def test_application_far_behind_has_the_word(front, origin, way):
    """What it says reaches the guard that decided, and no client."""
    for _ in range(2):
        answer = front.at(way).post("/pay?header=Idempotency-Control: no-store".replace(" ", "%20"), key="k1")
        assert answer.status == 201 and answer["Idempotency-Control"] is None and not answer.replayed
    assert origin.executions("/pay") == 2


def test_application_can_fence_itself(httpd, front, origin):
    """It is shown whose execution this is; the field between guards it does not see."""
    answer = front.at("/keep/cgi").post("/pay?echo=1", key="k1")
    assert field_of(answer) is None
    assert re.fullmatch("[0-9a-f]{32}", answer.json["IDEMPOTENCY_TOKEN"]) and answer.json["IDEMPOTENCY_ATTEMPT"] == "1"
    assert answer.json["IDEMPOTENCY_SLOT"] == guarded(httpd, front, 1)[0][2]


def test_it_goes_on_inside_the_second_server(front, origin):
    """A script's local redirect there is part of it."""
    answer = front.at("/keep/cgi").post("/pay?status=0&body=&header=Location:%20/cgi/shown?echo=1", key="k1")
    assert answer.status == 201 and answer.json["IDEMPOTENCY_ATTEMPT"] == "1" and field_of(answer) is None
    assert front.at("/keep/cgi").post("/pay?status=0&body=&header=Location:%20/cgi/shown?echo=1", key="k1").replayed
    assert origin.executions("/shown") == 1


def test_others_find_it_running(front, inner, origin):
    with origin.hold("/pay") as held:
        first = front.post_async("/keep/cgi/pay", key="k1")
        held.wait_until_entered()
        assert front.post("/keep/cgi/pay", key="k1").problem == (409, "in-progress")
        assert inner.post("/keep/cgi/pay", key="k1").problem == (409, "in-progress")
    assert first.last_result().status == 201
    assert origin.executions("/pay") == 1


def test_waiting(front, origin):
    with origin.hold("/wait") as held:
        conns = [front.post_async("/keep/cgi/wait", key="k1")]
        held.wait_until_entered()
        conns += [front.post_async("/keep/cgi/wait", key="k1") for _ in range(3)]
    answers = [conn.last_result() for conn in conns]
    assert len({answer.body for answer in answers}) == 1 and [answer.status for answer in answers] == [201] * 4
    assert origin.executions("/wait") == 1


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
def test_http2_front(httpd, ports, host, origin):
    from client_http2 import Http2
    with Http2(("127.0.0.1", ports.http2), host) as client:
        first = client.result(client.start("/keep/cgi/pay", "k1", b"1"))
        again = client.result(client.start("/keep/cgi/pay", "k1", b"1"))
    assert first.problem == (201, None) and again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_first_only_watches(front, origin):
    """It decides nothing, so the second one does."""
    first = front.post("/watched/cgi/pay", key="k1")
    again = front.post("/watched/cgi/pay", key="k1")
    assert first.problem == (201, None) and again.body == first.body
    assert origin.executions("/pay") == 1


def test_second_only_watches(httpd, front, origin):
    assert_replayed(front.at("/keep/cgi"), origin, "/watched")
    assert sorted(row[0] for row in guarded(httpd, front, 2)) == ["executed", "replayed"]


def test_other_operation_of_the_same_execution(front, inner, origin):
    """What goes on under another key is another operation: it has a guard, a lease and a record of its own."""
    headers = [("X-Operation", "o1")]
    assert front.post("/own/cgi/operation", key="k1", headers=headers).problem == (201, None)
    assert front.post("/own/cgi/operation", key="k2", headers=headers).problem == (201, None)
    assert origin.executions("/operation") == 1


# ---- the field from elsewhere ----------------------------------------------------------------------------------------

FORGED = {
    "words": "let me in",
    "none": "",
    "member": f"{'0' * 64}.{'1' * 32}.{'2' * 32}",
    "short": f"{'0' * 63}.{'1' * 32}.{'2' * 32}",
    "no hex": f"{'g' * 64}.{'1' * 32}.{'2' * 32}",
    "many": ", ".join([f"{'a' * 64}.{'b' * 32}.{'c' * 32}"] * 30),
    "dots": "." * 130,
}


@pytest.mark.parametrize("value", FORGED.values(), ids=FORGED)
def test_forged(front, origin, value):
    """It does not get past the first guard, means nothing there, and is no part of what makes two requests the same."""
    headers = [(FIELD, value)]
    first = front.at("/proxy").post("/pay?echo=1", key="k1", headers=headers)
    assert first.status == 201 and re.fullmatch(MEMBER, field_of(first))
    assert front.at("/proxy").post("/pay?echo=1", key="k1").recorded == first.recorded
    assert field_of(front.at("/cgi").post("/other?echo=1", key="k2", headers=headers)) is None
    assert origin.executions() == 2


@pytest.fixture
def stolen(front):
    """The field of an execution that is over, and its member of it alone."""
    return [(FIELD, field_of(front.post("/keep/proxy/pay?echo=1", key="k1")))]


def test_late_where_the_key_is_known(front, inner, origin, stolen):
    """The second guard takes it for a duplicate like any other."""
    answer = inner.post("/keep/proxy/pay?echo=1", key="k1", headers=stolen)
    assert answer.replayed and origin.executions("/pay") == 1
    assert inner.post("/proxy/pay?echo=1", key="k1", headers=stolen).problem == (422, "key-reused")


def test_late_where_the_key_is_another_one(httpd, ports, origin, stolen):
    """Another host, so another scope: nothing is known of the key there, and nothing runs."""
    other = Api(("127.0.0.1", ports.second), "other.test", "")
    assert other.post("/cgi/pay", key="k1", headers=stolen).problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1
    assert other.post("/cgi/pay", key="k1").problem == (201, None)


def test_stolen_for_another_key(inner, origin, stolen):
    """It is worth nothing."""
    api = inner.at("/cgi")
    first = api.post("/pay2", key="k2", headers=stolen)
    assert first.problem == (201, None)
    assert api.post("/pay2", key="k2", headers=stolen).recorded == first.recorded
    assert origin.executions("/pay2") == 1


@pytest.mark.parametrize("key", ["", "x" * 300], ids=["empty", "too long"])
def test_stolen_for_no_key(inner, origin, stolen, key):
    assert inner.post("/cgi/pay2", key=key, headers=stolen).problem == (400, "key-invalid")
    assert origin.executions("/pay2") == 0
