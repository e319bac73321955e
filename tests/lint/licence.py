# SPDX-License-Identifier: Apache-2.0
"""Each source file names its licence in its first two lines, as LICENSE says (SPDX)."""
import source

LINE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = (".c", ".h", ".py", ".sh", ".mk", "Makefile")


def main():
    paths = source.files(ends=SOURCES)
    findings = [f"{path}:1: lacks the line {LINE}" for path in paths
                if not any(LINE in line for line in source.text_of(path).split("\n")[:2])]
    source.finish("licence", findings, len(paths), "files")


main()
