# SPDX-License-Identifier: Apache-2.0
"""A backend whose every byte a test sends itself: it accepts, reads a request, answers as much as is wanted, and goes
away.

Speaks HTTP or FastCGI. What it reads are executions: each request that came in whole is counted.
"""
import select
import socket
import struct

import env

STDIN, STDOUT, END_REQUEST = 5, 6, 3


def record(kind, data=b""):
    """One FastCGI record of the only request."""
    return struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data


def stdout(data):
    return record(STDOUT, data)


def end_request():
    return stdout(b"") + record(END_REQUEST, bytes(8))


class Exchange:
    """One connection from httpd, with the request it brought."""

    def __init__(self, peer, sock):
        self.peer, self.sock = peer, sock
        sock.settimeout(env.CLIENT_TIMEOUT)
        self.stream = sock.makefile("rb")

    def read_http(self):
        length, line = 0, self.stream.readline()
        assert line, "connected and sent nothing"
        while line.strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
            line = self.stream.readline()
        assert len(self.stream.read(length)) == length
        self.peer.requests += 1

    def read_fastcgi(self):
        kind, length = None, None
        while (kind, length) != (STDIN, 0):
            _, kind, _, length, padding = struct.unpack(">BBHHBx", self.stream.read(8))
            self.stream.read(length + padding)
        self.peer.requests += 1

    def send(self, data):
        self.sock.sendall(data)

    def unread(self):
        """Bytes that were sent and that httpd has not read: the receive queue of its socket."""
        ours, theirs = self.sock.getsockname()[1], self.sock.getpeername()[1]
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table]
        ends = f":{theirs:04X}", f":{ours:04X}"
        queues = [row[4] for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1])]
        return sum(int(queue.split(":")[1], 16) for queue in queues)

    def wait_until_read(self):
        env.until(lambda: not self.unread(), "httpd reads what was sent")

    def end(self, how="close"):
        if how == "reset":
            self.wait_until_read()  # a reset takes back what was not
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()
        self.sock.close()


class Peer:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(env.CLIENT_TIMEOUT)
        self.port, self.requests = self.listener.getsockname()[1], 0

    def accept(self):
        return Exchange(self, self.listener.accept()[0])

    def came(self):
        """Has httpd connected once more?"""
        return bool(select.select([self.listener], [], [], 0)[0])

    def refuse(self):
        """From here on nobody listens; the port stays this peer's."""
        self.listener.close()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.settimeout(env.CLIENT_TIMEOUT)

    def listen(self):
        self.listener.listen()

    def close(self):
        self.listener.close()
