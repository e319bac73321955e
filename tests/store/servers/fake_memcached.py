"""A server that answers memcached's protocol as a test wants it to: telling little, breaking off, refusing, slow."""
import contextlib
import socket
import threading
import time


def stats(**facts):
    return b"".join(f"STAT {name} {value}\r\n".encode() for name, value in facts.items()) + b"END\r\n"


class FakeMemcached:
    """answers: the words of a command -> bytes, or a function of the connection; what is not in it is answered well."""

    def __init__(self, answers=None):
        self.answers = {"stats settings": stats(evictions="off", item_size_max=1048576), "get": b"END\r\n", "add": b"STORED\r\n",
                        "replace": b"STORED\r\n"} | (answers or {})
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        self.asked = []

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
                if words[0] in ("add", "replace"):
                    stream.read(int(words[4]) + 2)
                self.asked.append(words)
                answer = self.answers.get(" ".join(words)) or self.answers.get(words[0]) or self.usual()
                answer(connection) if callable(answer) else connection.sendall(answer)

    @staticmethod
    def usual():
        return stats(version="1.6.18", time=int(time.time()), bytes=0, limit_maxbytes=67108864)

    def __enter__(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
