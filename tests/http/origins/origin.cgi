#!/usr/bin/python3 -ESs
"""
The CGI origin: reads all of its standard input, as mod_cgid wants it.

exit= is the code it exits with; with head= it writes that instead of its answer.
"""
import os
import sys

from answer import asked_of, execute, pieces


def main():
    env = os.environ
    request = {"kind": "cgi", "method": env["REQUEST_METHOD"], "path": env.get("PATH_INFO", "/"),
               "query": env.get("QUERY_STRING", "")}
    request.update((name, value) for name, value in env.items() if name.startswith("IDEMPOTENCY_"))
    sent = {name: value for name, value in env.items() if name.startswith(("HTTP_", "CONTENT_", "REDIRECT_"))}
    chunks = iter(lambda: sys.stdin.buffer.read(65536), b"")
    status, reason, fields, body = execute(env["ORIGIN_STAGE"], request, sent, chunks)
    told = dict(asked_of(request["query"]))
    if "head" in told:
        sys.stdout.write(told["head"])
        sys.exit(int(told.get("exit", 0)))
    if status:
        fields.insert(0, ("Status", f"{status} {reason}".strip()))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    out = sys.stdout.buffer
    out.write(head.encode())
    out.flush()
    for piece in pieces(env["ORIGIN_STAGE"], request, body):
        out.write(piece)
        out.flush()
    sys.exit(int(told.get("exit", 0)))


main()
