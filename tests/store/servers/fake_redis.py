# SPDX-License-Identifier: Apache-2.0
"""A server that answers Redis's protocol as a test wants it to: old, refusing, broken, slow."""
import time

from fake_server import FakeServer

INFO = "redis_version:7.0.15\r\nrole:master\r\nconnected_slaves:0\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n" \
       "loading:0\r\ncluster_enabled:0\r\naof_enabled:1\r\nused_memory:1\r\n"


NOW = b":%d\r\n" % (time.time() * 1000)
DONE = b"*2\r\n$4\r\ndone\r\n" + NOW


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def array(*texts):
    return b"*%d\r\n" % len(texts) + b"".join(map(bulk, texts))


class FakeRedis(FakeServer):
    """answers: command name -> bytes, or a function of the connection; what is not in it is answered well."""
    SCHEME = "redis://"

    def __init__(self, info=None, **answers):
        super().__init__({"INFO": bulk(INFO if info is None else info)} |
                         {name.upper(): answer for name, answer in answers.items()})

    def command(self, line, stream):
        words = []
        for _ in range(int(line[1:])):
            words.append(stream.read(int(stream.readline()[1:]) + 2)[:-2].decode("latin-1"))
        return words, None

    def answer(self, words, _):
        return self.answers.get(words[0].upper()) or self.usual(words)

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
