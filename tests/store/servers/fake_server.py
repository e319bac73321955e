# SPDX-License-Identifier: Apache-2.0
"""What servers that answer as a test wants it have in common: each connection is a thread, and answers are a table.

A subclass has SCHEME, command() (reads one: its words and its data) and answer() (to them: bytes, or a function of the
connection). asked has the words of each command.
"""
import contextlib
import socket
import threading


def trickle(connection):
    """Bytes that end nothing, one at a time, each of them well in time."""
    gone = False
    while not gone:
        connection.settimeout(0.02)
        try:
            connection.sendall(b"x")
            gone = connection.recv(1) == b""
        except TimeoutError:
            pass


@contextlib.contextmanager
def deaf_host():
    """The port of a host that does not even refuse: its queue is full, and the kernel drops connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as waiting:
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]


class FakeServer:
    def __init__(self, answers):
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections, self.asked = [], []

    def url(self):
        return f"{self.SCHEME}127.0.0.1:{self.port}"

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as stream:
            while line := stream.readline():
                words, data = self.command(line, stream)
                self.asked.append(words)
                answer = self.answer(words, data)
                answer(connection) if callable(answer) else connection.sendall(answer)

    def hang_up(self):
        """All connections, at once."""
        for one in self.connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        for one in [self.listener, *self.connections]:
            one.close()
