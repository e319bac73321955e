# SPDX-License-Identifier: Apache-2.0
"""Carries a schedule out. The monkey itself undoes actions that last, at the end at the latest. The judge goes by its
notes: which action, on which process, and when. Times are taken before damage is done and after it is mended: nobody
was dead earlier, or is out of reach later.
"""
import collections
import contextlib
import functools
import heapq
import os
import signal
import threading
import time

import schedule

# pid: 0 where it is no process of httpd's; host: whose process or httpd it is; server: the store's, None where it is
# none of them
Deed = collections.namedtuple("Deed", "at what pid host server", defaults=(0, 0, None))


class Monkey(threading.Thread):
    def __init__(self, arena, plan):
        super().__init__(name="monkey", daemon=True)
        self.arena, self.plan = arena, plan
        self.deeds, self.counts, self.error = [], collections.Counter(), None
        self.undo, self.numbers = [], 0  # heap of (when, number, function)

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
            due, _, function = heapq.heappop(self.undo)
            time.sleep(max(0, due - time.monotonic()))
            function()
        time.sleep(max(0, when - time.monotonic()))

    def later(self, action, choice, function, *arguments):
        self.numbers += 1
        due = time.monotonic() + schedule.lasts(action, choice)
        heapq.heappush(self.undo, (due, self.numbers, functools.partial(function, *arguments)))

    def heal(self):
        while self.undo:
            heapq.heappop(self.undo)[2]()
        self.arena.heal()

    def note(self, what, pid=0, host=0, server=None):
        self.deeds.append(Deed(time.time(), what, pid, host, server))

    def host(self, choice):
        """A third group of the choice's digits, beside those that pick and those for the duration."""
        return int(choice * 1000) % len(self.arena.httpds)

    # ---- processes

    def send(self, name, pid, host):
        self.note(name, pid, host)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, name))

    def pick(self, choice):
        """A process and its host."""
        host = self.host(choice)
        workers = self.arena.workers(host)
        return (workers[int(choice * len(workers))], host) if workers else None

    def kill(self, choice):
        picked = self.pick(choice)
        if picked:
            self.send("SIGKILL", *picked)
        return picked

    def segv(self, choice):
        picked = self.pick(choice)
        if picked:
            self.send("SIGSEGV", *picked)
            self.send("SIGCONT", *picked)  # a stopped one would die later
        return picked

    def pause(self, choice):
        picked = self.pick(choice)
        if picked:
            self.send("SIGSTOP", *picked)
            self.later("pause", choice, self.send, "SIGCONT", *picked)
        return picked

    # ---- a host

    def graceful(self, choice):
        host = self.host(choice)
        self.note("graceful restart", host=host)
        self.arena.httpds[host].graceful()
        return True

    def restart(self, choice):
        self.start_again(self.host(choice))
        return True

    def start_again(self, host):
        """A start refuses a local store that it cannot write to, as it should: there is room again before it."""
        if self.arena.disk:
            self.arena.disk.free()
        self.note("stop", host=host)
        self.arena.httpds[host].stop()
        self.note("stopped", host=host)
        self.arena.start(host)

    def cut(self, choice):
        host, how = self.host(choice), "line" if choice < 0.5 else "route"
        self.note("cut off", host=host)
        self.arena.places[host].cut(how)
        self.later("cut", choice, self.join_again, host)
        return True

    def join_again(self, host):
        self.arena.places[host].join()
        self.note("joined", host=host)

    # ---- the store's servers

    def server(self, choice):
        """Number and server; whatever was done to any of them is over before something else is."""
        for entry in [entry for entry in self.undo if entry[2].func in (self.revive, self.resume)]:
            self.undo.remove(entry)
            entry[2]()
        heapq.heapify(self.undo)
        number = int(choice * 1000) % len(self.arena.servers.servers)
        return number, self.arena.servers.servers[number]

    def fell(self, choice):
        number, server = self.server(choice)
        self.note("store killed", server=number)
        server.kill()
        self.note("store gone", server=number)
        self.later("fell", choice, self.revive, number)
        return True

    def bounce(self, choice):
        number, server = self.server(choice)
        self.note("store stopped", server=number)
        server.stop()
        self.note("store gone", server=number)
        self.revive(number)
        return True

    def revive(self, number):
        self.arena.starter.submit(self.arena.servers.revive, number).result()
        self.note("store back", server=number)

    def hang(self, choice):
        number, server = self.server(choice)
        self.note("store paused", server=number)
        server.pause()
        self.later("hang", choice, self.resume, number)
        return True

    def resume(self, number):
        self.arena.servers.resume(number)
        self.note("store back", server=number)

    # ---- the disk, and the store that fails on command

    def fill(self, choice):
        self.note("disk full")
        self.arena.disk.fill()
        self.later("fill", choice, self.free)
        return True

    def free(self):
        self.note("disk free")
        self.arena.disk.free()

    def store(self, choice):
        host, (file, contents) = self.host(choice), schedule.failure_of(choice)
        self.note(f"store: {file} {contents}", host=host)
        self.arena.tell_store(host, file, contents)
        self.later("store", choice, self.mend, host, file)
        return True

    def mend(self, host, file):
        self.arena.tell_store(host, file)
        self.note(f"store: no more {file}", host=host)
