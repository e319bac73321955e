# SPDX-License-Identifier: Apache-2.0
"""Everything known about one key, in the order of events: the ledger, the clients, the monkey's actions on its owners,
the log's lines.
"""
import re


def of_ledger(case, key):
    for run in case.executions.get(key, ()):
        who = f"{run.nonce} {run.place}, request {run.request}, process {run.owner} on host {run.host}, " \
              f"attempt {run.attempt}, token {run.token[:8]}"
        yield run.begin, f"ledger  begin {who}"
        yield run.end or run.begin, f"ledger  {'end' if run.end else 'never ended:'} {run.nonce}"


def of_clients(case, key):
    for answer in case.answers.get(key, ()):
        what = f"{answer.kind}{', replayed' * answer.replayed} {answer.nonce} {answer.digest}".replace(" - -", "")
        yield answer.sent, f"client  {answer.request} sends to host {answer.host}, " \
                           f"process {case.served.get(answer.request, 'none')}"
        yield answer.got, f"client  {answer.request} gets {what}"


def of_monkey(case, key, times):
    """Actions on the processes that had a request with it. And actions on a host or the store, at most six seconds
    before an event of the key.
    """
    owners = {run.owner for run in case.executions.get(key, ())}
    owners |= {case.served.get(answer.request) for answer in case.answers.get(key, ())}
    for deed in case.deeds:
        if deed.pid in owners or (not deed.pid and any(deed.at <= at <= deed.at + 6 for at in times)):
            yield deed.at, f"monkey  {deed.what} {whom(deed)}"


def whom(deed):
    if deed.server is not None:
        return f"server {deed.server}"
    return f"{deed.pid or ''} host {deed.host}"


def of_log(case, key):
    """Lines with its slot, and lines without any slot that name a process that executed it."""
    owners = [re.compile(rf"\bpid {run.owner}\b") for run in case.executions.get(key, ())]
    for line in case.log:
        if line.slot == case.slots.get(key, "") or (not line.slot and any(owner.search(line.text) for owner in owners)):
            yield line.at, f"log     {line.text.split('] ', 1)[-1]}"


def of(case, key):
    events = [*of_ledger(case, key), *of_clients(case, key), *of_log(case, key)]
    times = [at for at, _ in events] or [0.0]
    events += of_monkey(case, key, times)
    yield f"key {key}, slot {case.slots.get(key, 'unknown')}, " \
          f"{case.operations[key].path if key in case.operations else ''}"
    for at, what in sorted(events, key=lambda event: event[0]):
        yield f"  {at - min(times):9.3f}  {what}"
