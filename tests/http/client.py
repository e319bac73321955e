# SPDX-License-Identifier: Apache-2.0
"""An HTTP client that sends exactly what a test says and reports exactly what came back.

A request goes out whole or piece by piece on a socket of its own; the answer is read when the test asks for it, so a
request under way needs no thread.
"""
import http.client
import json as json_module
import socket
import struct

import env

# What a replay need not repeat, and what belongs to the connection.
NOT_RECORDED = {
    "date", "server", "connection", "upgrade", "keep-alive", "transfer-encoding", "content-length",
    "idempotent-replayed"
}


class Response:
    def __init__(self, raw):
        self.version, self.status, self.reason = raw.version, raw.status, raw.reason
        self.headers = list(raw.msg.items())
        self.body = raw.read()

    def all(self, name):
        return [value for field, value in self.headers if field.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def json(self):
        return json_module.loads(self.body)

    @property
    def replayed(self):
        return self.all("Idempotent-Replayed") == ["true"]

    @property
    def problem(self):
        """(409, "in-progress"), or (201, None) for an answer that is not the module's own."""
        return self.status, self["Idempotency-Error"]

    @property
    def recorded(self):
        """All that a replay must repeat. Fields of one name keep their order; httpd orders the names as it likes."""
        fields = [(name.lower(), value) for name, value in self.headers if name.lower() not in NOT_RECORDED]
        return self.status, self.reason, sorted(fields, key=lambda field: field[0]), self.body

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:200]}>"


class Connection:
    def __init__(self, address):
        self.sock = socket.create_connection(address, env.CLIENT_TIMEOUT)

    def send(self, data):
        self.sock.sendall(data)

    def result(self, method="POST"):
        raw = http.client.HTTPResponse(self.sock, method=method)
        raw.begin()
        return Response(raw)

    def last_result(self):
        with self:
            return self.result()

    def reset(self):
        """Closes with RST, as a client does that crashed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Api:
    """Requests to one server. Each test has its own host name, so equal keys of two tests are never the same key."""

    def __init__(self, address, host, base="/cgi", headers=()):
        self.address, self.host, self.base, self.headers = address, host, base, list(headers)

    def at(self, base):
        return Api(self.address, self.host, base, self.headers)

    def with_headers(self, *headers):
        return Api(self.address, self.host, self.base, self.headers + list(headers))

    def head(self, method, path, headers, version="HTTP/1.1"):
        """The request's head, to the byte; a header is a pair, or a line as it is."""
        lines = [f"{method} {self.base}{path} {version}", f"Host: {self.host}"]
        lines += [": ".join(header) if isinstance(header, tuple) else header for header in self.headers + list(headers)]
        return "\r\n".join(lines + ["", ""]).encode("latin-1")

    def connect(self):
        return Connection(self.address)

    def start(self, method, path, key=None, json=None, body=None, headers=(), version="HTTP/1.1", conn=None):
        """Sends a request; result() of what is returned reads its answer."""
        headers = list(headers)
        if key is not None:
            headers.append(("Idempotency-Key", f'"{key}"'))
        if json is not None:
            body = json_module.dumps(json).encode()
            headers.append(("Content-Type", "application/json"))
        if body is not None or method in ("POST", "PUT", "PATCH"):
            headers.append(("Content-Length", str(len(body or b""))))
        conn = conn or self.connect()
        conn.send(self.head(method, path, headers, version) + (body or b""))
        return conn

    def request(self, method, path, **more):
        with self.start(method, path, **more) as conn:
            return conn.result(method)

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)

    def post_async(self, path, **more):
        return self.start("POST", path, **more)
