# SPDX-License-Identifier: Apache-2.0
"""
A farm: two hosts, one place for the store, and the network between them, of which each line can be cut.

As root (and where the kernel grants it) each host is a network namespace and a PID namespace of its own:

    host 0  10.9.0.1 ---- 10.9.0.2  \\
                                     the hub: the clients, the backend; a router  10.9.9.2 ---- 10.9.9.1  the store
    host 1  10.9.1.1 ---- 10.9.1.2  /

A server on a host is process 1 there, so both hosts have the same process numbers, and a host that is killed is gone in
one instant with everything that runs on it. Elsewhere the hosts are two servers on loopback, which cannot be cut off;
the tests that need that are skipped and say why.

Nothing has a name that could remain: a namespace lives as long as this process has it open or a process is in it, and
those die with this one. So there is nothing to remove, however a run ends.
"""
import contextlib
import ctypes
import http.server
import os
import signal
import subprocess
import threading
import warnings

import env
from httpd import Here, Httpd, children_of
from origin import Backend

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
WANTED = os.environ.get("IDEM_FARM", "namespaces")
HUB, STORE = "10.9.9.2", "10.9.9.1"
CHILDREN, WORKERS = 3, 24  # of a server, as httpd.py sizes the event MPM
CONFIG = "ProxyPass /far http://{backend}\n"  # the path of an origin that every host reaches


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Namespace:
    """A network; a thread is in it between enter and exit, with the sockets it makes and the processes it starts."""

    def __init__(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            checked(LIBC.unshare(CLONE_NEWNET))
            self.file = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            checked(LIBC.setns(home, CLONE_NEWNET))
        finally:
            os.close(home)
        self.way_back = []
        self.ip("link", "set", "lo", "up")

    def __enter__(self):
        self.way_back.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        checked(LIBC.setns(self.file, CLONE_NEWNET))

    def __exit__(self, *_):
        home = self.way_back.pop()
        checked(LIBC.setns(home, CLONE_NEWNET))
        os.close(home)

    def ip(self, *words, files=()):
        with self:
            done = subprocess.run(["ip", *words], pass_fds=files, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)

    def connect(self, other, name, ours, theirs):
        """A line between two namespaces; it has the same name on both sides."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", f"/proc/self/fd/{other.file}",
                files=(other.file,))
        for side, address, peer in ((self, ours, theirs), (other, theirs, ours)):
            side.ip("addr", "add", address, "peer", f"{peer}/32", "dev", name)
            side.ip("link", "set", name, "up")

    def close(self):
        os.close(self.file)


def namespaces_work():
    """True, or the reason why not."""
    if WANTED != "namespaces":
        return f"IDEM_FARM={WANTED}"
    try:
        env.program("ip")
        Namespace().close()
        subprocess.run(["unshare", "--pid", "--fork", "true"], check=True, capture_output=True)
    except (OSError, AssertionError, subprocess.CalledProcessError) as error:
        return f"no network or PID namespaces: {error}"
    return True


class Host:
    """One of the hosts: what Httpd wants to know of a place, and what can happen to it."""

    def __init__(self, farm, number):
        self.farm, self.environment, self.server = farm, {}, None
        self.address, self.prefix, self.network = Here.address, Here.prefix, contextlib.nullcontext()
        self.uplink = f"host{number}"
        if farm.apart:
            self.address, router = f"10.9.{number}.1", f"10.9.{number}.2"
            # What runs here dies with its process 1, which dies with unshare, which dies with the thread that started
            # it.
            self.prefix = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"]
            self.network = Namespace()
            self.network.connect(farm.hub, self.uplink, self.address, router)
            self.network.ip("route", "add", "default", "via", router)

    def main_process(self, started):
        return started.pid if not self.farm.apart else children_of(started.pid)[0]

    def start(self, config, store):
        """An httpd on this host."""
        with self.network:
            self.server = Httpd(self.farm.stage,
                                CONFIG.format(backend=self.farm.backend_at) + config,
                                store,
                                place=self)
        return self.start_again()

    def start_again(self):
        with self.network:
            self.server.start()
            env.until(self.all_serve, "every child has attached to the store")
        return self.server

    def all_serve(self):
        """The workers of a child begin when it has tried to attach."""
        threads = [len(os.listdir(f"/proc/{child}/task")) for child in self.server.children()]
        return sum(count > WORKERS for count in threads) == CHILDREN

    def stop_server(self):
        with self.network:
            if self.server:
                self.server.stop()

    def kill(self):
        """The power goes: every process of the host ends at once."""
        os.kill(self.server.pid, signal.SIGKILL) if self.farm.apart else os.killpg(self.server.process.pid,
                                                                                   signal.SIGKILL)
        self.server.process.wait(env.CLIENT_TIMEOUT)
        self.server.stop()

    def cut_off(self, answers_only=False):
        """Nothing passes between this host and the store, and nobody is told; its clients still reach it."""
        self.farm.hub.ip("rule", "add", "from", STORE, "to", self.address, "type", "blackhole")
        if not answers_only:
            self.farm.hub.ip("rule", "add", "from", self.address, "to", STORE, "type", "blackhole")
        self.farm.hub.ip("route", "flush", "cache")

    def unplug(self):
        """Its only line is dead: neither the store nor a client reaches it."""
        self.farm.hub.ip("link", "set", self.uplink, "down")

    def mend(self):
        hub = self.farm.hub
        if not self.farm.apart:
            return
        for ends in (("from", STORE, "to", self.address), ("from", self.address, "to", STORE)):
            with contextlib.suppress(AssertionError):  # there was no such rule
                hub.ip("rule", "del", *ends, "type", "blackhole")
        hub.ip("link", "set", self.uplink, "up")

    def close(self):
        self.stop_server()
        if self.farm.apart:
            self.network.close()


class FarBackend(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # or what comes at once waits for a second try to connect


class Farm:
    """Between enter and exit this thread is in the hub: it is the clients' place."""

    def __init__(self, stage, hosts=2):
        self.stage, self.backend = stage, stage.backend
        reason = namespaces_work()
        self.apart = reason is True
        self.reason = None if self.apart else reason
        self.store_address, self.store_network = Here.address, contextlib.nullcontext()
        self.hub = contextlib.nullcontext()
        if self.apart:
            self.build()
        else:
            warnings.warn(f"{reason}: the two hosts are two servers on loopback, which cannot be cut off")
        self.hosts = [Host(self, number) for number in range(hosts)]

    def build(self):
        self.hub, self.store_network, self.store_address = Namespace(), Namespace(), STORE
        self.store_network.connect(self.hub, "store", STORE, HUB)
        self.store_network.ip("route", "add", "default", "via", HUB)
        with self.hub:
            with open("/proc/sys/net/ipv4/ip_forward", "w") as forwarding:
                forwarding.write("1")
            self.backend = FarBackend((HUB, 0), Backend)
        self.backend.stage, self.backend.daemon_threads = self.stage.root, True
        threading.Thread(target=self.backend.serve_forever, daemon=True).start()

    @property
    def backend_at(self):
        return "{}:{}".format(*self.backend.server_address)

    def __enter__(self):
        self.hub.__enter__()
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            host.close()
        self.hub.__exit__(None, None, None)
        if self.apart:
            self.backend.shutdown()
            self.backend.server_close()
            self.store_network.close()
            self.hub.close()
