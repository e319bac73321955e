# SPDX-License-Identifier: Apache-2.0
"""One client, a million keys: what the children, the store and its file grow to, and that they stop growing.

Two parts. First every key is executed, with a life of --life seconds. Entries come and are swept, so the store has as
many as come in that time, and its file has pages for them. Then the client has a bound (IdempotencyMaxKeys): beyond it
each new key is refused, and costs nothing. The client pipelines on a few connections; the handler is httpd's own for
files. The exit code is the verdict.
"""
import argparse
import collections
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent / "http"), str(HERE.parent / "store")]

import env  # noqa: E402 (found by the line above)
import httpd as httpd_module  # noqa: E402
from client import Api  # noqa: E402
from driven import Driven  # noqa: E402
from httpd import Httpd  # noqa: E402
from origin import Stage  # noqa: E402

CONFIG = """
Alias /file {{root}}/file
Alias /bounded {{root}}/file
<Directory {{root}}>
    Require all granted
</Directory>
CustomLog /dev/null "-"
LogLevel idempotency:warn
IdempotencyTTL {life}s
IdempotencyStoreTimeout 5s
<Location /bounded>
    IdempotencyMaxKeys {bound} per 1h
</Location>
"""
SIZES = "StartServers 2\nServerLimit 2\nThreadsPerChild 16\nMaxRequestWorkers 32\nMinSpareThreads 1\nMaxSpareThreads 32"
BOUND, PIECE, LOOKS = 1000, 64, 20
GROWTH_KIB = 4096  # of all children together, beyond what they had after a fifth of the keys
STATUS = re.compile(rb"HTTP/1\.1 (\d+) [^\r]*\r\n(Idempotent-Replayed)?")


class Sender(threading.Thread):
    """Pipelines its share of the keys on one connection."""

    def __init__(self, server, path, first, last):
        super().__init__(daemon=True)
        self.api, self.path, self.numbers = Api(server.address, "million.test", ""), path, range(first, last)
        self.answers, self.done = collections.Counter(), 0

    def request(self, number):
        return self.api.head("POST", self.path, [f'Idempotency-Key: "key number {number}"', "Content-Length: 1"]) + b"1"

    def run(self):
        with socket.create_connection(self.api.address, env.CLIENT_TIMEOUT) as sock:
            for start in range(0, len(self.numbers), PIECE):
                piece = self.numbers[start:start + PIECE]
                sock.sendall(b"".join(map(self.request, piece)))
                left, tail = len(piece), b""
                while left:
                    more = sock.recv(1 << 18)
                    if not more:
                        self.answers["closed"] += 1
                        return
                    data = tail + more
                    cut = data.rfind(b"HTTP/1.1 ") if left > 1 else len(data)  # what is behind it may not be all of it
                    found = STATUS.findall(data[:cut])
                    tail = data[cut:]
                    if left - len(found) == 1 and tail.endswith(b"\n"):
                        found, tail = found + STATUS.findall(tail), b""
                    left -= len(found)
                    self.answers.update(status.decode() for status, _ in found)
                self.done += len(piece)


def memory_of(server):
    """KiB that the children have for themselves, in all; the store's pages are the file's."""
    total = 0
    for child in server.children():
        with open(f"/proc/{child}/status") as status:
            total += int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1])
    return total


class Gauge:
    def __init__(self, server, options):
        self.server, self.rows = server, []
        self.store = Driven(env.MODULE.parent / "driven", f"lmdb:{server.root}/store", options, None)
        self.store.attached()

    def entries(self):
        return int(re.search(r"entries=(\d+)", self.store.ask("status").details)[1])

    def look(self, done, seconds):
        file = os.stat(self.server.root / "store/data.mdb")
        row = (done, memory_of(self.server), file.st_blocks >> 1, self.entries())
        self.rows.append(row)
        print(
            f"{row[0]:8} keys {seconds:6.0f} s  {row[1]:6} KiB own memory  {row[2] >> 10:5} MiB file  {row[3]:7} "
            f"entries",
            flush=True)


