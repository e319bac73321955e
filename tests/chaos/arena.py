"""
Where a round is fought: a stage with its httpd, the store on a small file system of its own, the backend, the store that
fails on command. What is not to be had here (the right to mount, the test module) is left out, and said.
"""
import contextlib
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile

import env
import far
from httpd import Httpd
from origin import Stage

HERE = pathlib.Path(__file__).resolve().parent
DISK = 64 << 20  # bytes
MOST_KEPT = 16384  # bytes of a response; a longer one leaves a tombstone
BRIEF = 3  # seconds that keys of .../brief live

# The forensic log names each request before anything else happens to it, and its name begins with the number of the process:
# so an origin knows who executes it, also if that process never lives to write its access log.
CONFIG = """
LoadModule log_forensic_module {modules}/mod_log_forensic.so
ForensicLog {{root}}/forensic.log
RequestHeader set X-Owner "expr=%{{note:forensic-id}}"
CustomLog {{root}}/requests.log "%{{X-Request}}i %P %{{IDEMPOTENCY_OUTCOME}}e %{{IDEMPOTENCY_SETTLEMENT}}e %{{IDEMPOTENCY_SLOT}}e %>s"
ScriptAlias /act {{stage}}/actors/act.cgi
ProxyPass /far http://127.0.0.1:{far}/ retry=0
IdempotencyInterrupted {policy}
IdempotencyMaxResponse {most}
<LocationMatch "^/(act|far)/brief$">
    IdempotencyTTL {brief}s
</LocationMatch>
{sizes}
{more}
"""
# Many small children: there shall always be one to kill and one that goes on.
SIZES = {"event": "ServerLimit 24\nThreadsPerChild 8\nMaxRequestWorkers 48\nStartServers 5\nMinSpareThreads 24\nMaxSpareThreads 48",
         "prefork": "StartServers 12\nMinSpareServers 8\nMaxSpareServers 24"}


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
            subprocess.run(["umount", "--lazy", self.root], check=True)  # a process that outlived its server is found elsewhere


class Arena:
    def __init__(self, mpm, policy, more=""):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        env.MPM = mpm
        with contextlib.ExitStack() as undo:
            self.stage = Stage(tempfile.mkdtemp(prefix="idem-chaos-"))
            undo.callback(self.stage.close)
            self.root = self.stage.root
            shutil.copytree(HERE / "actors", self.root / "actors")
            self.disk = Disk(self.root)
            undo.callback(self.disk.close)
            self.far = far.start(self.root / "ledger")
            undo.callback(self.far.server_close)
            undo.callback(self.far.shutdown)
            self.httpd = self.make_httpd(mpm, policy, more)
            undo.callback(self.httpd.stop)
            self.close = undo.pop_all().close

    def make_httpd(self, mpm, policy, more):
        config = CONFIG.format(modules=env.apxs("LIBEXECDIR"), far=self.far.server_port, policy=policy, most=MOST_KEPT,
                               brief=BRIEF, sizes=SIZES[mpm], more=more)
        wrap = "wrap:{root}/control," if env.TEST_MODULE.exists() else ""
        place = "{root}" if self.disk.missing else self.disk.root
        return Httpd(self.stage, config, f"{wrap}lmdb:{place}/store size=256M")

    def missing(self):
        unable = None if self.httpd.control else f"the store is not made to fail: {env.TEST_MODULE} is not built"
        return [what for what in (self.disk.missing, unable) if what]

    def tell_store(self, file, order=None):
        """Seen whole or not at all; None withdraws the order."""
        path = self.httpd.control.folder / file
        if order is None:
            path.unlink(missing_ok=True)
        else:
            path.with_name(f"new-{file}").write_text(order)
            path.with_name(f"new-{file}").rename(path)

    def heal(self):
        self.disk.free()
        if self.httpd.control:
            self.httpd.control.behave()

    def workers(self):
        """Children that serve requests. mod_cgid's daemon has one thread only, and under prefork there is none."""
        found = []
        for child in sorted(self.httpd.children()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = pathlib.Path(f"/proc/{child}/status").read_text()
                if "\nState:\tZ" not in status and (env.MPM == "prefork" or "\nThreads:\t1\n" not in status):
                    found.append(child)
        return found

    def evidence(self):
        calls = [self.httpd.control.folder / "calls"] if self.httpd.control else []
        return [path for path in (self.root / "ledger", self.httpd.root / "httpd.conf", *self.httpd.root.glob("*.log"), *calls)
                if path.exists()]

    def keep_evidence(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.evidence():
            shutil.copy(path, folder)
