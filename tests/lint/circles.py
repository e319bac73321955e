# SPDX-License-Identifier: Apache-2.0
"""No two source files call each other: not directly, and not in a round of several.

Objects say who calls whom: what one leaves undefined, another one defines. Functions that are handed over as pointers
count as calls, too. A round of files can be understood only as a whole, so it is one file too many or one callback too
few.
"""
import os
import subprocess
import sys

import source


def objects(build):
    for folder, _, names in os.walk(os.path.join(source.ROOT, build, "src")):
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".o"))


def symbols(path):
    """(defined, undefined) of one object."""
    listing = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return {row[2] for row in rows if len(row) == 3 and row[1] in "TDBR"}, {row[1] for row in rows if row[0] == "U"}


def calls(build):
    """{file: files whose symbols it uses}"""
    tables, home = {}, {}
    for path in objects(build):
        name = os.path.relpath(path, os.path.join(source.ROOT, build))[:-2] + ".c"
        if not os.path.exists(os.path.join(source.ROOT, name)):
            continue  # a second object of the same source, or one that is gone
        tables[name] = symbols(path)
        home.update(dict.fromkeys(tables[name][0], name))
    return {name: {home[symbol] for symbol in used if symbol in home} - {name} for name, (_, used) in tables.items()}


def rounds(graph):
    """The strongly connected parts of more than one file (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def main():
    graph = calls(sys.argv[1] if len(sys.argv) > 1 else "build")
    findings = [f"{part[0]}:1: these files call each other: {', '.join(part)}" for part in rounds(graph)]
    source.finish("circles", findings, len(graph), "files")


main()
