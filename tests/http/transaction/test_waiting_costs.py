# SPDX-License-Identifier: Apache-2.0
"""A duplicate that waits asks the store thousands of times: that costs its request no memory."""
import re

import pytest

import env
from client import Api
from httpd import MARK

STORES = ["wrap:{root}/control,lmdb:{root}/store"]
CONFIG = """
IdempotencyConcurrent wait 5min
"""
LOOKS, LOOK = 30, 1 << 20  # so many, each of which takes a megabyte


def resident(process):
    with open(f"/proc/{process}/status") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.MULTILINE).group(1)) * 1024


@pytest.mark.memory
def test_looks_at_the_store(httpd, host, origin):
    api = Api(httpd.address, host, "/proxy")
    httpd.wait_until_attached()
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1")
        held.wait_until_entered()
        waiting = api.post_async("/pay", key="k1")
        child = env.until(lambda: looks_of(httpd), "a duplicate waits")[0]
        httpd.control.fatten("fetch", LOOK)
        env.until(lambda: len(looks_of(httpd)) >= 5, "it goes on looking")
        before, count = resident(child), len(looks_of(httpd))
        env.until(lambda: len(looks_of(httpd)) >= count + LOOKS, "it looks many times", 30)
        grown = resident(child) - before
        httpd.control.behave()
    assert grown < LOOKS * LOOK / 3
    first, second = first.last_result(), waiting.last_result()
    assert second.replayed and second.recorded == first.recorded


def looks_of(httpd):
    """The process of each look at the slot."""
    return [
        line.split()[2] for line in httpd.control.lines() if line.startswith("fetch ok") and not line.endswith(MARK)
    ]
