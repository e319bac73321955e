# SPDX-License-Identifier: Apache-2.0
"""
Private memcached servers, from the installed memcached: own port, own process, nothing on disk but its output.

    with Memcached(folder) as one, Memcached(folder / "b", "-M", "-m", "8", "-I", "2m") as two: url(one, two)
    Memcached(folder, address="10.0.0.2", port=11211, prefix=("ip", "netns", "exec", "store"))
"""
import pathlib
import shutil
import socket
import urllib.parse

from private_server import PATIENCE, Server, free_port, unprivileged, until

LISTENING = "0A"  # in /proc/net/tcp


def url(*servers):
    """One store on all of them, in this order."""
    return "memcache:" + ",".join(server.place() for server in servers)


class Memcached(Server):
    """options are memcached's own: "-M" (refuses when it is full), "-m", "64" (megabytes), "-I", "2m" (largest item).
    """

    def __init__(self, folder, *options, address="127.0.0.1", port=None, prefix=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.address, self.port, self.process = address, port or free_port(), None
        self.options, self.prefix = options, prefix

    def command(self):
        return [*self.prefix, *unprivileged(), "memcached", "-p", str(self.port), "-U", "0", "-l", self.address,
                *self.options]

    def answers(self):
        """As seen from where it runs, which may be a network namespace of its own."""
        tables = pathlib.Path(f"/proc/{self.process.pid}/net").glob("tcp*")
        try:
            rows = [line.split() for table in tables for line in table.read_text().splitlines()]
        except OSError:  # it has ended meanwhile
            return False
        return any(row[1].endswith(f":{self.port:04X}") and row[3] == LISTENING for row in rows)

    def place(self):
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def url(self):
        return url(self)

    def say(self, *words):
        """The lines it answers a command with, without the one that ends a list."""
        with socket.create_connection((self.address, self.port), PATIENCE) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            stream, lines = connection.makefile("rb"), []
            while not lines or (words[0] in ("stats", "get", "lru_crawler") and not ends_list(lines[-1])):
                line = stream.readline()
                assert line, (words, lines)
                lines.append(line.decode("latin-1").rstrip("\r\n"))
        return lines[:-1] if lines[-1] == "END" else lines

    def stats(self, *words):
        return dict(line.split(" ", 2)[1:] for line in self.say("stats", *words))

    def items(self):
        """Each key, and when it will expire: seconds since 1970. For a server in which nothing has expired yet."""
        def listed():
            """A walk of memcached's misses what is moved meanwhile, and none is begun while one is under way."""
            count = int(self.stats()["curr_items"])
            lines = self.say("lru_crawler", "metadump", "all") if count else []
            rows = [dict(field.split("=", 1) for field in line.split()) for line in lines if line.startswith("key=")]
            return (rows,) if len(rows) == count else None
        return {urllib.parse.unquote(row["key"]): int(row["exp"]) for row in until(listed, "all keys are listed")[0]}


def ends_list(line):
    return line in ("END", "OK", "RESET") or line.split(" ")[0] in ("BUSY", "ERROR", "CLIENT_ERROR", "SERVER_ERROR")


def is_installed():
    return shutil.which("memcached") is not None
