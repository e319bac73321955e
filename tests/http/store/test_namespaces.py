# SPDX-License-Identifier: Apache-2.0
"""Two PID namespaces, two containers for example, with one embedded store: one of them is refused, and told why."""
import pytest

import env
from checks import tolerate
from client import Api
from httpd import Here, children_of

pytestmark = [
    pytest.mark.mpm_independent,
    pytest.mark.skipif(not env.ROOT, reason="only root may make a PID namespace")
]


class Container(Here):
    """Its processes are numbered from 1."""

    prefix = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"]

    @staticmethod
    def main_process(started):
        return children_of(started.pid)[0]


def test_second_container_is_told_why(stage, new_httpd, host):
    store = f"lmdb:{stage.root}/shared"
    servers = [new_httpd(store=store), new_httpd(store=store)]
    for server in servers:
        server.place = Container
        server.start()
    first, second = (Api(server.address, host) for server in servers)
    assert first.post("/pay", key="k1").problem == (201, None)
    answers = [second.post("/pay", key=f"k{number}") for number in range(20)]
    assert any(answer.problem == (503, "store-unavailable") for answer in answers)
    said = [line for line in servers[1].startup + servers[1].log.faults() if "IDEM065" in line or "IDEM010" in line]
    assert said and all("a process with the same number has it open in another PID namespace" in line
                        for line in said), said
    for server in servers:
        server.stop()
        tolerate(server, "IDEM010", "IDEM022", "IDEM050", "IDEM062", "IDEM065")