def bring(server, path, keys, connections, gauge):
    """All keys, with a look at everything now and then."""
    share, began = -(-keys // connections), time.monotonic()
    senders = [Sender(server, path, n * share, min((n + 1) * share, keys)) for n in range(connections)]
    for sender in senders:
        sender.start()
    next_look = keys // LOOKS
    while any(sender.is_alive() for sender in senders):
        senders[0].join(0.2)
        done = sum(sender.done for sender in senders)
        if done >= next_look:
            gauge.look(done, time.monotonic() - began)
            next_look = (done * LOOKS // keys + 1) * keys // LOOKS
    gauge.look(sum(sender.done for sender in senders), time.monotonic() - began)
    return sum((sender.answers for sender in senders), collections.Counter())


def faults_of_growth(rows, what):
    """Beyond the first fifth memory does not grow. The file has room for the entries that live at once, not for all
    that have come."""
    fifth, most_memory = rows[len(rows) // 5], max(row[1] for row in rows[len(rows) // 5:])
    most_file, most_alive, each = max(row[2] for row in rows), max(row[3] for row in rows), rows[0][2] / rows[0][3]
    if most_memory > fifth[1] + GROWTH_KIB:
        yield f"{what}: own memory grew from {fifth[1]} to {most_memory} KiB"
    print(f"{most_alive} entries at once, {each:.2f} KiB each: {most_file} KiB of file")
    if most_file > 2 * each * most_alive + GROWTH_KIB:
        yield f"{what}: the file grew to {most_file} KiB for {most_alive} entries of {each:.2f} KiB each"


def fight(options, server, gauge):
    """Sentences about what did not hold."""
    answers = bring(server, "/file/a", options.keys, options.connections, gauge)
    print(f"every key executed: {dict(answers)}")
    if answers != {"200": options.keys}:
        yield f"of {options.keys} new keys {answers} were answered"
    yield from faults_of_growth(gauge.rows, "every key")
    before, gauge.rows = gauge.entries(), []
    env.until(lambda: gauge.entries() <= 1, "everything is swept", options.life + 60)  # the store's own mark remains
    print(f"swept: {before} entries, then {gauge.entries()}")
    answers = bring(server, "/bounded/a", options.keys, options.connections, gauge)
    print(f"a bound of {BOUND} new keys: {dict(answers)}")
    if answers != {"200": BOUND, "429": options.keys - BOUND}:
        yield f"with a bound of {BOUND}: {answers}"
    if max(row[1] for row in gauge.rows) > gauge.rows[0][1] + GROWTH_KIB or gauge.rows[-1][2] > gauge.rows[0][2]:
        yield f"refused keys cost memory or file: {gauge.rows}"
    if max(row[3] for row in gauge.rows) > BOUND + 1:
        yield f"refused keys are in the store: {gauge.rows}"
    yield from server.log.faults()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--life",
                        type=int,
                        default=20,
                        help="seconds that an entry lives; the run should take several of these")
    parser.add_argument("--sync", default="off", choices=["on", "off"])
    parser.add_argument("--connections", type=int, default=8)
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is stopped then, too
    httpd_module.SIZES[env.MPM] = SIZES
    stage = Stage(tempfile.mkdtemp(prefix="idem-million-", dir="/tmp"))
    server = Httpd(stage, CONFIG.format(life=options.life, bound=BOUND),
                   f"lmdb:{{root}}/store size=2G sync={options.sync}")
    (server.root / "file").mkdir()
    (server.root / "file/a").write_text("done\n")
    try:
        gauge = Gauge(server.start(), ["size=2G", f"sync={options.sync}"])
        wrong = list(fight(options, server, gauge))
        gauge.store.end()
    finally:
        server.stop()
        stage.close()
    print("\n".join(wrong + [f"{0 if wrong else 1} passed, {len(wrong)} failed"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
