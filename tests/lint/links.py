# SPDX-License-Identifier: Apache-2.0
"""Every link of a document leads to something that is there: a file, a folder, a heading's anchor.

An anchor is what GitHub makes of a heading. Links to other hosts are not followed.
"""
import os
import re

import source

FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^(#{1,6}) (.*?)(?: #+)?$")
LINK = re.compile(r"\[(?:[^][]|\[[^][]*\])*\]\(\s*<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE = re.compile(r"`[^`]*`")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")


def prose(path):
    """(number, line) of what stands outside of blocks of code."""
    fenced = False
    for number, line in enumerate(source.text_of(path).split("\n"), 1):
        fence = bool(FENCE.match(line))
        if not fenced and not fence:
            yield number, line
        fenced = fenced != fence


def anchor_of(heading):
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(path):
    found, seen = set(), {}
    for _, line in prose(path):
        match = HEADING.match(line)
        if match:
            name = anchor_of(match[2])
            found.add(name if name not in seen else f"{name}-{seen[name]}")
            seen[name] = seen.get(name, 0) + 1
    return found


def links(path):
    """A link may go over the end of a line; code is no link."""
    lines = [(number, CODE.sub(lambda code: "x" * len(code[0]), line)) for number, line in prose(path)]
    text, starts = "", []
    for number, line in lines:
        starts.append((len(text), number))
        text += line + "\n"
    for match in LINK.finditer(text):
        yield max(number for start, number in starts if start <= match.start()), match[1]


def fault_of(path, target):
    file, _, anchor = target.partition("#")
    there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
    if there.startswith(".."):
        return f"{target} leads out of the project"
    if not os.path.exists(os.path.join(source.ROOT, there)):
        return f"{target} leads nowhere"
    if anchor and (not there.endswith(".md") or anchor not in anchors(there)):
        return f"{target}: there is no such heading"
    return None


def main():
    findings, looked_at = [], 0
    for path in source.files(ends=(".md",)):
        for number, target in links(path):
            if ELSEWHERE.match(target):
                continue
            looked_at += 1
            fault = fault_of(path, target)
            if fault:
                findings.append(f"{path}:{number}: {fault}")
    source.finish("links", findings, looked_at, "links")


main()
