# SPDX-License-Identifier: Apache-2.0
"""
Has a process that got a signal obeyed it, with all of its threads?

A signal is obeyed by each thread on its own, and a busy machine takes its time: until then one may still accept a
connection, or answer. The first thread's state says nothing of the others.
"""
import contextlib
import os
import pathlib


def states(pid):
    """Of each thread: "R", "S", "T", "Z" and so on. No process has none."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append(pathlib.Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(") ")[2][0])
    return found


def stands_still(pid):
    """Also where it has ended: then no thread goes on, either."""
    return all(state in "TtZX" for state in states(pid))


def has_ended(pid):
    """Nothing of it runs, and what it had open is closed; its parent may not have buried it yet."""
    return all(state in "ZX" for state in states(pid))
