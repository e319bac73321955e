# SPDX-License-Identifier: Apache-2.0
"""The lease table, read out of src/core/lease.c: the model explores the very table that is compiled.

A pair that is not in the table raises: in the module it would be a bug, here it stops the run.
"""
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src" / "core" / "lease.c"


class Impossible(Exception):
    """The model fired an event in a phase for which the table has no cell."""


def read_table(text):
    body = re.search(r"\btable\[IDEM_PHASES\]\[IDEM_EVENTS\] = \{(.*?)\n\};", text, re.S).group(1)
    table, phase = {}, None
    for line in body.splitlines():
        cell = re.search(r"\[IDEM_EV_(\w+)\] = TO\((\w+), (\w+)\)", line)
        row = re.search(r"\[IDEM_PHASE_(\w+)\] =\s*\{?$", line)
        if cell:
            table[phase, cell.group(1)] = (cell.group(2), cell.group(3))
        elif row:
            phase = row.group(1)
    if len(table) < 30:
        raise ValueError(f"{SOURCE}: only {len(table)} cells found; has the way it is written changed?")
    return table


TABLE = read_table(SOURCE.read_text(encoding="utf-8"))
reached = set()  # the pairs some variant has fired


def step(phase, event, other_cells=()):
    """(next phase, action). other_cells: ((phase, event), (next, action)) that a variant puts in the table's place."""
    for pair, cell in other_cells:
        if pair == (phase, event):
            return cell
    if (phase, event) not in TABLE:
        raise Impossible(f"{event} in {phase}")
    reached.add((phase, event))
    return TABLE[phase, event]
