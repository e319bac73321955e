# SPDX-License-Identifier: Apache-2.0
"""
A private httpd: its own ServerRoot, configuration and port; started, restarted and stopped here, by process id.

As root its children run as www-data, otherwise everything runs as whoever runs the tests.
"""
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys

import env

sys.path.append(str(env.REPO / "tests/store/servers"))
from proc_state import has_ended, stands_still  # noqa: E402 (found by the line above)

MODULES = """authn_core authn_file authz_core authz_user authz_host auth_basic alias mime dir env setenvif headers
rewrite
filter deflate actions include request proxy proxy_http proxy_fcgi slotmem_shm socache_shmcb socache_dbm""".split()
SIZES = {
    "event": "StartServers 3\nServerLimit 3\nThreadsPerChild 24\nMaxRequestWorkers 72\nMinSpareThreads 1\n"
             "MaxSpareThreads 72",
    "prefork": "StartServers 12\nMinSpareServers 2\nMaxSpareServers 70\nServerLimit 70\nMaxRequestWorkers 70"
}
SIZES["worker"] = SIZES["event"]
CHILDREN = int(SIZES[env.MPM].split()[1])
# The slot under which a process looks, once, which secret a store was made with.
MARK = hashlib.sha256(b"mod_idempotency: the mark of the slot secret").hexdigest()[:8]
AGAIN = hashlib.sha256(b"mod_idempotency: how often keys were sent again").hexdigest()[:8]
# No test fails because a disk is slow. A configuration that says how long a lease lasts has to say this, too, or takes
# the default.
PATIENT = "IdempotencyStoreTimeout 5s\n"
FAULT = re.compile(r"^\[[^]]*\] \[\w*:(warn|error|crit|alert|emerg)\].* IDEM\d+|exit signal|[Aa]ssert(ion)?[ (]")

TEMPLATE = env.REPO / "tests/http/httpd.conf.in"


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


def open_files(pid):
    """What the descriptors of a process stand for. It closes some meanwhile, and may end: what is gone is not open."""
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return found


class Log:
    def __init__(self, path):
        self.path, self.position = path, 0

    def mark(self):
        self.position = self.size()

    def size(self):
        return self.path.stat().st_size if self.path.exists() else 0

    def lines(self, begin=None):
        """What was written since the mark."""
        if not self.path.exists():
            return []
        with open(self.path, errors="replace") as log:
            log.seek(self.position if begin is None else begin)
            return log.read().splitlines()

    def faults(self):
        return [line for line in self.lines() if FAULT.search(line)]

    def count(self, text):
        return sum(text in line for line in self.lines(0))


class Control:
    """The store "wrap:" of mod_idem_test.c: counts its calls, and fails or waits on command."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o777)

    def fail(self, what, how):
        (self.folder / f"fail-{what}").write_text(how)

    def block(self, what, how=""):
        (self.folder / f"block-{what}").write_text(how)

    def go_on(self, what):
        (self.folder / f"block-{what}").unlink()

    def delay(self, what, milliseconds):
        (self.folder / f"delay-{what}").write_text(str(milliseconds))

    def fatten(self, what, size):
        (self.folder / f"fat-{what}").write_text(str(size))

    def behave(self):
        for order in self.folder.glob("*-*"):
            order.unlink(missing_ok=True)

    def lines(self):
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def looks(self):
        """[operation, result, process] of each call for the mark of a slot secret."""
        return [line.split()[:3] for line in self.lines() if line.endswith(MARK)]

    def attached(self):
        """The processes that have found the mark, the last thing that attaching does; the parent's probe has made it.
        """
        return {process for *call, process in self.looks() if call == ["fetch", "ok"]}

    def calls(self):
        """[operation, result] of each call for a request's sake, in order."""
        return [line.split()[:2] for line in self.lines()
                if not line.startswith("sweep") and not line.endswith((MARK, AGAIN))]


