# SPDX-License-Identifier: Apache-2.0
"""What a round leaves behind, as the judge reads it: the ledger, the clients' answers, what the monkey did, and httpd's
logs.
"""
import collections
import re
import time

import env
from slots import name_of

# owner: the process that executed it, on this host; end: None where there is no line
Execution = collections.namedtuple("Execution",
                                   "key nonce begin end request owner token attempt slot place host",
                                   defaults=(0, ))
LogLine = collections.namedtuple("LogLine", "at slot text host", defaults=(0,))  # slot: None where the line names none

STAMP = re.compile(r"^\[\w{3} (\w{3} +\d+ [\d:]+)(\.\d+) (\d{4})\] ")
SLOT = re.compile(r" IDEM\d+: \[([0-9a-f]{8}),")
SLOT_NAMED = re.compile(r" IDEM\d+: .* (?:lease|slot) ([0-9a-f]{8})\b")
DEATH = re.compile(r"child pid (\d+) exit signal ([\w ]+?) \((\d+)\)")


def executions(path):
    begun, ended = [], {}
    for line in path.read_text().splitlines():
        what, at, nonce, *rest = line.split(" ")
        if what == "end":
            ended[nonce] = float(at)
        else:
            begun.append((float(at), nonce, rest))
    return [
        Execution(key.strip('"'), nonce, at, ended.get(nonce), request, process_of(owner), token, attempt, slot, place,
                  host_of(owner)) for at, nonce, (key, request, owner, token, attempt, slot, place) in begun
    ]


def process_of(forensic_id):
    """PID:TIME:NUMBER, and in the ledger @HOST."""
    return int(forensic_id.split(":")[0]) if ":" in forensic_id else 0


def host_of(owner):
    return int(owner.split("@")[1]) if "@" in owner else 0


def time_of(line):
    """The log writes local time, to the microsecond."""
    stamp = STAMP.match(line)
    if not stamp:
        return 0.0
    return time.mktime(time.strptime(f"{stamp[1]} {stamp[3]}", "%b %d %H:%M:%S %Y")) + float(stamp[2])


def log_lines(path, host=0):
    with open(path, errors="replace") as log:
        for line in log:
            slot = SLOT.search(line) or SLOT_NAMED.search(line)
            yield LogLine(time_of(line), slot and slot[1], line.rstrip("\n"), host)


class Case:
    """Everything about one round. answers are in the order in which they came."""

    def __init__(self, promise, mpm, policy, operations, answers, executed, deeds, log):
        self.promise, self.mpm, self.policy, self.deeds, self.log = promise, mpm, policy, deeds, log
        self.slots = {}  # key -> the name of its slot
        self.acknowledged = None  # slots of which the store said that it has their settlement; None: it does not say
        self.served = {}  # request -> the process that it came to, where it came to any
        self.waiting = set()  # processes that may have waited for mod_cgid's daemon when they were told to stop
        self.operations = {operation.key: operation for operation in operations}
        self.answers, self.executions = collections.defaultdict(list), collections.defaultdict(list)
        for answer in sorted(answers, key=lambda answer: answer.got):
            self.answers[answer.key].append(answer)
        for execution in sorted(executed, key=lambda execution: execution.begin):
            self.executions[execution.key].append(execution)
        self.lines = collections.defaultdict(list)
        for line in log:
            if line.slot:
                self.lines[line.slot].append(line)

    def lines_of(self, key):
        return self.lines[self.slots.get(key)] if key in self.slots else []

    def key_of(self, slot):
        """None where no key has it, or none that is known."""
        return next((key for key, known in self.slots.items() if slot and known == slot), None)

    def death_of(self, execution):
        """When the owner of an execution was killed, at the earliest; None if it was not. A server that is stopped goes
        on for a moment: who accepted a request before it had stopped is dead when it has.
        """
        sent = self.sent_at(execution)
        for deed in self.deeds:
            if deed.host != execution.host:
                continue
            if deed.what == "stop":
                stop = deed.at
            elif deed.what == "stopped" and sent < deed.at:
                return max(stop, sent)
            elif deed.pid == execution.owner and deed.what in ("SIGKILL", "SIGSEGV"):
                return deed.at
        return None

    def while_stopping(self, line):
        """Was this logged between telling the server to stop and its end?"""
        stops, ends = ([deed.at for deed in self.deeds if (deed.what, deed.host) == (what, line.host)]
                       for what in ("stop", "stopped"))
        return any(stop <= line.at <= stopped for stop, stopped in zip(stops, [*ends, float("inf")]))

    def kills(self):
        """(host, begin, end): a process of the host was killed between these."""
        stops = {}
        for deed in self.deeds:
            if deed.what in ("SIGKILL", "SIGSEGV"):
                yield deed.host, deed.at, deed.at
            elif deed.what == "stop":
                stops[deed.host] = deed.at
            elif deed.what == "stopped":
                yield deed.host, stops[deed.host], deed.at

    def sent_at(self, execution):
        """When the request that it executes was sent."""
        return next((answer.sent for answer in self.answers[execution.key] if answer.request == execution.request),
                    execution.begin)


def slots(operations, executed):
    """Key -> what its slot is called in the log. Scripts were told, and agree."""
    named = {operation.key: name_of(operation.key) for operation in operations}
    for run in executed:
        assert run.slot in ("-", named[run.key]), (run, named[run.key])
    return named


def forensic_lines(path):
    return path.read_text(errors="replace").splitlines() if path.exists() else ()


def waiting_for_daemon(forensic_log):
    """Processes with a request for the script that did not come to its end."""
    under_way = set()
    for line in forensic_lines(forensic_log):
        if line.startswith("-"):
            under_way.discard(line[1:])
        elif "|POST /act/" in line:
            under_way.add(line[1:].split("|")[0])
    return {process_of(name) for name in under_way}


def served(forensic_log):
    """Request -> its process: each field that came stands in the line."""
    for line in forensic_lines(forensic_log):
        name = re.search(r"\|X-Request:([\d.]+)", line)
        if name:
            yield name[1], process_of(line[1:])


def acknowledged_slots(controls):
    """The store's own list of calls; settle names the first 8 digits of a slot."""
    calls = [control.folder / "calls" for control in controls if control]
    if not any(path.exists() for path in calls):
        return None
    words = (line.split() for path in calls if path.exists() for line in path.read_text().splitlines())
    return {word[3] for word in words if word[:2] == ["settle", "ok"]}


def collect(arena, policy, board, deeds):
    executed = executions(arena.root / "ledger")
    folders = [httpd.root for httpd in arena.httpds]
    log = [line for host, httpd in enumerate(arena.httpds) for line in log_lines(httpd.log.path, host)]
    case = Case(arena.promise, env.MPM, policy, board.operations, board.answers, executed, deeds,
                sorted(log, key=lambda line: line.at))
    case.slots = slots(board.operations, executed)
    case.acknowledged = acknowledged_slots([httpd.control for httpd in arena.httpds])
    for folder in folders:
        case.served.update(served(folder / "forensic.log"))
        if env.MPM != "prefork":
            case.waiting |= waiting_for_daemon(folder / "forensic.log")
    return case
