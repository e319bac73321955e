# SPDX-License-Identifier: Apache-2.0
"""
The bytes of an lmdb store, as whoever can read and write its file sees them: entries are found by their heads.

Pages that are free still hold what was there before, so one entry may be found more than once.
"""
import hashlib

import xxhash

LEASE, RECORD, TOMBSTONE, UNKNOWN = 1, 2, 3, 4
HEAD, SUM, LONGEST = 320, 16, 1 << 16
MARK = hashlib.sha256(b"mod_idempotency: the mark of the slot secret").digest()


class Entry:
    def __init__(self, offset, data):
        self.offset, self.data = offset, data
        self.state, self.flags, self.slot = data[5], int.from_bytes(data[6:8], "big"), data[32:64]

    def copy(self):
        return bytearray(self.data)


def summing(data):
    """What makes the checksum of a value of data's version, fed with data."""
    return hashlib.sha256(data) if data[4] in (1, 2) else xxhash.xxh3_128(data)


def checksum(data):
    return summing(data).digest()[:SUM]


def length_of(raw, start):
    """Where the checksum says that the value ends; None if nothing there is a value."""
    digest = summing(raw[start:start + HEAD])
    for length in range(HEAD, min(LONGEST, len(raw) - start - SUM)):
        if digest.digest()[:SUM] == raw[start + length:start + length + SUM]:
            return length + SUM
        digest.update(raw[start + length:start + length + 1])
    return None


class RawStore:
    def __init__(self, server):
        self.path = server.root / "store" / "data.mdb"

    def bytes(self):
        return self.path.read_bytes()

    def entries(self, state=None):
        raw, found, start = self.bytes(), [], -1
        while (start := raw.find(b"IDEM", start + 1)) >= 0:
            length = length_of(raw, start) if raw[start + 4:start + 5] in (b"\1", b"\2", b"\3", b"\4") else None
            if length and state in (None, raw[start + 5]):
                found.append(Entry(start, raw[start:start + length]))
        return found

    def records(self):
        return self.entries(RECORD)

    def put(self, entry, data, right_sum=True):
        """Writes data where entry stands; it has entry's length."""
        assert len(data) == len(entry.data)
        if right_sum:
            data[-SUM:] = checksum(data[:-SUM])
        with open(self.path, "r+b") as file:
            file.seek(entry.offset)
            file.write(data)
