#!/usr/bin/python3 -ESs
"""The CGI origin: reads all of its standard input, as mod_cgid wants it."""
import os
import sys

from answer import execute, pieces


def main():
    env = os.environ
    request = {"kind": "cgi", "method": env["REQUEST_METHOD"], "path": env.get("PATH_INFO", "/"),
               "query": env.get("QUERY_STRING", "")}
    request.update((name, value) for name, value in env.items() if name.startswith("IDEMPOTENCY_"))
    sent = {name: value for name, value in env.items() if name.startswith(("HTTP_", "CONTENT_", "REDIRECT_"))}
    chunks = iter(lambda: sys.stdin.buffer.read(65536), b"")
    status, reason, fields, body = execute(env["ORIGIN_STAGE"], request, sent, chunks)
    if status:
        fields.insert(0, ("Status", f"{status} {reason}".strip()))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    out = sys.stdout.buffer
    out.write(head.encode())
    for piece in pieces(env["ORIGIN_STAGE"], request, body):
        out.flush()
        out.write(piece)
        out.flush()


main()
