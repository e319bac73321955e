# SPDX-License-Identifier: Apache-2.0
"""A server that answers memcached's protocol as a test wants it to: telling little, breaking off, refusing, slow."""
import contextlib
import socket
import threading
import time


def stats(**facts):
    return b"".join(f"STAT {name} {value}\r\n".encode() for name, value in facts.items()) + b"END\r\n"


class FakeMemcached:
    """answers: the words of a command -> bytes, which is all it does, or a function of the connection, which answers
    for what has been done; what is not in it is done and answered. asked has the words of each command, kept what was
    added.
    """

    def __init__(self, answers=None):
        self.answers = {
            "stats settings": stats(evictions="off", item_size_max=1048576),
            "replace": b"STORED\r\n"
        } | (answers or {})
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections, self.asked, self.kept = [], [], {}

    def url(self):
        return f"memcache:127.0.0.1:{self.port}"

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as stream:
            while line := stream.readline():
                words = line.decode().split()
                data = stream.read(int(words[4]) + 2)[:-2] if words[0] in ("add", "replace") else None
                self.asked.append(words)
                answer = self.answers.get(" ".join(words)) or self.answers.get(words[0])
                if not isinstance(answer, bytes):
                    done = self.usual(words, data)
                answer(connection) if callable(answer) else connection.sendall(answer or done)

    def usual(self, words, data):
        if words[0] == "add":
            taken = words[1] in self.kept
            self.kept.setdefault(words[1], data)
            return b"NOT_STORED\r\n" if taken else b"STORED\r\n"
        if words[0] == "get":
            value = self.kept.get(words[1])
            return b"END\r\n" if value is None else b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (words[1].encode(), len(value),
                                                                                         value)
        return stats(version="1.6.18", time=int(time.time()), bytes=0, limit_maxbytes=67108864)

    def hang_up(self):
        """All connections, at once."""
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
