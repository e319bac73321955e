# SPDX-License-Identifier: Apache-2.0
"""A machine that comes up with a wrong wall clock: what its store keeps is neither forgotten nor kept for ever."""
import pathlib

import pytest

from client import Api
from clocks import Clock
from httpd import Here

pytestmark = pytest.mark.mpm_independent
DAY = 86400


def another_boot(server):
    """The store was marked in a boot that is over."""
    ours = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().encode()
    for path in server.root.rglob("data.mdb"):
        data = path.read_bytes()
        assert ours in data
        path.write_bytes(data.replace(ours, bytes(reversed(ours))))


@pytest.mark.parametrize("ahead", [400 * DAY, 3650 * DAY, -400 * DAY])
def test_entries_outlive_a_boot_with_a_wrong_clock(stage, new_httpd, host, origin, expect_log, ahead):
    expect_log(62)  # the second start says it again; the time to live is longer than this machine has been up
    server = new_httpd("IdempotencyTTL 300d\n").start()
    api = Api(server.address, host)
    first = api.post("/pay", key="k1")
    server.stop()
    another_boot(server)
    clock = Clock(stage, ahead)
    server.place = type("Wrong", (Here,), {"environment": clock.environment})
    server.start()
    assert api.post("/pay", key="k1").recorded == first.recorded
    assert api.post("/pay", key="k2").problem == (201, None)
    assert origin.executions("/pay") == 2
    server.stop()
    clock.close()
