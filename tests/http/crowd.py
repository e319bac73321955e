# SPDX-License-Identifier: Apache-2.0
"""Many requests under way at once, without a thread: each answer and the moment when it came."""
import selectors
import statistics
import time

import env


class Crowd:
    """Requests are sent as it is told to; answers are read when they come, while it waits or looks."""

    def __init__(self):
        self.selector, self.answers = selectors.DefaultSelector(), []

    def send(self, api, path, **request):
        conn = api.post_async(path, **request)
        self.selector.register(conn.sock, selectors.EVENT_READ, (conn, path, time.monotonic()))

    def look(self, patience=0.0):
        for key, _ in self.selector.select(patience):
            conn, path, sent = key.data
            came = time.monotonic()
            self.selector.unregister(key.fileobj)
            self.answers.append((path, conn.last_result(), came - sent))

    def under_way(self):
        return len(self.selector.get_map())

    def await_all(self):
        ends = time.monotonic() + env.CLIENT_TIMEOUT
        while self.under_way():
            assert time.monotonic() < ends, f"{self.under_way()} requests are not answered"
            self.look(0.1)

    def seconds(self, path=None):
        return [seconds for where, _, seconds in self.answers if path in (None, where)]

    def problems(self, path=None):
        return {answer.problem for where, answer, _ in self.answers if path in (None, where)}


def summary(seconds):
    return f"median {statistics.median(seconds) * 1000:.0f} ms, worst {max(seconds) * 1000:.0f} ms of {len(seconds)}"
