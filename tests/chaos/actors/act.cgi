#!/usr/bin/python3 -ESs
"""The CGI origin. Few imports: what it costs to start is what limits the number of executions."""
import os
import sys

from act import act


def main():
    env = os.environ
    while sys.stdin.buffer.read(65536):
        pass  # mod_cgid wants its script to read everything
    who = [env.get(name) or "-" for name in ("HTTP_IDEMPOTENCY_KEY", "HTTP_X_REQUEST", "HTTP_X_OWNER", "IDEMPOTENCY_TOKEN",
                                             "IDEMPOTENCY_ATTEMPT", "IDEMPOTENCY_SLOT")]
    nonce, body = act(env["ORIGIN_STAGE"] + "/ledger", env["QUERY_STRING"], [*who, "cgi"])
    sys.stdout.buffer.write(f"Status: 201 Created\r\nX-Nonce: {nonce}\r\nContent-Type: application/json\r\n\r\n".encode() + body)


main()
