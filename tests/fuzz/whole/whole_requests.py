# SPDX-License-Identifier: Apache-2.0
"""Whole requests, broken in every way that grammar.py knows, against an httpd with the module in it; the backend's
answers are, too.

    whole_requests.py [--seconds 60] [--seed N] [--case N]

What must hold for any input: no process of the server dies, and no sanitizer speaks. At most one handler of a slot runs
whose outcome was not given back. A recorded slot is never executed again. A replay is the first client's answer, to the
byte. A failure names its case; --seed and --case repeat it alone.
"""
import argparse
import collections
import pathlib
import queue
import random
import re
import shutil
import socket
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "http"))

import env  # noqa: E402
import grammar  # noqa: E402
from httpd import Httpd  # noqa: E402
from origin import Stage  # noqa: E402

CLIENTS = 24
CONFIG = """
ProxyPass /peer http://127.0.0.1:{port}/peer disablereuse=On timeout=2
HttpProtocolOptions Unsafe
Timeout 2
KeepAliveTimeout 1
IdempotencyPrefetch 1K
IdempotencySpool 8K
IdempotencyMaxResponse 16K
IdempotencyKey header:Idempotency-Key query:key
CustomLog "{root}/slots.log" "%U %>s %{IDEMPOTENCY_OUTCOME}e %{IDEMPOTENCY_SETTLEMENT}e %{IDEMPOTENCY_SLOT}e"
"""
REPLAYED = re.compile(rb"\r\nIdempotent-Replayed: true\r\n")
DEATH = re.compile(r"exit signal|AddressSanitizer|runtime error|[Aa]ssertion")
# What a replay need not repeat: what is the connection's or the moment's, the marker, challenges.
OWN = re.compile(rb"^(date|server|connection|keep-alive|transfer-encoding|content-length|upgrade|trailer|te|idempotent-replayed"
                 rb"|www-authenticate|authentication-info):", re.I)


class Backend:
    """Answers each request with the bytes of its case, and counts how often each was asked for."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port, self.answers, self.runs = self.listener.getsockname()[1], {}, collections.Counter()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        sock.settimeout(5)
        try:
            with sock:
                data = b""
                while b"\r\n\r\n" not in data and (piece := sock.recv(65536)):
                    data += piece
                found = re.search(rb"/peer/(\d+)", data)
                number = int(found.group(1)) if found else -1
                self.runs[number] += 1
                sock.sendall(self.answers.get(number, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):  # the rest of its body; closing before would be a reset
                    pass
        except OSError:
            pass


def send(address, data, sizes, cut):
    """What came back until the server closed; None where the client left, or the connection was lost."""
    with socket.create_connection(address, 10) as sock:
        try:
            at = 0
            for size in sizes:
                sock.sendall(data[at:at + size])
                at += size
            if cut:
                return None
            sock.sendall(data[at:])
        except OSError:
            pass  # refused before it was complete; the answer is there to be read
        answer = b""
        try:
            while piece := sock.recv(65536):
                answer += piece
        except OSError:
            return None
        return answer


def told(answer):
    """(status line, header lines that a replay repeats, body), of the last response if interim ones came before; None
    if that is none.
    """
    while answer is not None and re.match(rb"HTTP/1\.\d 1\d\d", answer):
        answer = answer.partition(b"\r\n\r\n")[2]
    head, empty, body = (answer or b"").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not empty or not lines[0].startswith(b"HTTP/"):
        return None
    fields = [line for line in lines[1:] if not OWN.match(line)]
    if any(line.lower() == b"transfer-encoding: chunked" for line in lines):
        body = unchunked(body)
    return lines[0].partition(b" ")[2], sorted(fields), body


def without_cookies(answer):
    status, fields, body = answer
    return status, [line for line in fields if not line.lower().startswith(b"set-cookie:")], body


def same(first, replay):
    """Cookies are all there, or none, where the request was nobody's."""
    return replay == first or (replay == without_cookies(replay) and replay == without_cookies(first))


def short(answer):
    status, fields, body = answer
    return f"  {status!r} {fields!r:.700} body of {None if body is None else len(body)} bytes {body and body[:40]!r}"


