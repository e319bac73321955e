# SPDX-License-Identifier: Apache-2.0
"""
A proxy between a client and a server that loses what a test tells it to.

Each connection brings one request. Its fate is the next of fates, "pass" when there are no more:

pass    the answer goes to the client
lose    the server has answered, and the client's connection is reset before a byte of it
504     the server has answered, and the client is told by the proxy that it has not
cut     half of the answer goes to the client, then the connection is reset
refuse  the connection is reset before the server has heard of the request

attempts has the time at which each request was there, and its head. Fates are for requests whose line begins with
only=.
With tls= the proxy speaks TLS to the client.
"""
import re
import socket
import socketserver
import struct
import threading
import time

import env


def read_request(stream):
    """Head and body, as they came; empty if the client went away."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b"", b""
        head += line
    if re.search(rb"(?im)^transfer-encoding:.*chunked", head):
        return head, b"".join(chunks_of(stream))
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    return head, stream.read(int(length.group(1))) if length else b""


def chunks_of(stream):
    """Each line and each piece of a chunked body, up to the empty line behind its trailers."""
    while True:
        line = stream.readline()
        yield line
        size = int(line.split(b";")[0], 16)
        yield stream.read(size + 2) if size else b""
        if not size:
            while line != b"\r\n":
                line = stream.readline()
                yield line
            return


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            head, body = read_request(self.rfile)
            if head:
                self.serve(head, body)
        except ConnectionError:
            pass  # the client went away

    def serve(self, head, body):
        fate = self.server.next_fate(head)
        if fate == "refuse":
            return self.reset()
        answer = self.ask(head, body)
        if fate == "504":
            answer = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if fate == "lose":
            return self.reset()
        self.wfile.write(answer[:len(answer) // 2] if fate == "cut" else answer)
        if fate == "cut":
            self.reset()

    def ask(self, head, body):
        """The whole answer of the server, which ends with its connection."""
        head = re.sub(rb"(?im)^(connection|keep-alive):[^\n]*\n", b"", head)
        with socket.create_connection(self.server.upstream, env.CLIENT_TIMEOUT) as upstream:
            upstream.sendall(head[:-2] + b"Connection: close\r\n\r\n" + body)
            with upstream.makefile("rb") as stream:
                return stream.read()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # a socket is closed with the last file that is made of it
        self.connection.close()


class Lossy(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, upstream, fates=(), only="POST ", tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.fates, self.only, self.tls = upstream, list(fates), only, tls
        self.attempts, self.guard = [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        """In the request's own thread: a handshake that hangs holds up nobody else."""
        if self.tls:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)
        request.close()

    def next_fate(self, head):
        if not head.decode("latin-1").startswith(self.only):
            return "pass"
        with self.guard:
            self.attempts.append((time.monotonic(), head))
            return self.fates.pop(0) if self.fates else "pass"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
