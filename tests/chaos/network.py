# SPDX-License-Identifier: Apache-2.0
"""
A network of the run's own, and in it one for each host, which reaches the clients by one line and the store by another
one. The monkey cuts the second.

Nothing has a name that could remain. Without the right to make networks all is on loopback, and nobody is cut off.
"""
import contextlib

from farm import Namespace, namespaces_work
from httpd import Here

STORE = "10.20.0.1"  # where servers of a store listen: on no line, so that each host has a route to it, and can lose it
LOOPBACK = Here.address


def enter():
    """The first thread, before it starts another one: all of them and all processes are then in the run's own network.
    Returns that, or why there is none."""
    works = namespaces_work()
    if works is not True:
        return works
    hub = Namespace()
    hub.__enter__()
    hub.ip("address", "add", f"{STORE}/32", "dev", "lo")
    return hub


class Loopback:
    """A host that cannot be cut off: what Httpd needs of a place, and the backend's address there."""

    address, backend, prefix, environment = LOOPBACK, LOOPBACK, Here.prefix, Here.environment
    network, main_process = contextlib.nullcontext(), staticmethod(Here.main_process)

    def join(self):
        pass

    def close(self):
        pass


class Host:
    """The same, in a network of its own."""

    prefix, environment, main_process = Here.prefix, Here.environment, staticmethod(Here.main_process)

    def __init__(self, hub, number):
        self.hub, self.network = hub, Namespace()
        self.front, self.back = f"front{number}", f"back{number}"
        self.backend, self.address = f"10.10.{number}.1", f"10.10.{number}.2"
        self.door = f"10.20.{number + 1}.1"
        hub.connect(self.network, self.front, self.backend, self.address)
        hub.connect(self.network, self.back, self.door, f"10.20.{number + 1}.2")
        self.join()

    def cut(self, how):
        """line: its other end is dead, so nothing is heard any more. route: the host itself knows no way."""
        if how == "line":
            self.hub.ip("link", "set", self.back, "down")
        else:
            self.network.ip("route", "replace", "blackhole", STORE)

    def join(self):
        self.hub.ip("link", "set", self.back, "up")
        self.network.ip("route", "replace", STORE, "via", self.door)

    def close(self):
        for line in (self.front, self.back):
            self.hub.ip("link", "delete", line)
        self.network.close()
