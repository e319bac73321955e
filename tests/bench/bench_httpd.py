# SPDX-License-Identifier: Apache-2.0
"""
The httpd that is measured: its own folder, configuration and port, with mod_idem_bench and as little else as can be.

Used by perf_check.py and bench.py. It ends with the block that started it, and leaves nothing behind.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "http"))
import env  # noqa: E402

BENCH_MODULE = env.MODULE.parent / "mod_idem_bench.so"
STORE = "lmdb:{root}/store sync=off"
BODY = b'{"item": "%s"}' % (b"x" * 186)

CONFIG = """
ServerRoot "{root}"
DefaultRuntimeDir "{root}/run"
PidFile "{root}/httpd.pid"
Listen 127.0.0.1:{port}
ServerName bench.test
{load}
{user}
{sizes}
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Timeout 60
ErrorLog "{root}/error.log"
LogLevel warn
DocumentRoot "{root}/docs"
<Directory />
    AllowOverride None
</Directory>
<Location />
    SetHandler idem-bench
</Location>
<Location /mark>
    SetHandler idem-bench-mark
</Location>
# Also where httpd is without the module: what a section costs is not the module's.
<Location /no>
    SetHandler idem-bench
</Location>
<Location /on>
    SetHandler idem-bench
    {engine}
</Location>
{guards}
"""
GUARDS = """
IdempotencyStore {store}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class BenchHttpd:
    """with BenchHttpd(…) as server: server.port serves until the block ends."""

    def __init__(self, mpm, sizes="", store=STORE, command=(), arguments=(), environment=None):
        """store None: httpd without the module. command stands before httpd's own, arguments behind it."""
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="idem-bench-"))
        self.mpm, self.sizes, self.store = mpm, sizes, store
        self.before, self.arguments, self.environment = list(command), list(arguments), environment or {}
        self.port = free_port()

    def write_config(self):
        folder = env.apxs("LIBEXECDIR")
        load = [f"LoadModule {name}_module {folder}/mod_{name}.so" for name in ("mpm_" + self.mpm, "authz_core")]
        load.append(f"LoadModule idem_bench_module {BENCH_MODULE}")
        if self.store:
            load.append(f"LoadModule idempotency_module {env.MODULE}")
        guards = GUARDS.format(store=self.store.format(root=self.root)) if self.store else ""
        user = f"User {env.USER}\nGroup {env.USER}" if env.ROOT else ""
        conf = self.root / "httpd.conf"
        conf.write_text(CONFIG.format(root=self.root, port=self.port, load="\n".join(load), user=user,
                                      sizes=self.sizes, guards=guards,
                                      engine="IdempotencyEngine On" if self.store else ""))
        return conf

    def __enter__(self):
        for folder, mode in ((".", 0o755), ("run", 0o755), ("docs", 0o755)):
            (self.root / folder).mkdir(exist_ok=True)
            (self.root / folder).chmod(mode)
        command = [*self.before, env.program("apache2", "httpd"), "-f", str(self.write_config()), *self.arguments]
        self.output = open(self.root / "output", "w+")
        self.process = subprocess.Popen(command, env={**os.environ, **self.environment}, stdout=self.output,
                                        stderr=self.output, start_new_session=True, preexec_fn=env.end_with_parent)
        try:
            env.until(self.is_up, "httpd answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"httpd did not start:\n{self.said()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def said(self):
        log = self.root / "error.log"
        return (self.root / "output").read_text() + (log.read_text() if log.exists() else "")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __exit__(self, *_):
        self.stop()
        self.output.close()
        shutil.rmtree(self.root, ignore_errors=True)


class Connection:
    """One kept-alive connection that sends one request after the other."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")

    def ask(self, path, key=None, body=BODY, method="POST"):
        """The status of the answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: bench.test", "Content-Type: application/json",
                 f"Content-Length: {len(body)}"]
        if key:
            lines.append(f"Idempotency-Key: {key}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.take_answer()

    def take_answer(self):
        status = int(self.file.readline().split()[1])
        length = 0
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self.file.read(length)
        return status

    def close(self):
        self.file.close()
        self.socket.close()


def key_of(number):
    """The same keys in each run: a tree of the same form, digests of the same length."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bench {number}"))