def unchunked(data):
    out = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0], 16)
        except ValueError:
            return None  # torn: its end is missing
        if not length:
            return out
        out, data = out + data[:length], data[length + 2:]


class Run:
    def __init__(self, server, backend, seed):
        self.server, self.backend, self.seed = server, backend, seed
        self.todo, self.answers, self.faults, self.sent = queue.Queue(maxsize=CLIENTS), {}, [], 0

    def client(self):
        while (number := self.todo.get()) is not None:
            case = grammar.case(self.seed, number)
            self.backend.answers[number] = case.answer
            try:
                first = send(self.server.address, case.request, case.pieces, case.cut)
                self.answers[number] = [first] + [
                    send(self.server.address, data, [len(data)], False) for data in (case.also, case.request)
                ]
            except OSError as error:
                self.faults.append(f"case {number}: the server cannot be reached: {error}")

    def go(self, seconds, only):
        clients = [threading.Thread(target=self.client) for _ in range(CLIENTS)]
        for one in clients:
            one.start()
        begin = shown = time.monotonic()
        numbers = iter([only]) if only is not None else iter(range(10**9))
        while not self.faults and time.monotonic() - begin < seconds and (number := next(numbers, None)) is not None:
            self.todo.put(number)
            self.sent = number + 1
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{shown - begin:5.0f} s  {self.sent} cases", flush=True)
                self.look_for_deaths()
        for _ in clients:
            self.todo.put(None)
        for one in clients:
            one.join()

    def look_for_deaths(self):
        lines = self.server.log.lines(0) + (self.server.root / "output").read_text(errors="replace").splitlines()
        self.faults += [line for line in lines if DEATH.search(line)][:40]

    def judge(self):
        """Reads the log of outcomes: each line is one request, in the order in which they ended."""
        kept, replays = {}, 0
        for line in (self.server.root / "slots.log").read_text(errors="replace").splitlines():
            path, status, outcome, settlement, slot = line.rsplit(" ", 4)
            if slot == "-":
                continue
            if outcome == "executed" and settlement != "released":
                if slot in kept:
                    self.faults.append(f"{path}: slot {slot} was executed again, {settlement}, after {kept[slot]}")
                kept[slot] = f"{path} {status} {settlement}"
            replays += outcome == "replayed"
        return len(kept), replays

    def compare(self):
        """A replay repeats the answer to the client of an execution before it. This is judged where all of these are
        known, and the key is the case's own.
        """
        compared = 0
        for number, answers in self.answers.items():
            heard = [told(answer) for answer in answers]
            own = b"k%d" % number in grammar.case(self.seed, number).request
            for at, answer in enumerate(answers):
                if not own or None in heard[:at + 1] or not REPLAYED.search(answer.partition(b"\r\n\r\n")[0] + b"\r\n"):
                    continue
                compared += 1
                if not any(same(one, heard[at]) for one in heard[:at]):
                    self.faults.append(f"case {number}: the replay differs:\n" + "\n".join(map(short, heard[:at + 1])))
        return compared


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--case", type=int)
    asked = parser.parse_args()
    print(f"whole requests: seed {asked.seed}, {env.MPM}")
    root = tempfile.mkdtemp(prefix="idem-whole-", dir="/tmp")
    stage, backend = Stage(root), Backend()
    server = Httpd(stage, CONFIG.replace("{port}", str(backend.port)))
    run = Run(server, backend, asked.seed)
    try:
        server.start()
        run.go(asked.seconds, asked.case)
    finally:
        server.stop()
        run.look_for_deaths()
    kept, replays = run.judge()
    compared = run.compare()
    stage.close()
    shutil.rmtree(root, ignore_errors=True)
    for fault in run.faults[:20]:
        print(fault)
    print(
        f"whole requests: {run.sent} cases, {sum(backend.runs.values())} executions, {kept} slots kept, {replays} "
        f"replays, "
        f"{compared} compared, {len(run.faults)} faults (seed {asked.seed})")
    return 1 if run.faults or not kept or not replays else 0


if __name__ == "__main__":
    sys.exit(main())
