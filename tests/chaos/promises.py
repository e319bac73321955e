# SPDX-License-Identifier: Apache-2.0
"""
What each store promises, and what it may lose: the table of guarantees, for the judge.

loses: an action on a server of the store -> seconds. An acknowledged entry that was written so long before may still be
lost by the action; the seconds are those that the server itself has run since. What is not listed loses nothing.
"""
import collections

from slots import slot_of

LEASE = 4  # seconds: of owners on a store that hosts share
RECOVERY = 2  # seconds within which a store that is back is used again
LAST_TRIES = 30  # seconds that a child which ends gracefully repeats what the store does not take
BUSY = 0.3  # seconds that a thread may come too late, since others had the processors
# Renewed every third of its time, a lease outlives the beginning of an outage by at least this.
OUTLIVES = LEASE * 2 / 3 - BUSY
ALL = float("inf")

# shared: leases lapse, by the store's clock; otherwise an owner lives as long as its process. served: it is one of
# servers, and two hosts share it. server_of: which server has a key; None where all of them have all keys. hangs: a
# call that is inside a server that hangs is there until the server goes on.
Promise = collections.namedtuple("Promise",
                                 "shared served loses server_of hangs",
                                 defaults=(True, True, {}, None, False))

PROMISES = {
    "lmdb": Promise(shared=False, served=False),
    "sqlite": Promise(served=False),
    "redis": Promise(),
    # Redis puts a write off for two seconds at most while the disk is behind with an earlier one.
    "redis-everysec": Promise(loses={"killed": 2.0}),
    "redis-memory": Promise(loses={"killed": ALL, "stopped": ALL}),
    "redis-wait": Promise(),
    "redis-tls": Promise(),
    "memcache": Promise(loses={"killed": ALL, "stopped": ALL},
                        hangs=True, server_of=lambda key: int.from_bytes(slot_of(key)[:8], "big") % 2),
    "pgsql": Promise(),
    # Three rounds of a writer that comes every 200 ms, or somewhat less often on a busy machine.
    "pgsql-async": Promise(loses={"killed": 1.0}),
    "mariadb": Promise(),
}
