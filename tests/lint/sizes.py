# SPDX-License-Identifier: Apache-2.0
"""Hard limits of size: 80 lines a function, 500 a file, 6 parameters. The aim is far below: CONTRIBUTING.md."""
import ast
import json
import os
import subprocess

import source

FUNCTION_LINES = 80
FILE_LINES = 500
PARAMETERS = 6
# Callbacks whose parameters somebody else chose: name, type.
DICTATED = {"on_entry": "ap_socache_iterator_t"}


def parameters_of(signature):
    """How many parameters "(int a, void (*f)(int, int))" has."""
    inside, depth, count = signature.strip()[1:-1].strip(), 0, 1
    if inside in ("", "void"):
        return 0
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        count += letter == "," and depth == 0
    return count


def c_functions(paths):
    command = [
        "ctags", "--output-format=json", "--fields=+neS", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "-f", "-",
        *paths
    ]
    listing = subprocess.run(command, cwd=source.ROOT, check=True, capture_output=True, text=True).stdout
    for tag in map(json.loads, listing.splitlines()):
        yield tag["path"], tag["name"], tag["line"], tag["end"] - tag["line"] + 1, parameters_of(tag["signature"])


def python_functions(paths):
    for path in paths:
        for node in ast.walk(ast.parse(source.text_of(path), path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path, node.name, node.lineno, node.end_lineno - node.lineno + 1, 0


def main():
    c_paths = source.c_files()
    python_paths = source.files(ends=(".py",))
    findings, functions = [], 0
    for path, name, line, lines, parameters in [*c_functions(c_paths), *python_functions(python_paths)]:
        functions += 1
        if lines > FUNCTION_LINES:
            findings.append(f"{path}:{line}: {name} has {lines} lines, the limit is {FUNCTION_LINES}")
        if parameters > PARAMETERS and name not in DICTATED:
            findings.append(f"{path}:{line}: {name} has {parameters} parameters, the limit is {PARAMETERS}")
    for path in [*c_paths, *python_paths, *source.files(ends=(".sh", "Makefile", ".mk"))]:
        lines = source.text_of(path).count("\n")
        if lines > FILE_LINES:
            findings.append(f"{path}:1: {lines} lines, the limit is {FILE_LINES}")
    if not c_paths or not os.path.isdir(os.path.join(source.ROOT, "src")):
        functions = 0
    source.finish("sizes", findings, functions, "functions")


main()
