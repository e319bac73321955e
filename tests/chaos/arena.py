# SPDX-License-Identifier: Apache-2.0
"""Where a round is fought: a stage with its hosts, their store, the backend, the store that fails on command. lmdb
serves one host, on a small file system of its own; a store of servers serves two. What is not to be had here (the right
to mount, to make networks, the test module) is left out, and said.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile

import env
import far
import network
import stores
from httpd import Httpd
from origin import Stage
from promises import LEASE, PROMISES
from sqlite_file import Sqlite

HERE = pathlib.Path(__file__).resolve().parent
DISK = 64 << 20  # bytes
MOST_KEPT = 16384  # bytes of a response; a longer one leaves a tombstone
BRIEF = 3  # seconds that keys of .../brief live

# The forensic log names each request before anything else happens to it, and the name begins with the process's number.
# So an origin knows who executes it, even if that process dies before it writes its access log.
CONFIG = """
LoadModule log_forensic_module {modules}/mod_log_forensic.so
ForensicLog {{root}}/forensic.log
RequestHeader set X-Owner "expr=%{{note:forensic-id}}@{number}"
CustomLog {{root}}/requests.log "%{{X-Request}}i %P %{{IDEMPOTENCY_OUTCOME}}e \
%{{IDEMPOTENCY_SETTLEMENT}}e %{{IDEMPOTENCY_SLOT}}e %>s"
ScriptAlias /act {{stage}}/actors/act.cgi
ProxyPass /far http://{backend}:{far}/ retry=1ms
IdempotencyInterrupted {policy}
IdempotencyLease {lease}s
IdempotencyMaxResponse {most}
<LocationMatch "^/(act|far)/brief$">
    IdempotencyTTL {brief}s
</LocationMatch>
{sizes}
{more}
"""
# Many small children: there shall always be one to kill and one that goes on.
SIZES = {
    "event": "ServerLimit 24\nThreadsPerChild 8\nMaxRequestWorkers 48\nStartServers 5\nMinSpareThreads 24\n"
             "MaxSpareThreads 48",
    "prefork": "StartServers 12\nMinSpareServers 8\nMaxSpareServers 24"
}


class Disk:
    """A file system in memory, small enough to be filled."""

    def __init__(self, root):
        self.root, self.missing = root / "disk", None
        self.root.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "idem-chaos", self.root],
                              capture_output=True, text=True)
        if done.returncode:
            self.missing = f"the disk is not filled: {done.stderr.splitlines()[0]}"

    def fill(self):
        with open(self.root / "ballast", "ab", buffering=0) as ballast, contextlib.suppress(OSError):
            for piece in (bytes(1 << 20), bytes(4096)):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(piece)

    def free(self):
        (self.root / "ballast").unlink(missing_ok=True)

    def close(self):
        if not self.missing:
            subprocess.run(["umount", "--lazy", self.root],
                           check=True)  # a process that outlived its server is found elsewhere


class Arena:
    """hub: the network of the run, or why there is none."""

    def __init__(self, store, mpm, policy, hub, more=""):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        env.MPM = mpm
        self.promise, self.policy, self.hub, self.more = PROMISES[store], policy, hub, more
        with contextlib.ExitStack() as undo:
            self.stage = Stage(tempfile.mkdtemp(prefix="idem-chaos-"))
            undo.callback(self.stage.close)
            self.root = self.stage.root
            shutil.copytree(HERE / "actors", self.root / "actors")
            self.starter = undo.enter_context(
                concurrent.futures.ThreadPoolExecutor(1))  # whose thread lives as long as we
            self.make_store(store, undo)
            self.make_hosts(undo)
            self.close = undo.pop_all().close

    @property
    def apart(self):
        return isinstance(self.hub, network.Namespace)

    def make_store(self, name, undo):
        """A disk and no servers, or servers and no disk. The address may have blanks in it."""
        self.disk = self.servers = None
        if name in stores.STORES:
            self.servers = stores.STORES[name](self.root / "servers", network.STORE if self.apart else network.LOOPBACK)
            undo.callback(self.servers.close)
            self.starter.submit(self.servers.start).result()
            self.url, self.options = self.servers.url, self.servers.options
            return
        self.disk = Disk(self.root)
        undo.callback(self.disk.close)
        if name == "lmdb":
            self.url, self.options = f"lmdb:{'{root}' if self.disk.missing else self.disk.root}/store", "size=256M"
        else:
            database = Sqlite(self.disk.root / "sqlite")
            for path in (database.path, database.path.parent):
                shutil.chown(path, env.USER, env.USER)
            self.url, self.options = database.url(), ""

    def make_hosts(self, undo):
        self.far = far.start(self.root / "ledger")
        undo.callback(self.far.server_close)
        undo.callback(self.far.shutdown)
        self.places, self.httpds = [], []
        for number in range(2 if self.servers else 1):
            self.places.append(network.Host(self.hub, number) if self.servers and self.apart else network.Loopback())
            undo.callback(self.places[-1].close)
            with self.places[-1].network:
                self.httpds.append(self.make_httpd(number))
            undo.callback(self.httpds[-1].stop)

    def make_httpd(self, number):
        place = self.places[number]
        config = CONFIG.format(modules=env.apxs("LIBEXECDIR"),
                               far=self.far.server_port,
                               policy=self.policy,
                               most=MOST_KEPT,
                               number=number,
                               backend=place.backend,
                               lease=LEASE,
                               brief=BRIEF,
                               sizes=SIZES[env.MPM],
                               more=self.more)
        wrap = "wrap:{root}/control," if env.TEST_MODULE.exists() else ""
        return Httpd(self.stage, config, f'"{wrap}{self.url}" {self.options}', place=place)

    def start(self, number):
        with self.places[number].network:
            self.httpds[number].start()

    def missing(self):
        """The monkey's action that cannot be had -> why."""
        found = {}
        if self.disk and self.disk.missing:
            found["fill"] = self.disk.missing
        if self.servers and not self.apart:
            found["cut"] = f"nobody is cut off: {self.hub}"
        if not self.httpds[0].control:
            found["store"] = f"the store is not made to fail: {env.TEST_MODULE} is not built"
        return found

    def tell_store(self, number, file, order=None):
        """Seen whole or not at all; None withdraws the order."""
        path = self.httpds[number].control.folder / file
        if order is None:
            path.unlink(missing_ok=True)
        else:
            path.with_name(f"new-{file}").write_text(order)
            path.with_name(f"new-{file}").rename(path)

    def heal(self):
        if self.disk:
            self.disk.free()
        for httpd in self.httpds:
            if httpd.control:
                httpd.control.behave()

    def workers(self, number):
        """Children of a host that serve requests. mod_cgid's daemon has one thread only, and under prefork there is
        none.
        """
        found = []
        for child in sorted(self.httpds[number].children()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = pathlib.Path(f"/proc/{child}/status").read_text()
                if "\nState:\tZ" not in status and (env.MPM == "prefork" or "\nThreads:\t1\n" not in status):
                    found.append(child)
        return found

    def keep_evidence(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.root / "ledger", folder)
        for number, httpd in enumerate(self.httpds):
            of_host = folder / f"host{number}"
            of_host.mkdir(exist_ok=True)
            for path in (httpd.root / "httpd.conf", httpd.root / "control" / "calls", *httpd.root.glob("*.log")):
                if path.exists():
                    shutil.copy(path, of_host)
        for output in (self.root / "servers").glob("**/output"):
            shutil.copy(output, folder / f"output-{output.parent.name}")
