# SPDX-License-Identifier: Apache-2.0
"""The scenes in which calls fail. Each has a request that fails, the same request again, and the steps before it.

A scene is a class; one object of it is one injection, with a path and a key of its own. prepare() is undisturbed,
armed() is the request with the fault, retry() the client's next try. `most` is how often the key may be executed by all
of them together.
"""
import contextlib
import http.client
import socket

from client import Api

BODY, LONG_BODY, HUGE_BODY = b"1", b"s" * 40000, b"h" * 150000
CONFIG = """
LoadModule idem_origin_module {modules}/mod_idem_origin.so
LoadModule idem_faults_module {modules}/mod_idem_faults.so
MaxMemFree 1
IdempotencyPrefetch 4K
IdempotencySpool 64K
IdempotencyMaxResponse 16K
IdempotencyInterrupted {policy}
IdempotencyLease 2s
<Location /rw>
    SetHandler idem-origin
</Location>
<Location /stream>
    SetHandler idem-origin
    IdempotencyResponse stream
</Location>
<Location /wait>
    SetHandler idem-origin
    IdempotencyConcurrent wait
</Location>
"""


class Scene:
    base, query, body, most = "/rw", "", BODY, 1
    told = (201, None)  # by a request that nothing disturbs
    too_long = False  # to be kept

    def __init__(self, address, number):
        self.path = f"/s{number}"
        self.api = Api(address, "faults.test", self.base)

    def start(self, body=None, headers=()):
        return self.api.start("POST", self.path + self.query, key=f"k{self.path}", headers=list(headers),
                              body=self.body if body is None else body)

    def send(self, body=None, headers=()):
        """The answer, or None where the connection ended without a whole one."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.start(body, headers).last_result()

    def prepare(self, origin):
        pass

    def armed(self):
        return self.send(headers=["X-Fault: 1"])

    def retry(self):
        return self.send()

    def finish(self):
        pass


class First(Scene):
    """Claim, run, record."""


class Sealed(First):
    """The same; the sweep gives such stores a secret."""


class Spooled(Scene):
    """The body is kept in a temporary file."""
    body = LONG_BODY


class Passed(Scene):
    """The body is longer than the spool: hashed while the handler reads it."""
    body = HUGE_BODY


class Oversize(Scene):
    """The response is too long to be kept: a tombstone."""
    query, too_long = "?size=40000", True


class Streamed(Scene):
    """The response flows while it is recorded."""
    base, query = "/stream", "?size=9000&parts=3"


class Released(Scene):
    """The application says that it did nothing: each try executes."""
    query, told, most = "?status=503", (503, None), 1000


class Proxied(Scene):
    """The origin is a backend of mod_proxy_http."""
    base = "/proxy"


class Replay(Scene):
    """The answer is there already."""
    def prepare(self, origin):
        self.kept = self.send()
        assert self.kept.status == 201, self.kept


class LongReplay(Replay):
    """The body is longer than the spool, and the answer is there already."""
    body = HUGE_BODY


class Conflict(Replay):
    """The key is used for another request."""
    told = (422, "key-reused")

    def armed(self):
        return self.send(body=b"2", headers=["X-Fault: 1"])


class Busy(Scene):
    """The first request is still under way, and ends undisturbed."""
    told = (409, "in-progress")

    def prepare(self, origin):
        self.gate = origin.hold(self.path)
        self.gate.__enter__()
        self.first = self.start()
        self.gate.wait_until_entered()

    def finish(self):
        self.gate.let_go()
        self.kept = None  # if its child died of the other one's fault
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.kept = self.first.last_result()
        self.gate.__exit__()


class Takeover(Scene):
    """An upload that broke off under its handler has left an unknown outcome."""
    body, most = HUGE_BODY, 2

    def prepare(self, origin):
        with self.api.connect() as conn:
            conn.send(
                self.api.head("POST", self.path,
                              [f'Idempotency-Key: "k{self.path}"', f"Content-Length: {len(self.body)}"]) +
                self.body[:70000])
            conn.sock.shutdown(socket.SHUT_WR)
            while conn.sock.recv(4096):
                pass


def every_scene(base=Scene):
    for scene in base.__subclasses__():
        yield scene
        yield from every_scene(scene)


SCENES = {scene.__name__.lower(): scene for scene in every_scene()}
