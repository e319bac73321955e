# SPDX-License-Identifier: Apache-2.0
"""
Private Redis servers and sentinels, from the installed redis-server: own folder, own port (on loopback, or the address
that is given), own process.

    with Redis(folder) as redis: redis.url()
    with Redis(folder / "a") as a, Redis(folder / "b", replica_of=a) as b, Sentinel(folder / "s", a) as s: s.url()
    with Redis(folder, tls=Tls(ca)) as redis: redis.url(), redis.tls.options()

IDEM_REDIS_SERVER names another program than redis-server: Valkey's, for example.
"""
import os
import pathlib
import shutil
import subprocess

from private_server import PATIENCE, Server, free_port, until

# Milliseconds. A busy machine pauses a server for longer than a test wants to wait for a failover: a sentinel takes
# nobody for dead unless its test says so.
NEVER, SOON = 3600000, 500

PROGRAM = os.environ.get("IDEM_REDIS_SERVER", "redis-server")


class Tls:
    """How servers speak TLS, and nothing else: their authority, and the certificate that they show each other and their
    clients. clients: whether these have to show one.
    """

    def __init__(self, authority, pair=None, clients=False):
        self.authority, self.clients = authority, clients
        self.pair = pair or authority.issue("server")

    def settings(self, port):
        return {"port": 0, "tls-port": port, "tls-cert-file": self.pair.cert, "tls-key-file": self.pair.key,
                "tls-ca-cert-file": self.authority.cert, "tls-auth-clients": "yes" if self.clients else "no",
                "tls-replication": "yes"}

    def of_client(self):
        """Words for redis-cli, which is to talk to servers that nobody should believe, too."""
        return ["--tls", "--insecure", "--cert", self.pair.cert, "--key", self.pair.key]

    def options(self):
        """Words for IdempotencyStore."""
        own = [f"cert={self.pair.cert}", f"key={self.pair.key}"] if self.clients else []
        return [f"ca={self.authority.cert}", *own]


class Redis(Server):
    """options are redis-server's own: "--appendonly", "yes". Without any, nothing is kept on disk."""

    def __init__(self, folder, *options, replica_of=None, password=None, address="127.0.0.1", tls=None):
        self.address, self.folder, self.tls = address, pathlib.Path(folder), tls
        self.folder.mkdir(parents=True)
        self.port, self.password, self.process = free_port(), password, None
        self.socket = self.folder / "redis.sock"
        self.options = [*options] if "--save" in options else ["--save", "", *options]
        if password:
            self.options += ["--requirepass", password, "--masterauth", password]
        self.primary = replica_of

    def command(self):
        listening = self.tls.settings(self.port) if self.tls else {"port": self.port}
        listening = [word for name, value in listening.items() for word in (f"--{name}", str(value))]
        return [PROGRAM, *listening, "--bind", self.address, "--unixsocket", str(self.socket),
                "--unixsocketperm", "777", "--protected-mode", "no", "--dir", str(self.folder),
                "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *self.options, *self.following()]

    def following(self):
        """Its primary can be changed before it is started again, as whoever mends a failover does."""
        return ["--replicaof", self.primary.address, str(self.primary.port)] if self.primary else []

    def answers(self):
        said = self.cli("PING", check=False)
        return said == "PONG" or "NOAUTH" in said

    def cli(self, *words, check=True):
        """What redis-cli prints; an error of the server's is ours unless check is False."""
        login = ["-a", self.password, "--no-auth-warning"] if self.password else []
        login += self.tls.of_client() if self.tls else []
        done = subprocess.run(["redis-cli", "-e", "-h", self.address, "-p", str(self.port), *login, *words],
                              capture_output=True, text=True, timeout=PATIENCE, errors="backslashreplace")
        assert done.returncode == 0 or not check, (words, done.stdout, done.stderr)
        return (done.stdout or done.stderr).strip()

    def info(self, field):
        """A server that becomes a replica closes all connections, this one, too: then it is asked again."""
        said = until(lambda: (said := self.cli("INFO", "everything", check=False)).startswith("# Server") and said,
                     "it answers")
        return dict(line.split(":", 1) for line in said.splitlines() if ":" in line).get(field, "").strip()

    def url(self, user="", db=None):
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{user}{self.address}:{self.port}" + (f"/{db}" if db is not None else "")

    def unix_url(self):
        return f"redis+unix:{self.socket}"

    def await_replicas(self, count):
        until(lambda: sum("state=online" in self.info(f"slave{i}") for i in range(count)) == count,
              "the replicas are in step")


class Sentinel(Redis):
    """Watches a primary, under the name "main"; the first that is started tells the others about its replicas."""

    def __init__(self, folder, primary, quorum=1, down_after_ms=NEVER):
        super().__init__(folder, address=primary.address, tls=primary.tls)
        self.conf = self.folder / "sentinel.conf"
        password = f"sentinel auth-pass main {primary.password}\n" if primary.password else ""
        listening = self.tls.settings(self.port) if self.tls else {"port": self.port}
        listening = "".join(f"{name} {value}\n" for name, value in listening.items())
        self.conf.write_text(f"{listening}bind {self.address}\nprotected-mode no\ndir {self.folder}\n"
                             f"sentinel monitor main {self.address} {primary.port} {quorum}\n{password}"
                             f"sentinel down-after-milliseconds main {down_after_ms}\n"
                             "sentinel failover-timeout main 3000\nsentinel parallel-syncs main 2\n")

    def command(self):
        return [PROGRAM, str(self.conf), "--sentinel"]

    def judge(self, down_after_ms):
        """From now on who has not answered for so long is dead."""
        assert self.cli("SENTINEL", "SET", "main", "down-after-milliseconds", str(down_after_ms)) == "OK"

    def primary_port(self):
        return int(self.cli("SENTINEL", "get-master-addr-by-name", "main").split()[1])

    def await_replicas(self, count):
        """It has to have heard of them, or a failover finds nobody to promote."""
        until(lambda: self.cli("SENTINEL", "replicas", "main").count("master-link-status\nok") >= count,
              "the sentinel knows the replicas")

    def url(self, *others, user="", db=None):
        hosts = ",".join(f"{one.address}:{one.port}" for one in (self, *others))
        scheme = "rediss-sentinel" if self.tls else "redis-sentinel"
        return f"{scheme}://{user}{hosts}/main" + (f"/{db}" if db is not None else "")


def start_group(folder, replicas=1, sentinels=1, options=(), down_after_ms=NEVER, **more):
    """A primary, its replicas in step with it, and sentinels that know all of them: (servers, sentinels), started.
    more: password, address, tls."""
    servers = [Redis(folder / "primary", *options, **more).start()]
    for i in range(replicas):
        servers.append(Redis(folder / f"replica{i}", *options, replica_of=servers[0], **more).start())
    servers[0].await_replicas(replicas)
    watchers = [
        Sentinel(folder / f"sentinel{i}", servers[0], sentinels // 2 + 1, down_after_ms).start()
        for i in range(sentinels)
    ]
    for watcher in watchers:
        watcher.await_replicas(replicas)
        until(lambda: watcher.cli("SENTINEL", "sentinels", "main").count("runid") == sentinels - 1,
              "the sentinels have met")
    return servers, watchers


def end_group(*groups):
    for server in (one for group in groups for one in group):
        server.__exit__()


def is_installed():
    return shutil.which(PROGRAM) is not None
