"""Includes go strictly downwards: include <- src/core <- src/store <- src/http <- mod_idempotency.c.

The core knows APR, libcrypto and the C library; the store layer LMDB as well; httpd's headers are for src/http,
mod_idempotency.c, the one driver that is made of httpd's own caches, and the example of a store that is a module of its own,
which includes nothing of ours but the public header.
"""
import os
import re

import source

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
EXAMPLE = "tests/store/example"  # a store of somebody else's
RANK = {"include": 0, EXAMPLE: 0, "src/core": 1, "src/store": 2, "src/http": 3, "src/cli": 3, ".": 4}
HTTPD_ALLOWED = {"src/http", ".", EXAMPLE}
HTTPD_FILES = "src/store/driver_socache"
# APR's own names, then what belongs to httpd although its name does not say so.
APR = re.compile(r"ap[ru]_\w+\.h$")
HTTPD = re.compile(r"(ap_\w+|http\w*|httpd|util_\w+|mod_\w+|mpm_\w+|scoreboard|unixd|cache_common|heartbeat)\.h$")
DRIVER_LIBRARIES = {"lmdb.h": "src/store/driver_lmdb", "hiredis/hiredis.h": "src/store/driver_redis"}


def owner_of(headers, name):
    """The folder of our own header of that name, or None."""
    return headers.get(os.path.basename(name))


def complaint(path, folder, quoted, name, headers):
    """Why this include is wrong, or None."""
    owner = owner_of(headers, name)
    if quoted:
        if owner is None:
            return f'"{name}" is none of our headers'
        if RANK[owner] > RANK[folder]:
            return f'"{name}" belongs to {owner}, which is above {folder}'
        if {folder, owner} == {"src/http", "src/cli"}:
            return f'"{name}" belongs to {owner}; the command-line tool does without httpd'
        return None
    if owner is not None:
        return f"<{name}> is our own header: it is included with quotes"
    if APR.match(name):
        return None
    if HTTPD.match(name) and folder not in HTTPD_ALLOWED and not path.startswith(HTTPD_FILES):
        return f"<{name}> is httpd's: {folder} does not know httpd"
    home = DRIVER_LIBRARIES.get(name)
    if home and not path.startswith(home):
        return f"<{name}> is for {home}*.c"
    return None


def main():
    paths = source.files("mod_idempotency.c", "include", "src", EXAMPLE, ends=(".c", ".h", ".def"))
    headers = {os.path.basename(path): os.path.dirname(path) for path in paths if not path.endswith(".c")}
    findings, seen = [], 0
    for path in paths:
        folder, text = os.path.dirname(path) or ".", source.text_of(path)
        if folder not in RANK:
            findings.append(f"{path}:1: {folder} is no layer")
            continue
        for match in INCLUDE.finditer(text):
            seen += 1
            wrong = complaint(path, folder, match.group(1) == '"', match.group(2), headers)
            if wrong:
                line = text.count("\n", 0, match.start()) + 1
                findings.append(f"{path}:{line}: {wrong}")
    source.finish("layers", findings, seen, "includes")


main()
