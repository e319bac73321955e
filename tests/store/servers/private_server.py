# SPDX-License-Identifier: Apache-2.0
"""What private servers have in common: a process of their own in a folder of their own, which nothing outlives.

A subclass has folder, port, process (None), command() and answers(). A server gets a signal when the thread that
started it ends.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from proc_state import stands_still

PATIENCE = 60  # seconds until a server has started, ended, or found its primary
PR_SET_PDEATHSIG = 1


def free_port():
    with socket.socket() as probe:  # the kernel's choice stays free for a while after this
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_folder(name):
    """A folder of this process's, below /tmp, which others may enter; those of processes that were killed are removed.
    """
    for left in pathlib.Path("/tmp").glob(f"idem-{name}-*-*"):
        owner = left.name.split("-")[-2]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(left, ignore_errors=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"idem-{name}-{os.getpid()}-",
                                           dir="/tmp"))  # short: a socket's path has 107 bytes
    folder.chmod(0o755)
    return folder


def until(condition, what, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)  # the pause between two looks; nothing depends on its length
    return value


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def unprivileged():
    """The words before the command of a server that refuses to run as root. Its wish to die with its starter has to
    outlive the change of user.
    """
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=keep"
            ] if os.geteuid() == 0 else []


class Server:
    def start(self):
        self.output = open(self.folder / "output", "a")
        self.process = subprocess.Popen(self.command(),
                                        stdout=self.output,
                                        stderr=self.output,
                                        preexec_fn=die_with_parent)
        until(lambda: self.process.poll() is not None or self.answers(), "the server answers")
        assert self.process.poll() is None, (self.folder / "output").read_text()
        return self

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        until(lambda: stands_still(self.process.pid), "the server has stopped")

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def unread(self):
        """Bytes that clients have sent and the server has not read."""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
        return sum(
            int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{self.port:04X}") and row[3] == "01")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            self.process.wait(PATIENCE)

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        self.output.close()
