# SPDX-License-Identifier: Apache-2.0
"""A server that answers memcached's protocol as a test wants it to: telling little, breaking off, refusing, slow."""
import time

from fake_server import FakeServer


def stats(**facts):
    return b"".join(f"STAT {name} {value}\r\n".encode() for name, value in facts.items()) + b"END\r\n"


class FakeMemcached(FakeServer):
    """answers: the words of a command -> bytes, or a function of the connection. For bytes it only sends them; for a
    function it does the command, and the function answers. Any other command is done and answered. kept has what was
    added.
    """
    SCHEME = "memcache:"

    def __init__(self, answers=None):
        super().__init__({
            "stats settings": stats(evictions="off", item_size_max=1048576),
            "replace": b"STORED\r\n"
        } | (answers or {}))
        self.kept = {}

    def command(self, line, stream):
        words = line.decode().split()
        return words, stream.read(int(words[4]) + 2)[:-2] if words[0] in ("add", "replace") else None

    def answer(self, words, data):
        answer = self.answers.get(" ".join(words)) or self.answers.get(words[0])
        if isinstance(answer, bytes):
            return answer
        done = self.usual(words, data)
        return answer or done

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
