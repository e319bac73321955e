# SPDX-License-Identifier: Apache-2.0
"""The host of a scope has no port: one name on two ports is one host, in one server and in two that share a store."""
import pytest

from client import Api
from private_server import free_port
from sqlite_file import Sqlite

STORES = ["lmdb", "socache:shmcb", '"socache:dbm:{root}/run/slots"', "dbd:sqlite3:{root}/tmp/idempotency.db"]


@pytest.fixture
def ports(new_httpd, host, store):
    """A client of each port of one server, whose virtual hosts have one name."""
    port = free_port()
    server = new_httpd(f"""Listen 127.0.0.1:{port}
UseCanonicalName On
<VirtualHost *:*>
    ServerName {host}
</VirtualHost>
""", store)
    if store.startswith("dbd:"):
        database = Sqlite(server.root / "tmp")
        database.path.chmod(0o666)
    server.start()
    return [Api(address, host, "/cgi") for address in (server.address, ("127.0.0.1", port))]


def test_key_is_known_on_the_other_port(ports, origin):
    first, again = ports[0].post("/pay", key="k1"), ports[1].post("/pay", key="k1")
    assert first.status == 201 and again.replayed and again.recorded == first.recorded
    assert origin.executions() == 1


def test_other_port_waits_for_the_first(ports, origin):
    with origin.hold("/pay") as held:
        running = ports[0].post_async("/pay", key="k1")
        held.wait_until_entered()
        assert ports[1].post("/pay", key="k1").problem == (409, "in-progress")
    assert running.result().status == 201
    assert ports[1].post("/pay", key="k1").replayed and origin.executions() == 1
