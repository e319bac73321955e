# SPDX-License-Identifier: Apache-2.0
"""What must hold after one injected failure, when the fault is gone: of the ledger, the client's answers, the child
that served, and its open files.

Each rule is a function of a Case and returns a sentence if it is broken. Answers are tests/http's Response, or None for
a connection that ended without one.
"""
import collections
import errno
import os
import re
import signal

import env

BAD_REQUESTS = {(status, None) for status in (400, 408, 411, 413)}
PATIENCE = 10  # seconds until a key has its last word: the keeper's longest pause and a store opened again are a few
MUST_NOT = re.compile(r"IDEM(002|014|017|070|071|074)|[Aa]ssert(ion)?[ (]|double free|corrupted")
# Connections that a process may keep for later calls: one for each thread that was in the store, or at the backend, at
# once.
SPARE_SOCKETS = 6


class Case:
    """One injection, from its preparation to its last word."""

    def __init__(self, scene, order, policy):
        self.scene, self.order, self.policy = scene, order, policy
        self.kept = self.first = self.last = self.again = self.other = None
        self.runs = self.runs_of_first = 0
        self.died, self.text, self.leaks, self.log = 0, "", [], []
        self.vanished = False  # the child ended, and not by a signal

    @property
    def told(self):
        """Did the client of the armed request get a whole answer of the application's?"""
        return self.first is not None and self.first["Idempotency-Error"] is None and self.first.status == 201

    @property
    def undisturbed(self):
        """Was the armed request told what it would have been told without a fault?"""
        return self.first is not None and self.first.problem == self.scene.told

    @property
    def unknown(self):
        """Was it settled as unknown, so that a retry may execute where the policy says so?"""
        return any("IDEM013" in line for line in self.log)

    @property
    def forgotten(self):
        """Was there no memory for the digest of what was read of a long body? Then nothing can be compared with it."""
        return any("encoding failed" in line for line in self.log)

    def is_replay_of(self, answer, original):
        return answer is not None and answer.replayed and answer.recorded == original.recorded


def brief(answer):
    """What a person wants to know of an answer."""
    if answer is None:
        return "nothing"
    how = " replayed" if answer.replayed else ""
    return f"{answer.status} {answer['Idempotency-Error'] or answer.body[:40]}{how}"


# ---- the child -------------------------------------------------------------------------------------------------------


def is_pool_abort(case):
    """httpd aborts a child whose pools cannot grow. APR's makers of buckets, in httpd's filters as well, do not look at
    what they got.
    """
    struck, _, crash = case.text.partition(f"\n{signal.strsignal(case.died)}\n")
    if case.order.kind != "pool" or "libapr-1" not in struck:
        return False
    inner = [line for line in crash.splitlines() if "/faults.so" not in line and "/libc.so" not in line]
    return case.died == signal.SIGABRT or ("apr_bucket_alloc" in struck and "/libaprutil-1" in inner[0])


def dies_for_httpds_reasons_only(case):
    if case.died and not is_pool_abort(case):
        return f"the child died of {signal.strsignal(case.died)}"
    if case.vanished:
        return "the child ended within the request, and of no signal: a library ended it"


def leaves_nothing_open(case):
    if case.leaks:
        return f"left open: {case.leaks}"


def logs_nothing_that_must_not_be(case):
    lines = [line for line in case.log if MUST_NOT.search(line)]
    if lines:
        return f"logged: {lines[0]}"


# ---- the key ---------------------------------------------------------------------------------------------------------


def executes_at_most_once(case):
    most = case.scene.most + (1 if case.policy == "retry" and (case.died or case.unknown) else 0)
    if case.runs > most:
        return f"executed {case.runs} times"


def has_a_last_word(case):
    if case.last is None or case.last["Idempotency-Error"] in ("in-progress", "store-unavailable"):
        return f"no last word within {PATIENCE} s: {brief(case.last)}"


def what_was_told_is_told_again(case):
    """By a whole answer of the application's, or by the record that stood before."""
    original = case.kept or (case.first if case.told else None)
    if not original or case.is_replay_of(case.last, original):
        return None
    name = case.last["Idempotency-Error"] if case.last else None
    if name == "response-not-kept" and not case.kept:
        return None  # there was no room or memory for the record
    if name == "outcome-unknown" and not case.kept and (case.died or case.forgotten):
        return None  # it died with what it knew, or could not say what the request was
    return f"told {brief(original)}, a retry {brief(case.last)}"


