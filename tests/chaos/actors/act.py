# SPDX-License-Identifier: Apache-2.0
"""What is done for a key, by the CGI script and by the HTTP backend: two lines in the ledger with some time between
them.

The lines of one execution share a nonce that nobody else has, and the answer carries it: so every answer names the
execution it comes from. A line is one write to a file opened for appending, so lines of many processes never mix.

    begin TIME NONCE KEY REQUEST OWNER TOKEN ATTEMPT SLOT PLACE     before acting; TIME in seconds
    end TIME NONCE                                                  after it

REQUEST is the client's name of the request that is executed, OWNER the process of httpd that executes it. An unknown
word is "-".
"""
import os
import time


def enter(ledger, *words):
    line = " ".join(words).encode() + b"\n"
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND)
    os.write(file, line)
    os.close(file)


def told(query):
    return dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)


def act(ledger, query, who):
    """who: KEY REQUEST OWNER TOKEN ATTEMPT SLOT PLACE. Returns the nonce and a body that shows whether it is whole."""
    asked, nonce = told(query), os.urandom(8).hex()
    enter(ledger, "begin", f"{time.time():.6f}", nonce, *who)
    time.sleep(int(asked["ms"]) / 1000)
    enter(ledger, "end", f"{time.time():.6f}", nonce)
    return nonce, f'{{"nonce": "{nonce}", "pad": "{"x" * int(asked["size"])}"}}\n'.encode()
