# SPDX-License-Identifier: Apache-2.0
"""A server that answers Redis's protocol as a test wants it to: old, refusing, broken, slow."""
import contextlib
import socket
import threading
import time

INFO = "redis_version:7.0.15\r\nrole:master\r\nconnected_slaves:0\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n" \
       "loading:0\r\ncluster_enabled:0\r\naof_enabled:1\r\nused_memory:1\r\n"


NOW = b":%d\r\n" % (time.time() * 1000)
DONE = b"*2\r\n$4\r\ndone\r\n" + NOW


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def array(*texts):
    return b"*%d\r\n" % len(texts) + b"".join(map(bulk, texts))


class FakeRedis:
    """answers: command name -> bytes, or a function of the connection; what is not in it is answered well. asked has
    the words of each command.
    """

    def __init__(self, info=None, **answers):
        self.answers = {"INFO": bulk(INFO if info is None else info)}
        self.answers.update({name.upper(): answer for name, answer in answers.items()})
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections, self.asked = [], []

    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as stream:
            while line := stream.readline():
                words = []
                for _ in range(int(line[1:])):
                    words.append(stream.read(int(stream.readline()[1:]) + 2)[:-2].decode("latin-1"))
                self.asked.append(words)
                answer = self.answers.get(words[0].upper()) or self.usual(words)
                answer(connection) if callable(answer) else connection.sendall(answer)

    def scripted(self, **answers):
        """Answers the script by its operation: claim=b"…"; the mark of the secret is written and nothing else is there.
        """
        usual = {"fetch": b"*2\r\n$6\r\nabsent\r\n" + NOW, "settle": DONE, "release": DONE} | answers

        def answer(connection):
            connection.sendall(usual.get(self.asked[-1][4], b"-ERR unknown operation\r\n"))
        self.answers["EVALSHA"] = answer
        return self

    @staticmethod
    def usual(words):
        now = time.time()
        usual = {"TIME": array(str(int(now)), str(int(now % 1 * 1e6))), "CONFIG": array(words[-1], "always"),
                 "AUTH": b"+OK\r\n", "SELECT": b"+OK\r\n", "WAIT": b":0\r\n"}
        return usual.get(words[0].upper(), b"-ERR unknown command\r\n")

    def __enter__(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
