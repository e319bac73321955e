# SPDX-License-Identifier: Apache-2.0
"""A wall clock that is wrong: for httpd on one host, or for a store's server; shifted_clock.c is what gives it to them.
"""
import os
import struct
import tempfile

import env

LIBRARY = env.MODULE.parent / "shifted_clock.so"


class Clock:
    def __init__(self, stage, seconds=0):
        self.file, self.path = tempfile.mkstemp(prefix="clock", dir=stage.root)
        os.chmod(self.path, 0o644)
        self.set(seconds)

    def set(self, seconds):
        """From now on it is ahead by so much, as when an administrator has just set it."""
        os.pwrite(self.file, struct.pack("=q", int(seconds * 10**9)), 0)

    @property
    def environment(self):
        """What a program is started with that goes by this clock."""
        assert LIBRARY.exists(), f"{LIBRARY} is not built"
        return {"LD_PRELOAD": str(LIBRARY), "SHIFTED_CLOCK": self.path}

    def close(self):
        os.close(self.file)
        os.unlink(self.path)
