# SPDX-License-Identifier: Apache-2.0
"""Clients that retry until they know. Each has keys of its own; some of them several clients race for; some are asked
again later.

A client knows when it was given a response, or one of the module's two last words: outcome-unknown, response-not-kept.
After anything else it asks again: a lost connection, its own impatience, 409 in-progress, 503 store-unavailable, an
error page of httpd's.
"""
import collections
import hashlib
import http.client
import json
import random
import threading
import time

from arena import BRIEF, MOST_KEPT
from client import Connection
from promises import LEASE
from slots import HOST

Operation = collections.namedtuple("Operation", "key path body size brief")
# host: its number; request: the name of one request; kind: see kind_of(); nonce: whose answer it is, "-" if an error
# page of httpd's is the record
Answer = collections.namedtuple("Answer", "key request sent got kind nonce digest replayed host", defaults=(0,))

LAST_WORDS = ("real", "outcome-unknown", "response-not-kept")
PATIENCE = 3  # seconds without a byte
OUTLIVES_LEASE = 1500 * LEASE  # milliseconds that some executions take
PAUSE = 0.15  # seconds before the next try, on average


def kind_of(response, size):
    """real, the module's word, error (httpd's own page), or what may never come: mangled, strange. And the nonce."""
    nonce, problem = response["X-Nonce"], response["Idempotency-Error"]
    if problem:
        return problem, "-"
    if nonce:
        try:
            said = json.loads(response.body)
        except ValueError:
            return "mangled", nonce
        whole = said["nonce"] == nonce and len(said["pad"]) == size and response.status == 201
        return "real" if whole else "mangled", nonce
    if response.status >= 500:
        return "real" if response.replayed else "error", "-"
    return f"strange {response.status}", "-"


class Board:
    """What all clients share: the operations begun, newest last, and every answer."""

    def __init__(self, addresses, seed, leases):
        self.addresses, self.seed, self.leases = addresses, seed, leases  # of the hosts; are owners' leases renewed?
        self.operations, self.answers = [], []
        self.over = threading.Event()  # nothing new is begun
        self.give_up = float("inf")  # when nobody asks on; monotonic


class Client(threading.Thread):
    def __init__(self, board, number):
        super().__init__(name=f"client {number}", daemon=True)
        self.board, self.number, self.requests = board, number, 0
        self.rng = random.Random(f"client {board.seed} {number}")
        self.error = None

    def run(self):
        try:
            while not self.board.over.is_set():
                self.ask_until_known(*self.next())
                time.sleep(self.rng.uniform(0, 0.06))
        except BaseException as error:
            self.error = error
            raise

    # ---- what is asked

    def invent(self):
        rng, brief = self.rng, self.rng.random() < 0.1
        size = rng.choice([0, 20, 200, 900, MOST_KEPT // 2, MOST_KEPT * 2 if rng.random() < 0.2 else 3000])
        ms = rng.choice([0, 0, 5, 20, 60, 200, 900 if rng.random() < 0.3 else 100])
        if self.board.leases and rng.random() < 0.04:
            ms = OUTLIVES_LEASE
        place = rng.choice(["act", "far"]) + ("/brief" if brief else "/lasting")
        body = rng.randbytes(rng.choice([0, 1, 300, 5000, 100000 if rng.random() < 0.2 else 40]))
        key = f"{self.number}-{len(self.board.operations)}-{rng.getrandbits(32):08x}"
        return Operation(key, f"/{place}?ms={ms}&size={size}", body, size, brief)

    def next(self):
        """An operation, and how many requests for it are sent at once: a new one, the newest of all, or any."""
        known, luck = self.board.operations, self.rng.random()
        if known and luck < 0.2:
            return known[-1], 1
        if known and luck < 0.35:
            return self.rng.choice(known), 1
        operation = self.invent()
        known.append(operation)
        return operation, self.rng.choice([1, 1, 1, 2, 3])

    # ---- asking

    def ask_until_known(self, operation, at_once=1):
        """Returns the last answer, which is no last word only if there was no more time."""
        while True:
            answers = self.ask(operation, at_once)
            known = [answer for answer in answers if answer.kind in LAST_WORDS]
            if known or time.monotonic() > self.board.give_up:
                return (known or answers)[-1]
            at_once = 1
            time.sleep(self.rng.uniform(0, 2 * PAUSE))

    def ask(self, operation, at_once):
        asked = [self.send(operation) for _ in range(at_once)]
        answers = [self.receive(operation, *sent) for sent in asked]
        self.board.answers.extend(answers)
        return answers

    def send(self, operation):
        self.requests += 1
        name, host, sent, conn = f"{self.number}.{self.requests}", self.requests % len(
            self.board.addresses), time.time(), None
        head = (
            f"POST {operation.path} HTTP/1.1\r\nHost: {HOST}\r\nIdempotency-Key: {operation.key}\r\nX-Request: "
            f"{name}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(operation.body)}\r\nConnection: close\r\n"
            f"\r\n"
        )
        try:
            conn = Connection(self.board.addresses[host])
            conn.sock.settimeout(PATIENCE)
            conn.send(head.encode() + operation.body)
        except OSError:
            pass  # not even a connection; or one that receive() will find broken
        return name, host, sent, conn

    def receive(self, operation, name, host, sent, conn):
        kind, nonce, digest, replayed = "lost" if conn else "refused", "-", "-", False
        if conn and self.rng.random() < 0.03:
            conn.reset()
        elif conn:
            try:
                response = conn.last_result()
                kind, nonce = kind_of(response, operation.size)
                digest = hashlib.sha256(repr(response.recorded).encode()).hexdigest()[:12]
                replayed = response.replayed
            except TimeoutError:
                kind = "timeout"
            except (OSError, http.client.HTTPException):
                pass
        return Answer(operation.key, name, sent, time.time(), kind, nonce, digest, replayed, host)


class Crowd:
    """All clients of a round."""

    def __init__(self, addresses, seed, leases, count=8):
        self.board = Board(addresses, seed, leases)
        self.clients = [Client(self.board, number) for number in range(count)]

    def start(self):
        for client in self.clients:
            client.start()

    def finish(self, seconds):
        """Nothing new is begun; all is well with the server again, so all must know within this time."""
        self.board.give_up = time.monotonic() + seconds
        self.board.over.set()
        for client in self.clients:
            client.join(seconds + 2 * PATIENCE)

    def ask_all(self, seconds):
        """The last pass: every key once more. Those whose life was brief have ended theirs."""
        self.board.give_up = time.monotonic() + seconds
        todo = collections.deque(op for op in self.board.operations if not op.brief)
        lock = threading.Lock()

        def work(client):
            while True:
                with lock:
                    if not todo:
                        return
                    operation = todo.popleft()
                client.ask_until_known(operation)
        threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 2 * PATIENCE)

    def errors(self):
        return [client.error for client in self.clients if client.error]

    def requests(self):
        return sum(client.requests for client in self.clients)
