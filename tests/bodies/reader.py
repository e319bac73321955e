# SPDX-License-Identifier: Apache-2.0
"""Asks build/read_bodies, all questions at once."""
import os
import pathlib
import struct
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("IDEM_BUILD", REPO / "build")) / "read_bodies"


def ask(questions):
    """[(kind, bytes)] to [(verdict, bytes)]."""
    sent = b"".join(kind.encode() + struct.pack(">I", len(data)) + data for kind, data in questions)
    said = subprocess.run([str(PROGRAM)], input=sent, capture_output=True, check=True).stdout
    answers, at = [], 0
    for _ in questions:
        verdict, size = said[at:at + 1].decode(), struct.unpack(">I", said[at + 1:at + 5])[0]
        answers.append((verdict, said[at + 5:at + 5 + size]))
        at += 5 + size
    assert at == len(said)
    return answers


def fields_of(answer):
    """The fields of a form: (name, filename, type, data); None where a field lacks one."""
    blobs, at = [], 0
    while at < len(answer):
        size = struct.unpack(">I", answer[at:at + 4])[0]
        at += 4
        blobs.append(None if size == 0xffffffff else answer[at:at + size])
        at += 0 if size == 0xffffffff else size
    return [tuple(blobs[n:n + 4]) for n in range(0, len(blobs), 4)]
