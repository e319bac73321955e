"""
Carries a schedule out. Actions that last are undone by the monkey itself, at the end at the latest; what it did to which
process, and when, is what the judge goes by. Times are taken before the deed: nobody was dead earlier.
"""
import collections
import contextlib
import heapq
import os
import signal
import threading
import time

import schedule

Deed = collections.namedtuple("Deed", "at what pid")  # pid: 0 where it is the whole server


class Monkey(threading.Thread):
    def __init__(self, arena, plan):
        super().__init__(name="monkey", daemon=True)
        self.arena, self.plan = arena, plan
        self.deeds, self.counts, self.error = [], collections.Counter(), None
        self.undo, self.numbers = [], 0  # heap of (when, number, function, argument)

    def run(self):
        begin = time.monotonic()
        try:
            for at, action, choice in self.plan:
                self.wait_until(begin + at)
                self.counts[action] += bool(getattr(self, action)(choice))
            self.heal()
        except BaseException as error:
            self.error = error
            raise

    def wait_until(self, when):
        while self.undo and self.undo[0][0] <= when:
            due, _, function, argument = heapq.heappop(self.undo)
            time.sleep(max(0, due - time.monotonic()))
            function(argument)
        time.sleep(max(0, when - time.monotonic()))

    def later(self, action, choice, function, argument):
        self.numbers += 1
        heapq.heappush(self.undo, (time.monotonic() + schedule.lasts(action, choice), self.numbers, function, argument))

    def heal(self):
        while self.undo:
            _, _, function, argument = heapq.heappop(self.undo)
            function(argument)
        self.arena.heal()

    # ---- processes

    def send(self, name, pid):
        self.deeds.append(Deed(time.time(), name, pid))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, name))

    def pick(self, choice):
        workers = self.arena.workers()
        return workers[int(choice * len(workers))] if workers else None

    def kill(self, choice):
        pid = self.pick(choice)
        if pid:
            self.send("SIGKILL", pid)
        return pid

    def segv(self, choice):
        pid = self.pick(choice)
        if pid:
            self.send("SIGSEGV", pid)
            self.go_on(pid)  # a stopped one would die later
        return pid

    def pause(self, choice):
        pid = self.pick(choice)
        if pid:
            self.send("SIGSTOP", pid)
            self.later("pause", choice, self.go_on, pid)
        return pid

    def go_on(self, pid):
        self.send("SIGCONT", pid)

    # ---- the server

    def graceful(self, _):
        self.deeds.append(Deed(time.time(), "graceful restart", 0))
        self.arena.httpd.graceful()
        return True

    def restart(self, _=None):
        """A start refuses a store that it cannot write to, as it should: there is room again before it."""
        self.arena.disk.free()
        self.deeds.append(Deed(time.time(), "stop", 0))
        self.arena.httpd.stop()
        self.deeds.append(Deed(time.time(), "stopped", 0))
        self.arena.httpd.start()
        return True

    # ---- the store

    def fill(self, choice):
        self.deeds.append(Deed(time.time(), "disk full", 0))
        self.arena.disk.fill()
        self.later("fill", choice, self.free, None)
        return True

    def free(self, _):
        self.deeds.append(Deed(time.time(), "disk free", 0))
        self.arena.disk.free()

    def store(self, choice):
        file, contents = schedule.failure_of(choice)
        self.deeds.append(Deed(time.time(), f"store: {file} {contents}", 0))
        self.arena.tell_store(file, contents)
        self.later("store", choice, self.mend, file)
        return True

    def mend(self, file):
        self.deeds.append(Deed(time.time(), f"store: no more {file}", 0))
        self.arena.tell_store(file)
