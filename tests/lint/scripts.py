# SPDX-License-Identifier: Apache-2.0
"""Every Python file compiles, and every shell script parses, without leaving anything behind."""
import ast
import os
import subprocess

import source

INTERPRETERS = {"sh": ["sh", "-n"], "bash": ["bash", "-n"]}
NAMES = {".py": "python3", ".sh": "bash"}  # of files that others import or source


def interpreter_of(path):
    """The word behind #! of a script without its folder, or what the name says."""
    with open(os.path.join(source.ROOT, path), "rb") as file:
        first = file.readline(100)
    if first.startswith(b"#!"):
        return os.path.basename(first.split()[-1].decode())
    return NAMES.get(os.path.splitext(path)[1])


def main():
    findings, looked_at = [], 0
    for path in source.files():
        kind = interpreter_of(path)
        if kind == "python3":
            looked_at += 1
            try:
                ast.parse(source.text_of(path), path)
            except SyntaxError as error:
                findings.append(f"{path}:{error.lineno}: {error.msg}")
        elif kind in INTERPRETERS:
            looked_at += 1
            run = subprocess.run([*INTERPRETERS[kind], path],
                                 cwd=source.ROOT,
                                 capture_output=True,
                                 text=True,
                                 check=False)
            if run.returncode:
                findings.append(f"{path}:1: {run.stderr.strip()}")
    source.finish("scripts", findings, looked_at, "scripts")


main()
