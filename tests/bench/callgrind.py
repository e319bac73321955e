# SPDX-License-Identifier: Apache-2.0
"""
What valgrind saw in one section of a run: instructions of each function, calls of malloc, system calls.

Reads a dump of callgrind, written with --compress-strings=no --compress-pos=no, and a log with --trace-syscalls=yes.
Used by perf_check.py.
"""
import collections
import os
import re

ALLOCATING = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign")
SYSTEM_CALL = re.compile(r"^SYSCALL\[\d+,\d+\]\(\s*\d+\) (?:sys_)?(\w+)")
MARK = re.compile(r"\bmark (\S+)$")
# Without valgrind these are no system calls: the C library reads the clock where the kernel shows it.
CLOCKS = {"gettimeofday", "clock_gettime", "time"}


def name_of(name, library):
    """Of a function, without what callgrind says of its recursion; one without a name is known by its place."""
    name = name.split("'")[0]
    return f"{os.path.basename(library)}+{int(name, 16):#x}" if name.startswith("0x") else name


def read_dump(path):
    """Counter of instructions by function, and how often functions of ALLOCATING were called."""
    costs, allocations = collections.Counter(), 0
    function, library, called, is_call = None, "", None, False
    with open(path) as dump:
        for line in dump:
            key, _, value = line.strip().partition("=")
            if key == "ob":
                library = value
            elif key == "fn":
                function = name_of(value, library)
            elif key == "cfn":
                called = value.split("'")[0]
            elif key == "calls":
                allocations += int(value.split()[0]) if called in ALLOCATING else 0
                is_call = True  # the next line has what was spent in the call
            elif line[0].isdigit() or line[0] in "+-*":
                costs[function] += 0 if is_call else int(line.split()[1])
                is_call = False
    return costs, allocations


def read_system_calls(path):
    """For each mark, the system calls by name that were made since the mark before it."""
    sections, here = {}, collections.Counter()
    with open(path, errors="replace") as log:
        for line in log:
            call, mark = SYSTEM_CALL.match(line), MARK.search(line)
            if call and call[1] not in CLOCKS:
                here[call[1]] += 1
            elif mark:
                sections[mark[1]], here = here, collections.Counter()
    return sections


def dumps_by_mark(folder):
    """Mark -> the file with what was counted before it."""
    found = {}
    for path in folder.glob("callgrind.*.*"):
        with open(path) as dump:
            for line in dump:
                if line.startswith("desc: Trigger: Client Request: "):
                    found[line.split(": ")[3].strip()] = path
                if line.startswith("fn="):
                    break
    return found
