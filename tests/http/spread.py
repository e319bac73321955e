# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder are spread over workers (pytest -n 4): conftest.py gives this to pytest-xdist.

What shares a server stays together, on one worker: the tests of one file with one store. The longest come first, so
that no worker is left with one of them at the end. A worker has its own stage: folder, backend, FPM, servers; nothing
of it is shared.
"""
import re

from xdist.scheduler import LoadScopeScheduling

STORE = re.compile(r"\[(?:.*-)?(lmdb|socache:shmcb|redis|memcache|pgsql|mariadb)(?:-.*)?\]$")
# They measure how long something takes: one group, so that no two of them run beside each other.
TIMING = "test_wait", "test_store_hangs"
# The files that take longest (pytest --durations=0), in this order. All others come after them.
LONGEST = """test_guarantees test_two_hosts_lost test_store_clock test_unusual_requests test_upload
test_unusual_responses
test_database
test_store_hangs test_replay test_two_hosts test_store_files test_worker_killed test_redis_failover test_hostile_client
test_client_gone test_memcache test_database_failover test_restart""".split()


def file_of(nodeid):
    return re.search(r"(\w+)\.py", nodeid)[1]


def group_of(nodeid):
    file, store = file_of(nodeid), STORE.search(nodeid)
    return "timing" if file in TIMING else f"{file} {store[1]}" if store else file


def longest_first(items):
    """Sorts what pytest has collected; tests of one file stay in their order."""
    order = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(file_of(item.nodeid), len(order)))


class Spread(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        return group_of(nodeid)
