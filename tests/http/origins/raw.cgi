#!/usr/bin/python3 -ESs
"""
A script that writes to the byte what its query says in hexadecimal digits. "*N" behind a piece repeats it, with the repetition's
number for each #.
"""
import os
import sys

sys.stdin.buffer.read()
with open(os.environ["ORIGIN_STAGE"] + "/ledger", "a") as ledger:
    ledger.write('{"path": "/raw"}\n')
for piece in os.environ["QUERY_STRING"].split("&"):
    digits, _, times = piece.partition("*")
    for number in range(int(times or 1)):
        sys.stdout.buffer.write(bytes.fromhex(digits).replace(b"#", b"%d" % number))
