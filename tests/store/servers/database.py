# SPDX-License-Identifier: Apache-2.0
"""Private database servers share this: a data directory that is made once a run and copied, a user without rights, and
processes that are stopped, continued and killed together.
"""
import atexit
import functools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

from private_server import PATIENCE, die_with_parent, free_port, run_folder, unprivileged, until
from proc_state import has_ended, stands_still

SCHEMAS = pathlib.Path(__file__).resolve().parents[3] / "conf" / "schema"
DATABASE, USER, PASSWORD = "idempotency", "idem", "s3cret-of-tests"


def own_folder(name):
    """A folder that the server's user can reach and write to; others can reach its socket. The caller removes it."""
    folder = run_folder(name)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder


def run(words, **more):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.strip()


@functools.cache
def template(kind):
    """A data directory of this kind with database, user and table in it; made once, gone when Python ends."""
    folder = own_folder("template")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = kind.__new__(kind)
    server.place(folder, address=None)  # its socket will do
    server.is_template = True
    server.initialise()
    with server:
        server.prepare()
        server.stop()
    return folder / "data"


class Database:
    """What does not depend on the engine. A subclass has command(), initialise(), prepare(), answers()."""
    is_template = False

    def __init__(self, *options, address="127.0.0.1", port=None, prefix=()):
        made = template(type(self))
        self.place(own_folder(type(self).__name__.lower()), options, address, port, prefix)
        run(["cp", "-a", made, self.data])

    def place(self, folder, options=(), address="127.0.0.1", port=None, prefix=()):
        self.folder, self.data, self.options, self.prefix = folder, folder / "data", options, tuple(prefix)
        self.address, self.port, self.process = address, port or free_port(), None

    def start(self):
        self.output = open(self.folder / "output", "a")
        self.process = subprocess.Popen([*self.prefix, *unprivileged(), *map(str, self.command())], stdout=self.output,
                                        stderr=self.output, cwd="/", preexec_fn=die_with_parent)
        until(lambda: self.process.poll() is not None or self.answers(), "the server answers", 60)
        assert self.process.poll() is None, (self.folder / "output").read_text()
        return self

    def processes(self):
        """Its own id first, then those of its children."""
        def parent(stat):
            try:
                return int(stat.read_text().rsplit(") ", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                return None

        children = [
            int(stat.parent.name) for stat in pathlib.Path("/proc").glob("[0-9]*/stat")
            if parent(stat) == self.process.pid
        ]
        return [self.process.pid, *children]

    def signal(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def pause(self):
        """All of its processes, also one that began while the first was being stopped."""
        os.kill(self.process.pid, signal.SIGSTOP)
        until(self.has_stopped, "the server has stopped")

    def has_stopped(self):
        if all(stands_still(pid) for pid in self.processes()):
            return True
        self.signal(signal.SIGSTOP)
        return False

    def resume(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        """As a host that loses its power, except that the kernel keeps what was written."""
        pids = self.processes()
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)
        until(lambda: all(has_ended(pid) for pid in pids), "all of its processes have gone")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.send_signal(self.STOPS)
            self.process.wait(60)

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        self.output.close()
        if not self.is_template:
            shutil.rmtree(self.folder, ignore_errors=True)

