# SPDX-License-Identifier: Apache-2.0
"""What the address of a memcached store may be, and what a wrong one is answered with. No server runs here."""
import pytest

WRONG = {
    "memcache:": "no server is named",
    "memcache:,": "no server is named",
    "memcache://host": 'not HOST[:PORT]: write memcache:HOST',
    "memcache:host:port": "not HOST[:PORT]",
    "memcache:host:0": "not HOST[:PORT]",
    "memcache:host:99999": "not HOST[:PORT]",
    "memcache:user@host": "not HOST[:PORT]",
    "memcache:/run/memcached.sock": "not HOST[:PORT]",
    "memcache:host,[::1]:11211": '"[::1]:11211" is an IPv6 address: memcached needs an IPv4 address',
    "memcache:one,two,ONE:11211": "the server one:11211 is named twice",
    "memcache:" + ",".join(f"host{i}" for i in range(17)): "more than 16 servers",
}
RIGHT = ["memcache:host", "memcache:host:1", "memcache:127.0.0.1:11211,host", "memcache:one,one:11212",
         "memcache:" + ",".join(f"host{i}" for i in range(16))]


@pytest.mark.parametrize("url", WRONG)
def test_wrong_address(refusal, url):
    assert WRONG[url] in refusal(url)


@pytest.mark.parametrize("option", ["wait=1,100", "timeout=5", "x"])
def test_there_are_no_options(refusal, option):
    assert f'has no options, not even "{option}"' in refusal("memcache:host", option)


@pytest.mark.parametrize("url", RIGHT)
def test_right_address(drive, url):
    drive(url)
