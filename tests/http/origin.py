# SPDX-License-Identifier: Apache-2.0
"""
The origins' side of a test: the ledger they write, the gates they wait at, and the two that are no children of httpd.

A stage is one directory for a whole run of the tests; origins under every httpd of the run share its ledger and gates.
"""
import compileall
import contextlib
import fcntl
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import threading
from urllib.parse import unquote, urlsplit

import env
from origins.answer import execute, pieces


class Gate:
    """Held from entry to exit: an origin of this path says that it came, and waits."""

    def __init__(self, stage, path):
        self.lock_path = stage / "gates" / path.strip("/").replace("/", "_")
        self.pipe_path = self.lock_path.with_name(self.lock_path.name + ".entered")

    def __enter__(self):
        os.mkfifo(self.pipe_path)
        os.chmod(self.pipe_path, 0o666)
        self.pipe = os.open(self.pipe_path, os.O_RDWR)  # both ends: no origin ever waits for a reader
        hidden = self.lock_path.with_name(self.lock_path.name + ".new")
        self.lock = open(hidden, "wb")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        os.rename(hidden, self.lock_path)  # seen only when it is held
        return self

    def wait_until_entered(self, times=1):
        while times > 0:
            readable, _, _ = select.select([self.pipe], [], [], env.CLIENT_TIMEOUT)
            assert readable, f"no origin came to {self.lock_path.name}"
            times -= len(os.read(self.pipe, times))

    def entered(self):
        """Has another one come, beyond those waited for?"""
        return bool(select.select([self.pipe], [], [], 0)[0])

    def let_others_pass(self):
        """Those who have come stay; nobody who comes from now on is held."""
        self.lock_path.unlink()

    def let_go(self):
        self.lock_path.unlink(missing_ok=True)
        self.lock.close()

    def __exit__(self, *_):
        self.let_go()
        self.pipe_path.unlink()
        os.close(self.pipe)


class Origin:
    """What one test asks of the ledger. A client may leave its request to the backend, which then comes to it in a
    later test.
    """

    def __init__(self, stage, host=""):
        self.stage, self.number = stage, self.number_of(host)

    @staticmethod
    def number_of(host):
        """Each test has its own host name."""
        name = re.fullmatch(r"t(\d+)\.test", host)
        return int(name.group(1)) if name else None

    def is_late(self, line):
        number = self.number_of(line.get("host", ""))
        return None not in (number, self.number) and number < self.number

    def clear(self):
        os.truncate(self.stage / "ledger", 0)

    def hold(self, path):
        return Gate(self.stage, path)

    def runs(self, path=None):
        lines = map(json.loads, (self.stage / "ledger").read_text().splitlines())
        return [line for line in lines if path in (None, line["path"]) and not self.is_late(line)]

    def executions(self, path=None):
        return len(self.runs(path))


class Backend(http.server.BaseHTTPRequestHandler):
    """The origin behind mod_proxy_http."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement

    def chunks(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (data := self.rfile.read(min(left, 65536))):
            left -= len(data)
            yield data

    def answer(self):
        url = urlsplit(self.path)
        request = {"kind": "proxy", "method": self.command, "path": unquote(url.path), "query": url.query,
                   "host": self.headers.get("X-Forwarded-Host", "")}
        sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        status, reason, fields, body = execute(self.server.stage, request, sent, self.chunks())
        self.send_response_only(status or 200, reason or None)
        for name, value in fields:
            self.send_header(name, value)
        empty, chunked = self.command == "HEAD" or status in (204, 304), "parts=" in url.query
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client may leave
            for piece in pieces(self.server.stage, request, b"" if empty else body):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            self.wfile.write(b"0\r\n\r\n" if chunked else b"")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PURGE = answer

    def log_message(self, *_):
        pass


class Stage:
    """The directory, the backend and FPM; everything is stopped and removed by close()."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.servers, self.watched = [], []  # every httpd that runs; those whose log the present test must leave clean
        for folder, mode in (("", 0o755), ("gates", 0o777), ("docs", 0o755)):
            (self.root / folder).mkdir(exist_ok=True)
            (self.root / folder).chmod(mode)
        shutil.copytree(pathlib.Path(__file__).parent / "origins", self.root / "origins")
        compileall.compile_dir(self.root / "origins", quiet=1)
        (self.root / "ledger").touch()
        (self.root / "ledger").chmod(0o666)
        self.backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        self.backend.stage, self.backend.daemon_threads = self.root, True
        threading.Thread(target=self.backend.serve_forever, daemon=True).start()
        self.fpm = self.start_fpm()

    def start_fpm(self, name="fpm", options="php_admin_value[post_max_size] = 0\n", flags=("-n",)):
        """One more FPM, at NAME.sock; without the flag -n it has the machine's php.ini, and thus its extensions."""
        conf, sock = self.root / f"{name}.conf", self.root / f"{name}.sock"
        user = f"user = {env.USER}\ngroup = {env.USER}\n" if env.ROOT else ""
        conf.write_text(f"[global]\nerror_log = {self.root}/{name}.log\ndaemonize = no\n[www]\n{user}listen = {sock}\n"
                        f"listen.mode = 0666\npm = static\npm.max_children = 8\n{options}")
        fpm = subprocess.Popen([env.program("php-fpm8.2", "php-fpm8.4", "php-fpm"), "-F", *flags, "-y", conf],
                               preexec_fn=env.end_with_parent)
        probe = socket.socket(socket.AF_UNIX)
        env.until(lambda: probe.connect_ex(str(sock)) == 0, "PHP-FPM listens")
        probe.close()
        return fpm

    def close(self):
        self.fpm.terminate()
        self.fpm.wait(env.CLIENT_TIMEOUT)
        self.backend.shutdown()
        self.backend.server_close()
        shutil.rmtree(self.root)
