# SPDX-License-Identifier: Apache-2.0
"""Includes go one way through the rooms of src/rooms: a file may include its own room and the rooms above it in that
list.

A driver's room knows include, src/base, src/core and src/store/common, and its headers are for its own files. httpd's
headers are for the rooms that the list marks so. They are also for the example of a store that is a module of its own,
which includes nothing of ours but the public header. APR and the C library are everybody's; LMDB and hiredis belong to
their drivers.
"""
import os
import re

import source

ROOMS = "src/rooms"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[>"]', re.MULTILINE)
EXAMPLE = "tests/store/example"  # a store of somebody else's
COMMON = "src/store/common"  # the last room below the drivers
# APR's own names, then what belongs to httpd although its name does not say so.
APR = re.compile(r"ap[ru]_\w+\.h$")
HTTPD = re.compile(r"(ap_\w+|http\w*|httpd|util_\w+|mod_\w+|mpm_\w+|scoreboard|unixd|cache_common|heartbeat)\.h$")
DRIVER_LIBRARIES = {"jansson.h": ("src/core", "src/ops"), "lmdb.h": ("src/store/lmdb",),
                    "hiredis/hiredis.h": ("src/store/redis",), "openssl/ssl.h": ("src/store/redis",),
                    "curl/curl.h": ("src/cli",)}
# Headers that httpd's glue must have of a driver: what its hooks call.
HOOKED = {"src/store/socache/socache.h"}


class Room:
    def __init__(self, rank, name, marks):
        self.rank, self.name = rank, name
        self.is_driver, self.knows_httpd = "driver" in marks, "httpd" in marks


def read_rooms():
    lines = [line.split() for line in source.text_of(ROOMS).splitlines() if line.strip() and not line.startswith("#")]
    rooms = {name: Room(rank, name, marks) for rank, (name, *marks) in enumerate(lines)}
    rooms[EXAMPLE] = Room(0, EXAMPLE, ["httpd"])
    return rooms


def room_of(rooms, path):
    """A header may have a place of its own in the list (src/http/log.h)."""
    return rooms.get(path) or rooms.get(os.path.dirname(path) or ".")


def complaint_of_ours(rooms, path, header):
    room, owner = room_of(rooms, path), room_of(rooms, header)
    if os.path.dirname(path) == os.path.dirname(header):
        return None
    if owner.is_driver and header not in HOOKED:
        return f'"{header}" is for the files of its own room'
    limit = rooms[COMMON].rank if room.is_driver else room.rank
    if owner.rank > limit:
        return f'"{header}" stands below {room.name} in {ROOMS}'
    return None


def complaint(rooms, path, quoted, name, headers):
    """Why this include is wrong, or None."""
    header = headers.get(os.path.basename(name))
    if quoted:
        return complaint_of_ours(rooms, path, header) if header else f'"{name}" is none of our headers'
    if header:
        return f"<{name}> is our own header: it is included with quotes"
    if APR.match(name):
        return None
    if HTTPD.match(name) and not room_of(rooms, path).knows_httpd:
        return f"<{name}> is httpd's: {os.path.dirname(path)} does not know httpd"
    homes = DRIVER_LIBRARIES.get(name, (os.path.dirname(path),))
    return None if os.path.dirname(path) in homes else f"<{name}> is for {' and '.join(homes)}"


def unique(headers_by_path):
    """Header names are unique in the tree; two of one name would depend on the order of the paths."""
    seen = {}
    for path in headers_by_path:
        other = seen.setdefault(os.path.basename(path), path)
        if other != path:
            yield f"{path}:1: {other} has the same name"


def main():
    rooms = read_rooms()
    paths = source.files("mod_idempotency.c", "include", "src", EXAMPLE, ends=(".c", ".h", ".def"))
    header_paths = [path for path in paths if not path.endswith(".c")]
    headers = {os.path.basename(path): path for path in header_paths}
    findings, seen = list(unique(header_paths)), 0
    for path in paths:
        if room_of(rooms, path) is None:
            findings.append(f"{path}:1: {os.path.dirname(path)} is no room of {ROOMS}")
            continue
        text = source.text_of(path)
        for match in INCLUDE.finditer(text):
            seen += 1
            wrong = complaint(rooms, path, match.group(1) == '"', match.group(2), headers)
            if wrong:
                findings.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {wrong}")
    source.finish("layers", findings, seen, "includes")


main()
