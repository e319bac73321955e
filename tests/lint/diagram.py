"""Is the state diagram in docs/design.md the one that the lease table gives?

The program named on the command line prints the diagram from the table; with --write the document is brought up to date.
"""
import subprocess
import sys

import source

DOCUMENT = "docs/design.md"
BEGIN, END = "<!-- lease:begin -->", "<!-- lease:end -->"


def main():
    printed = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
    text = source.text_of(DOCUMENT)
    if BEGIN not in text or END not in text:
        source.finish("diagram", [f"{DOCUMENT}:1: the markers {BEGIN} and {END} are gone"], 1, "diagram")
    head, rest = text.split(BEGIN, 1)
    old, tail = rest.split(END, 1)
    if "--write" in sys.argv[2:]:
        with open(f"{source.ROOT}/{DOCUMENT}", "w", encoding="utf-8") as file:
            file.write(f"{head}{BEGIN}\n{printed}{END}{tail}")
        old = f"\n{printed}"
    stale = [] if old == f"\n{printed}" else [f"{DOCUMENT}:1: the diagram is not the table's: make diagram"]
    source.finish("diagram", stale, len(printed.split()), "words of diagram")


main()
