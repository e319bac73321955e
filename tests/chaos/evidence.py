"""
What a round leaves behind, as the judge reads it: the ledger, the clients' answers, what the monkey did, and httpd's logs.
"""
import collections
import re
import time

import env

# owner: the process that executed it; end: None where there is no line
Execution = collections.namedtuple("Execution", "key nonce begin end request owner token attempt slot place")
LogLine = collections.namedtuple("LogLine", "at slot text")  # slot: None where the line names none

STAMP = re.compile(r"^\[\w{3} (\w{3} +\d+ [\d:]+)(\.\d+) (\d{4})\] ")
SLOT = re.compile(r" IDEM\d+: \[([0-9a-f]{8}),")
DEATH = re.compile(r"child pid (\d+) exit signal ([\w ]+?) \((\d+)\)")


def executions(path):
    begun, ended = [], {}
    for line in path.read_text().splitlines():
        what, at, nonce, *rest = line.split(" ")
        if what == "end":
            ended[nonce] = float(at)
        else:
            begun.append((float(at), nonce, rest))
    return [Execution(key.strip('"'), nonce, at, ended.get(nonce), request, process_of(owner), token, attempt, slot, place)
            for at, nonce, (key, request, owner, token, attempt, slot, place) in begun]


def process_of(forensic_id):
    """PID:TIME:NUMBER."""
    return int(forensic_id.split(":")[0]) if ":" in forensic_id else 0


def time_of(line):
    """The log writes local time, to the microsecond."""
    stamp = STAMP.match(line)
    if not stamp:
        return 0.0
    return time.mktime(time.strptime(f"{stamp[1]} {stamp[3]}", "%b %d %H:%M:%S %Y")) + float(stamp[2])


def log_lines(path):
    with open(path, errors="replace") as log:
        for line in log:
            slot = SLOT.search(line)
            yield LogLine(time_of(line), slot and slot[1], line.rstrip("\n"))


class Case:
    """Everything about one round. answers are in the order in which they came."""

    def __init__(self, mpm, policy, operations, answers, executed, deeds, log):
        self.mpm, self.policy, self.deeds, self.log = mpm, policy, deeds, log
        self.slots = {}  # key -> slot, where it is known
        self.acknowledged = None  # slots of which the store said that it has their settlement; None: it does not say
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

    def death_of(self, execution):
        """When the owner of an execution was killed, at the earliest; None if it was not. A server that is stopped goes on
        for a moment: who accepted a request before it had stopped is dead when it has."""
        sent = self.sent_at(execution)
        for deed in self.deeds:
            if deed.what == "stop":
                stop = deed.at
            elif deed.what == "stopped" and sent < deed.at:
                return max(stop, sent)
            elif deed.pid == execution.owner and deed.what in ("SIGKILL", "SIGSEGV"):
                return deed.at
        return None

    def while_stopping(self, at):
        """Did this happen between telling the server to stop and its end?"""
        stops = [deed.at for deed in self.deeds if deed.what == "stop"]
        return any(stop <= at <= stopped for stop, stopped in zip(stops, self.ends()))

    def ends(self):
        return [deed.at for deed in self.deeds if deed.what == "stopped"] + [float("inf")]

    def sent_at(self, execution):
        """When the request that it executes was sent."""
        return next((answer.sent for answer in self.answers[execution.key] if answer.request == execution.request), execution.begin)


def slots_of(requests_log, answers, executed):
    """The access log knows the slot of each request that came to its end; the ledger that of each script."""
    by_request = {}
    if requests_log.exists():
        for line in requests_log.read_text().splitlines():
            words = line.split(" ")
            if len(words) == 6 and words[4] != "-":
                by_request[words[0]] = words[4]
    slots = {answer.key: by_request[answer.request] for answer in answers if answer.request in by_request}
    slots.update((execution.key, execution.slot) for execution in executed if execution.slot != "-")
    return slots


def waiting_for_daemon(forensic_log):
    """Processes with a request for the script that did not come to its end."""
    under_way = set()
    for line in forensic_log.read_text(errors="replace").splitlines() if forensic_log.exists() else ():
        if line.startswith("-"):
            under_way.discard(line[1:])
        elif "|POST /act/" in line:
            under_way.add(line[1:].split("|")[0])
    return {process_of(name) for name in under_way}


def acknowledged_slots(control):
    """The store's own list of calls; settle names the first 8 digits of a slot."""
    calls = control and control.folder / "calls"
    if not calls or not calls.exists():
        return None
    words = (line.split() for line in calls.read_text().splitlines())
    return {word[3] for word in words if word[:2] == ["settle", "ok"]}


def collect(arena, policy, board, deeds):
    executed = executions(arena.root / "ledger")
    folder = arena.httpd.root
    case = Case(env.MPM, policy, board.operations, board.answers, executed, deeds, list(log_lines(arena.httpd.log.path)))
    case.slots = slots_of(folder / "requests.log", board.answers, executed)
    case.acknowledged = acknowledged_slots(arena.httpd.control)
    if env.MPM != "prefork":
        case.waiting = waiting_for_daemon(folder / "forensic.log")
    return case