class Here:
    """Where a server runs: on this machine as it is. farm.py has other places."""

    address, prefix, environment = "127.0.0.1", [], {}

    @staticmethod
    def main_process(started):
        return started.pid


class Httpd:
    def __init__(self, stage, config="", store="lmdb", modules=(), place=Here):
        self.stage, self.store, self.modules, self.place = stage, store, list(modules), place
        self.root = stage.root / f"httpd{len(list(stage.root.glob('httpd*')))}"
        for folder, mode in (("run", 0o755), ("tmp", 0o777)):
            (self.root / folder).mkdir(parents=True)
            (self.root / folder).chmod(mode)
        config = config if "IdempotencyLease" in config else PATIENT + config
        self.config = config.replace("{stage}", str(stage.root)).replace("{root}", str(self.root))
        self.log = Log(self.root / "error.log")
        self.process = None
        self.control = Control(self.root / "control") if store.lstrip('"').startswith("wrap:{root}/control,") else None
        host, port = (env.FOREIGN or f"{place.address}:0").rsplit(":", 1)
        self.reserved = socket.socket(
        )  # never listens; while it is there the kernel gives nobody the port, also between two starts
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.reserved.bind((host, int(port)))
        self.address = self.reserved.getsockname()
        self.config = self.config.replace("{port}", str(self.address[1]))

    def store_directive(self):
        """lmdb and socache:shmcb mean a store of this server's own; anything else stands as it is written."""
        own = {"lmdb": f"lmdb:{self.root}/store", "socache:shmcb": f'"socache:shmcb:{self.root}/run/shmcb(8388608)"'}
        return own.get(self.store, self.store.replace("{root}", str(self.root)))

    def write_config(self):
        folder = env.apxs("LIBEXECDIR")
        cgi = "cgi" if env.MPM == "prefork" else "cgid"
        names = ["mpm_" + env.MPM] + MODULES + [cgi] + self.modules
        lines = [f"LoadModule {name}_module {folder}/mod_{name}.so" for name in names]
        if env.MPM == "prefork":
            lines.append(f"LoadModule php_module {folder}/libphp8.2.so")
        if self.control:
            lines.append(f"LoadModule idem_test_module {env.TEST_MODULE}")
        lines.append(f"LoadModule idempotency_module {env.MODULE}")
        conf = self.root / "httpd.conf"
        conf.write_text(TEMPLATE.read_text().format(
            root=self.root, address=self.address[0], port=self.address[1], load="\n".join(lines), mpm=env.MPM,
            user=f"User {env.USER}\nGroup {env.USER}" if env.ROOT else "", sizes=SIZES[env.MPM], repo=env.REPO,
            stage=self.stage.root, scripts="" if env.MPM == "prefork" else f'ScriptSock "{self.root}/run/cgid"',
            backend=self.stage.backend.server_port, store=self.store_directive(), config=self.config))
        return conf

    def command(self, *more):
        return [env.program("apache2", "httpd"), "-f", str(self.write_config()), "-DNO_DETACH", *more]

    def check_config(self):
        """configtest: its exit code and what it said."""
        done = subprocess.run(self.command("-t"), capture_output=True, text=True, env=dict(os.environ, **env.PRELOAD))
        return done.returncode, done.stderr

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def start(self):
        self.begin, first = self.log.size(), self.process is None
        if env.FOREIGN:
            print("\nstart it now:", *self.command("-X"), file=sys.stderr)
            env.until(self.serves, "your server answers", 600)
        else:
            self.output = open(self.root / "output", "a+")
            environment = {**os.environ, "TMPDIR": str(self.root / "tmp"), **env.PRELOAD, **self.place.environment}
            if env.PRELOAD:  # sanitizers come before all else
                environment[
                    "LD_PRELOAD"] = f"{env.PRELOAD['LD_PRELOAD']} {self.place.environment.get('LD_PRELOAD', '')}"
            self.process = subprocess.Popen([*self.place.prefix, *self.command()], start_new_session=True,
                                            stderr=self.output, stdout=self.output, env=environment)
            env.until(lambda: self.process.poll() is not None or self.ready(), "httpd is ready")
            assert self.process.poll() is None, f"httpd did not start: {self.said()}"
        self.stage.servers.append(self)
        if self not in self.stage.watched:
            self.stage.watched.append(self)
        self.startup = self.log.lines(self.begin)
        if first:
            self.log.mark()  # what the first start says is startup's; tests judge it there
        return self

    @property
    def pid(self):
        """Of httpd's parent process, as this machine counts."""
        return self.place.main_process(self.process)

    def ready(self):
        return self.answers() and any("resuming normal operations" in line for line in self.log.lines(self.begin))

    def wait_until_attached(self):
        """With a store that fails on command: commands from now on fail requests, and no child that is about to attach.
        """
        env.until(lambda: len(self.control.attached()) >= CHILDREN, "each child has attached")

    def serves(self):
        """Has it answered a request? With -X httpd does not log that it is ready."""
        with contextlib.suppress(OSError), socket.create_connection(self.address, env.CLIENT_TIMEOUT) as probe:
            probe.sendall(b"OPTIONS * HTTP/1.0\r\n\r\n")
            return bool(probe.recv(1))

    def said(self):
        """Everything on its way to a refused start."""
        self.output.seek(0)
        return self.output.read() + "\n".join(self.log.lines(self.begin))

    def stop(self, at_once=False):
        """The event MPM can crash if a worker ends its connection while the child is told to stop: wait for the
        workers.
        """
        if self.process and self.process.poll() is None:
            with contextlib.suppress(TimeoutError):
                env.until(lambda: at_once or not self.sockets(), "connections are closed", 1)
            for child in self.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGCONT)  # a stopped one could not obey
            os.kill(self.pid, signal.SIGTERM)
            try:
                self.process.wait(env.CLIENT_TIMEOUT)
            finally:
                if self.process.poll() is None:
                    os.killpg(self.process.pid, signal.SIGKILL)
        if self in self.stage.servers:
            self.stage.servers.remove(self)

    def outcomes(self, api, count):
        """
        What was done with a test's requests, once so many are logged: [path, status, outcome…], as they began.
        A line is written after its answer was sent, so lines come in any order.
        """
        def rows():
            lines = [line.split() for line in (self.root / "outcomes.log").read_text().splitlines()]
            found = [line[2:7] for line in sorted(lines, key=lambda line: int(line[0])) if line[1] == api.host]
            return found if len(found) >= count else None
        return env.until(rows, f"{count} lines in the access log")

    def graceful(self):
        before = self.log.count("resuming normal operations")
        os.kill(self.pid, signal.SIGUSR1)
        env.until(lambda: self.log.count("resuming normal operations") > before, "the graceful restart")

    def children(self):
        return children_of(self.pid)

    def kill_child(self, child):
        """When this returns, no request reaches it any more; its parent may not have buried it yet."""
        os.kill(child, signal.SIGKILL)
        env.until(lambda: has_ended(child), "the child has ended")

    def stop_child(self, child):
        """When this returns, none of its threads takes another request, until it gets SIGCONT."""
        os.kill(child, signal.SIGSTOP)
        env.until(lambda: stands_still(child), "the child stands still")

    def sockets(self):
        """(address of the client, inode) of each connection the server has open."""
        port, listening = ":%04X" % self.address[1], "0A"
        with open(f"/proc/{self.pid}/net/tcp") as table:
            rows = [line.split() for line in table]
        return [(row[2], row[9]) for row in rows if row[1].endswith(port) and row[3] != listening and row[9] != "0"]

    def child_of(self, conn):
        """The child that serves this connection, once one has accepted it: it holds the other end of our socket."""
        ours = ":%04X" % conn.sock.getsockname()[1]

        def holder():
            wanted = {f"socket:[{inode}]" for theirs, inode in self.sockets() if theirs.endswith(ours)}
            return next((child for child in self.children() if wanted & open_files(child)), None)
        return env.until(holder, "a child has this connection")
