# SPDX-License-Identifier: Apache-2.0
"""
The HTTP backend behind mod_proxy: it outlives every child of httpd, and goes on acting for a request whose child was
killed.

It lives in the process of the harness. It is never told the lease's token: httpd's environment ends at httpd.
"""
import contextlib
import http.server
import threading
from urllib.parse import urlsplit

from actors.act import act
from origin import Backend

TOLD = ("Idempotency-Key", "X-Request", "X-Owner", "", "", ""
        )  # in the order of act.py; token, attempt and slot are not


class Far(Backend):
    def do_POST(self):
        for _ in self.chunks():
            pass
        who = [self.headers.get(name) or "-" for name in TOLD]
        nonce, body = act(self.server.ledger, urlsplit(self.path).query, [*who, "far"])
        self.send_response_only(201)
        for name, value in (("X-Nonce", nonce), ("Content-Type", "application/json"), ("Content-Length",
                                                                                       str(len(body)))):
            self.send_header(name, value)
        with contextlib.suppress(ConnectionError):  # its child of httpd was killed
            self.end_headers()
            self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # nobody is ever refused: a backend that is down is another test's matter

    def handle_error(self, request, client_address):
        pass  # a connection that a killed child left behind


def start(ledger):
    server = Server(("", 0), Far)  # each host has its own way here
    server.ledger = str(ledger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
