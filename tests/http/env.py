# SPDX-License-Identifier: Apache-2.0
"""
Where things are and how they are waited for: the only file that knows the machine.

IDEM_MPM chooses event (default), worker or prefork; IDEM_MODULE another build of the module; IDEM_TEST_HTTPD=host:port
aims the tests at a server that somebody else starts (README.md). IDEM_PRELOAD names libraries that httpd is started
with: the run-time libraries of sanitizers. A program that was built without them must load them first.
"""
import ctypes
import os
import pathlib
import pwd
import signal
import subprocess
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
MODULE = pathlib.Path(os.environ.get("IDEM_MODULE", REPO / "build" / "mod_idempotency.so"))
TEST_MODULE = MODULE.parent / "mod_idem_test.so"
MPM = os.environ.get("IDEM_MPM", "event")
FOREIGN = os.environ.get("IDEM_TEST_HTTPD")
PRELOAD = {"LD_PRELOAD": os.environ["IDEM_PRELOAD"]} if "IDEM_PRELOAD" in os.environ else {}
ROOT = os.geteuid() == 0
USER = "www-data" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
KINDS = ["cgi", "fpm", "proxy"] + (["php"] if MPM == "prefork" else [])
PR_SET_PDEATHSIG = 1
CLIENT_TIMEOUT = 90  # seconds: longer than anything here takes on a busy machine; only a test that fails waits so long
# What a busy machine may add, in seconds, to a time that has an upper limit. Where it stands, what is wrong hangs for a
# minute.
SLACK = 10.0


def apxs(name):
    return subprocess.run(["apxs", "-q", name], capture_output=True, text=True, check=True).stdout.strip()


def program(*names):
    """The first of these that is installed; servers live in sbin, which is not in everybody's PATH."""
    for name in names:
        for folder in os.environ["PATH"].split(":") + ["/usr/sbin", "/usr/local/sbin"]:
            if os.access(f"{folder}/{name}", os.X_OK):
                return f"{folder}/{name}"
    raise FileNotFoundError(f"none of {', '.join(names)} is installed: run make deps")


def end_with_parent():
    """Called in a new process: it is told to end when the thread that started it does, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def until(condition, what, seconds=60):
    """Returns the first true value of condition(); fails, naming what was waited for, when it does not come in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.005)  # the pause between two looks; nothing depends on its length
