# SPDX-License-Identifier: Apache-2.0
"""A process that has a store's driver in it and does what it is told, an operation at a time (driven.c)."""
import contextlib
import os
import select
import subprocess
import time
import typing

HANGS = 60  # seconds


class Answer(typing.NamedTuple):
    status: str
    milliseconds: float
    details: str
    why: str


class Driven:
    def __init__(self, program, url, options, timeout_ms):
        limit = [] if timeout_ms is None else ["-t", str(timeout_ms)]
        self.process = subprocess.Popen([program, *limit, url, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer = b""
        first = self.line()
        assert first == "configured", first

    def line(self):
        while b"\n" not in self.buffer:
            assert select.select([self.process.stdout], [], [], HANGS)[0], "the driver hangs"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the driver died: {self.process.wait()}"
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def say(self, *words):
        """Begins an operation; hear() waits for its answer."""
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()

    def hear(self):
        result, details, why = self.line().split(" | ", 2)
        status, microseconds = result.rsplit(" ", 1)
        return Answer(status, int(microseconds) / 1000, details, why)

    def ask(self, *words):
        self.say(*words)
        return self.hear()

    def status(self, *words):
        return self.ask(*words).status

    def attached(self):
        """A server that takes longer to let somebody in than the test tells the driver is asked again."""
        ends = time.monotonic() + HANGS
        while (answer := self.ask("attach")).status == "TIMEUP" and time.monotonic() < ends:
            pass
        assert answer.status == "SUCCESS", answer
        return self

    def end(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(HANGS)
        self.process.stdout.close()
