# SPDX-License-Identifier: Apache-2.0
"""
packaging/container/Containerfile without a container's engine: each of its steps in a chroot, then its command as its
user, with a root file system that cannot be written to and one volume. Called by `make container-test`, as root.

Without the rights or an archive for that it says so, and skips.
"""
import ctypes
import http.client
import http.server
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "packaging/container/Containerfile"
SITE = """
<Location "/orders">
    IdempotencyEngine On
    ProxyPass http://127.0.0.1:9000/orders
</Location>
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORT = 8080
BOUND = 60
CLONE_NEWNET = 0x40000000
CHECKS = []


def skip(why):
    print(f"container-test: skipped: {why}")
    sys.exit(0)


def check(what, holds):
    CHECKS.append(what)
    if not holds:
        sys.exit(f"container-test: {what}: it does not")


def until(ask, what):
    """An upper bound for what hangs; a machine that is busy is waited for."""
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"container-test: {what}: not within {BOUND} seconds")


# ---- the steps -------------------------------------------------------------------------------------------------------

def steps():
    """(instruction, rest) of each line; a stage begins with FROM."""
    text = FILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line and not line.startswith("#")]


class Stage:
    """A stage's root, and what its image says about running it."""

    def __init__(self, root, environment=None):
        self.root, self.user, self.command, self.health, self.stop, self.volumes = root, None, None, None, None, []
        self.environment = {"PATH": PATH, **(environment or {})}

    def inside(self, command, **options):
        return subprocess.run(["chroot", self.root, "/usr/bin/env", "-i",
                               *(f"{name}={value}" for name, value in self.environment.items()), *command],
                              check=False, **options)

    def numbers(self):
        """Of the image's user and its group."""
        users = (self.root / "etc/passwd").read_text(encoding="utf-8")
        entry = re.search(rf"^{self.user}:[^:]*:(\d+):(\d+):", users, re.M)
        return int(entry[1]), int(entry[2])

    def run(self, rest):
        made = {**self.environment, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(["chroot", self.root, "/usr/bin/env", "-i", *(f"{a}={b}" for a, b in made.items()),
                               "sh", "-c", rest], check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"container-test: RUN {rest}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def copy(self, rest, stages):
        words = rest.split()
        source = ROOT
        if words[0].startswith("--from="):
            source = pathlib.Path(stages[words.pop(0).removeprefix("--from=")].root)
        here, there = source / words[0].lstrip("/"), pathlib.Path(str(self.root) + words[1])
        if here.is_dir():
            shutil.copytree(here, there, dirs_exist_ok=True, symlinks=True,
                            ignore=shutil.ignore_patterns(".git", "build", "__pycache__"))
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(here, there)

    def take(self, word, rest, stages):
        if word == "RUN":
            self.run(rest)
        elif word == "COPY":
            self.copy(rest, stages)
        elif word == "ENV":
            self.environment.update(part.split("=", 1) for part in shlex.split(rest))
        elif word == "USER":
            self.user = rest
        elif word == "VOLUME":
            self.volumes.append(rest)
        elif word == "STOPSIGNAL":
            self.stop = getattr(signal, rest)
        elif word == "CMD":
            self.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            self.health = json.loads(rest[rest.index("CMD") + 3:])
        elif word != "EXPOSE":
            sys.exit(f"container-test: nobody has told this test what {word} means")


def make_base(scratch, image):
    """The root of debian:NUMBER-slim as mmdebstrap makes it, with apt as it is set up here."""
    release = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    code = re.search(r"^VERSION_CODENAME=(\w+)", release, re.M)[1]
    number = re.search(r'^VERSION_ID="?(\d+)', release, re.M)[1]
    if image != f"docker.io/library/debian:{number}-slim":
        skip(f"the image is {image}, and this is Debian {number}")
    lists = subprocess.run(["apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                            "Identifier: Packages", "Origin: Debian"], check=True, capture_output=True, text=True)
    (scratch / "sources.list").write_text("\n".join(sorted(set(lists.stdout.splitlines()))) + "\n", encoding="utf-8")
    done = subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", code, scratch / "base",
                           scratch / "sources.list"], check=False, capture_output=True, text=True)
    if done.returncode:
        if re.search("(Could not|Failed to|Unable to) (resolve|connect|fetch)|Temporary failure", done.stderr):
            skip("the archive cannot be reached")
        sys.exit(f"container-test: no chroot could be made\n{done.stderr[-3000:]}")
    shutil.copy("/etc/resolv.conf", scratch / "base/etc/resolv.conf")
    return scratch / "base"


def build(scratch):
    stages, stage, base = {}, None, None
    for number, (word, rest) in enumerate(steps()):
        if word != "FROM":
            stage.take(word, rest, stages)
            continue
        image, *name = rest.split(" AS ")
        base = base or make_base(scratch, image)
        root = scratch / f"stage{number}"
        subprocess.run(["cp", "-a", base, root], check=True)
        stage = stages[name[0] if name else "last"] = Stage(root)
    return stage


# ---- the container ---------------------------------------------------------------------------------------------------

class Orders(http.server.BaseHTTPRequestHandler):
    taken = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Orders.taken += 1
        body = f"order {Orders.taken}\n".encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Container:
    """The stage's command as its user: / cannot be written to, /state can; processes of its own."""

    def __init__(self, stage, volume, log):
        script = f"""set -e
            mount --bind {stage.root} {stage.root}
            mount --bind {volume} {stage.root}/state
            mount -o remount,bind,ro {stage.root}
            mount -t proc proc {stage.root}/proc
            mount -t tmpfs dev {stage.root}/dev
            mknod -m 666 {stage.root}/dev/null c 1 3; mknod -m 666 {stage.root}/dev/urandom c 1 9
            ln -s /proc/self/fd {stage.root}/dev/fd
            ln -s /proc/self/fd/1 {stage.root}/dev/stdout; ln -s /proc/self/fd/2 {stage.root}/dev/stderr
            cd /
            exec chroot {stage.root} /usr/bin/env -i "$@\""""
        become = ["setpriv", f"--reuid={stage.user}", f"--regid={stage.user}", "--clear-groups", "--no-new-privs",
                  "--inh-caps=-all", "--bounding-set=-all"]
        # As container engines do: the process may open what its streams are.
        os.fchown(log.fileno(), *stage.numbers())
        environment = [f"{name}={value}" for name, value in stage.environment.items()]
        self.stage, self.become, self.environment = stage, become, environment
        self.process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script,
                                         "sh", *environment, *become, *stage.command],
                                        stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def init(self):
        """The container's first process, as its host sees it."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0]) if children else None

    def healthy(self):
        done = subprocess.run(["nsenter", f"--target={self.init()}", "--mount", "--pid", f"--root={self.stage.root}",
                               "/usr/bin/env", "-i", *self.environment, *self.become, *self.stage.health],
                              check=False, capture_output=True)
        return done.returncode == 0

    def end(self):
        os.kill(self.init(), self.stage.stop)
        return self.process.wait(BOUND)


def order(key):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=BOUND)
    connection.request("POST", "/orders", b"item=book", {"Idempotency-Key": key})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.getheader("Idempotent-Replayed")


def live(stage, scratch):
    """A container's life, twice on one volume."""
    volume = scratch / "volume"
    subprocess.run(["cp", "-a", f"{stage.root}/state", volume], check=True)
    (stage.root / "etc/apache2/idempotency.d/site.conf").write_text(SITE, encoding="utf-8")
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Orders)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    check("the image's user is not root", stage.user not in (None, "root", "0"))
    check("one volume", stage.volumes == ["/state"])
    before = subprocess.run(["find", stage.root, "-xdev", "-newer", stage.root / "etc/apache2/idempotency.d/site.conf"],
                            check=True, capture_output=True).stdout
    with open(scratch / "log", "wb") as log:
        for life in (1, 2):
            container = Container(stage, volume, log)
            until(lambda: container.process.poll() is not None or container.init() and container.healthy(),
                  "the container is healthy")
            if container.process.poll() is not None:
                sys.exit(f"container-test: it ended:\n{(scratch / 'log').read_text()[-3000:]}")
            check("an order is taken once, and replayed",
                  order("one") == (201, b"order 1\n", None if life == 1 else "true"))
            check("so in each life", order("one") == (201, b"order 1\n", "true"))
            users = {pathlib.Path(f"/proc/{child}/status").read_text().split("Uid:")[1].split()[0]
                     for child in children_of(container.init())}
            check("no process is root's", users and "0" not in users)
            check("a volume that is stopped is left in order", container.end() == 0)
    check("nothing but the order ran", Orders.taken == 1)
    after = subprocess.run(["find", stage.root, "-xdev", "-newer", stage.root / "etc/apache2/idempotency.d/site.conf"],
                           check=True, capture_output=True).stdout
    check("nothing was written beside the volume", before == after)
    log = (scratch / "log").read_text(encoding="utf-8", errors="replace")
    check("logs come out of the container", "IDEM066" in log and "replayed" in log)
    origin.shutdown()


def children_of(process):
    found = [process]
    for one in found:
        found += [int(child) for child in pathlib.Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    return found


def main():
    if os.geteuid() != 0:
        skip("a chroot needs root")
    for tool in ("mmdebstrap", "unshare", "nsenter", "setpriv"):
        if not shutil.which(tool):
            skip(f"{tool} is not installed")
    if subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], check=False).returncode:
        skip("this machine allows no namespaces")
    scratch = pathlib.Path(tempfile.mkdtemp())
    try:
        stage = build(scratch)
        unshare_network()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        live(stage, scratch)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", scratch], check=False)
    print(f"container-test: {len(CHECKS)} checks passed")


def unshare_network():
    """A network of its own, in which nobody else listens."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


if __name__ == "__main__":
    main()
