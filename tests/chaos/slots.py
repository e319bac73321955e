# SPDX-License-Identifier: Apache-2.0
"""The slot of a key, made here a second time: it tells which log lines are about the key, and which server of a store
has it.
"""
import hashlib

HOST = "chaos.test"


def part(value):
    """Its length and itself; what is absent has a length of its own."""
    return b"\xff" * 8 if value is None else len(value).to_bytes(8, "big") + value


def slot_of(key):
    """In the usual scope: host and user, of which there is none."""
    scope = [b"host", HOST.encode(), b"user", None]
    return hashlib.sha256(b"\0\0\0\2" + b"".join(map(part, [*scope, key.encode()]))).digest()


def name_of(key):
    """As it is logged."""
    return slot_of(key)[:4].hex()
