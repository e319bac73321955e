# SPDX-License-Identifier: Apache-2.0
"""Two hosts and one Redis that speaks nothing but TLS, and wants to see each client's certificate: the races between
them, and one host's answers given by the other, as on every store that hosts share (test_two_hosts.py).
"""
import pytest

from farm import Farm
from farm_stores import Row, Store
from test_two_hosts import hosts, test_answer_of_the_other_host, test_races  # noqa: F401 (they run here, too)
from certificates import Authority
from redis_server import Redis, Tls

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]


def redis_with_tls(folder, address):
    authority = Authority(folder / "ca")
    tls = Tls(authority, authority.issue("server", f"IP:{address}"), clients=True)
    return [Redis(folder / "redis", "--appendonly", "yes", "--appendfsync", "always", address=address, tls=tls)]


ROW = Row("rediss", redis_with_tls, lambda servers: " ".join([servers[0].url(), *servers[0].tls.options()]))


@pytest.fixture(scope="module")
def far_store(stage):
    with Farm(stage) as farm, Store(ROW, farm) as store:
        yield store