def refuses_for_a_reason(case):
    """A key whose request never ran is free again; unknown is only what may have run, or died with its owner."""
    name = case.last["Idempotency-Error"] if case.last is not None else None
    ran = case.runs_of_first > 0
    if name in ("outcome-unknown", "response-not-kept") and not ran and not case.died:
        return f"{name}, and nothing was executed"
    if name == "outcome-unknown" and case.policy == "retry" and not case.died and not case.forgotten:
        return "outcome-unknown, although a retry may take over"


def tells_no_untruth(case):
    """What the disturbed request itself was told."""
    if case.first is None:
        return None
    status, name = case.first.problem
    if case.kept and case.first.status == 201 and not case.is_replay_of(case.first, case.kept):
        return f"another answer than the record: {brief(case.first)}"
    if name == "outcome-unknown" and case.kept:
        return "outcome-unknown, and there is a record"
    if name == "key-reused" and case.scene.told != (422, "key-reused"):
        return f"key-reused for the same request: {brief(case.first)}"
    if status == 201 and not case.first.replayed and case.runs_of_first == 0:
        return f"an answer of nobody's: {brief(case.first)}"


def blames_no_client(case):
    """What the server has too little of is no bad request; a connection that cannot be read from may be."""
    if case.first is not None and case.first.problem in BAD_REQUESTS and case.order.kind not in ("read", "wait"):
        return f"the server's trouble was answered {brief(case.first)}"


def is_steady(case):
    again = case.again and case.again["Idempotency-Error"]
    if case.last is None or case.last.status != 201 or case.is_replay_of(case.again, case.last):
        return None
    if not (again == "response-not-kept" and case.scene.too_long):
        return f"told {brief(case.last)}, then {brief(case.again)}"


def compares_bodies(case):
    """Whatever failed: the answer is not given to another request."""
    if case.other is not None and case.other.status < 400:
        return f"another request was answered {brief(case.other)}"


def sees_no_interruption(case):
    """An interrupted call is called again. LMDB and hiredis pass some on: then nothing has happened, and that is said.
    """
    if case.order.error == errno.EINTR and not case.undisturbed and not case.died:
        return f"an interrupted call was answered {brief(case.first)}"


RULES = [
    dies_for_httpds_reasons_only, leaves_nothing_open, logs_nothing_that_must_not_be, executes_at_most_once,
    has_a_last_word, what_was_told_is_told_again, refuses_for_a_reason, tells_no_untruth, blames_no_client, is_steady,
    compares_bodies, sees_no_interruption
]


def verdict(case):
    return [f"{rule.__name__.replace('_', ' ')}: {said}" for rule in RULES if (said := rule(case))]


# ---- what a process has open -----------------------------------------------------------------------------------------


def open_files(pid):
    """What each descriptor is, without the numbers of sockets and pipes; None if there is no such process."""
    found = collections.Counter()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                found[re.sub(r":?\[[\d]+\]$", "", os.readlink(f"/proc/{pid}/fd/{fd}"))] += 1
            except FileNotFoundError:
                pass  # closed meanwhile
    except (FileNotFoundError, ProcessLookupError):
        return None
    return found


def surplus(pid, before):
    after = open_files(pid)
    if after is None or before is None:
        return {}
    more = after - before
    if more["socket"] <= SPARE_SOCKETS:
        del more["socket"]
    return dict(more)


def leaks_of(server, pid, before, order):
    """What is open that was not, when all that may still be closing has had its time. apr_temp_dir_get() leaves its own
    files, and an empty one remains where it can never be removed.
    """
    folder, least = server.root / "tmp", 0 if order.times == 1 else 1

    def left():
        names = [
            name for name in os.listdir(folder)
            if not name.startswith("apr-tmp.") and (folder / name).stat().st_size >= least
        ]
        return [found for found in (surplus(pid, before), names) if found]
    found = []
    try:
        env.until(lambda: not left(), "all is closed", 3)
    except TimeoutError:
        found = left()
    for name in os.listdir(folder):
        (folder / name).unlink(missing_ok=True)  # the next case begins with none
    return found
