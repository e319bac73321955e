# SPDX-License-Identifier: Apache-2.0
"""A loss of power, for servers whose files only grow: of each file remains what had been flushed when it came
(flushed.c).
"""
import os
import pathlib
import tempfile

import env

LIBRARY = env.MODULE.parent / "flushed.so"


class Power:
    def __init__(self, stage):
        file, path = tempfile.mkstemp(prefix="flushed", dir=stage.root)
        os.fchmod(file, 0o666)  # some servers change their user
        os.close(file)
        self.log = pathlib.Path(path)
        assert LIBRARY.exists(), f"{LIBRARY} is not built"
        self.environment = {"LD_PRELOAD": str(LIBRARY), "FLUSHED_LOG": str(self.log)}

    def flushes(self, path=None):
        """How often something was flushed, or this file."""
        inodes = [int(line.split()[0]) for line in self.log.read_text().splitlines()]
        return inodes.count(path.stat().st_ino) if path else len(inodes)

    def fails(self, folder):
        """The server has been killed; what it had not flushed of the files below its folder is taken away."""
        safe = dict(map(int, line.split()) for line in self.log.read_text().splitlines())
        for path in folder.rglob("*"):
            if path.is_file() and path.name != "output":
                os.truncate(path, min(safe.get(path.stat().st_ino, 0), path.stat().st_size))
