# SPDX-License-Identifier: Apache-2.0
"""Histories for the tests of the judge. In one all goes well, in the other the owner is killed. Each test adds to them.
"""
from arena import MOST_KEPT
from clients import Answer, Operation
from evidence import Case, Execution, LogLine
from judge import judge
from monkey import Deed
from promises import PROMISES

FAILED = "IDEM010: [0000000a,SETTLING] store lmdb:x: settle failed: down"


class History:
    """One key, executed by process 7 at 10 s and replayed; another one beside it, so that something always happens."""

    def __init__(self, policy="refuse", size=10, brief=False, store="lmdb"):
        self.promise, self.mpm, self.policy, self.acknowledged, self.count = PROMISES[store], "prefork", policy, {
            "0000000a"
        }, 0
        self.operations = [
            Operation("k", "/act/lasting", b"", size, brief),
            Operation("other", "/act/lasting", b"", 10, False)
        ]
        self.slots = {"k": "0000000a"}
        self.answers, self.executions, self.deeds, self.log, self.waiting = [], [], [Deed(1, "SIGKILL", 99)], [], set()
        if self.promise.served:
            self.damage("store killed", 4, "store back", 4.2, server=0)
        self.run("n", 10)
        self.answer(10, "real", "n")
        self.answer(30, "real" if size <= MOST_KEPT else "response-not-kept", "n", replayed=size <= MOST_KEPT)
        self.run("o", 10, key="other")
        self.answer(10, "real", "o", key="other")
        self.answer(30, "real", "o", key="other", replayed=True)

    def run(self, nonce, begin, key="k", owner=7, end=0.1, request="-", token=None):
        self.executions.append(
            Execution(key, nonce, begin, end and begin + end, request, owner, token or nonce, "1", "0000000a", "cgi"))

    def answer(self, sent, kind, nonce="-", key="k", digest=None, replayed=False, request=None):
        self.count += 1
        self.answers.append(
            Answer(key, request or f"r{self.count}", sent, sent + 0.2, kind, nonce, digest or nonce, replayed))

    def damage(self, what, begin, over, end, **whom):
        """Something that lasts; a server is gone at once."""
        self.deeds += [Deed(begin, what, **whom), Deed(end, over, **whom)]
        if what in ("store killed", "store stopped"):
            self.deeds.append(Deed(begin, "store gone", **whom))

    def rename(self, key, name):
        for rows in (self.operations, self.answers, self.executions):
            rows[:] = [row._replace(key=name) if row.key == key else row for row in rows]
        self.slots = {name: self.slots.pop(key)}

    def forget_answers(self):
        self.answers = [answer for answer in self.answers if answer.key == "other"]

    def say(self, text, at=11.0):
        slot = "0000000a" if "0000000a" in text else None
        self.log.append(LogLine(at, slot, text))

    def broken(self):
        case = Case(self.promise, self.mpm, self.policy, self.operations, self.answers, self.executions,
                    sorted(self.deeds, key=lambda deed: deed.at), self.log)
        case.slots, case.acknowledged, case.waiting = self.slots, self.acknowledged, self.waiting
        case.served = {answer.request: 7 for answer in self.answers}
        return {rule for rule, found in judge(case).items() if found}


def under_way(policy="refuse", store="lmdb"):
    """The owner had not ended when its client lost patience; the key's second request says what then."""
    history = History(policy, store=store)
    history.forget_answers()
    history.executions = history.executions[1:]
    history.run("n", 10, end=None, request="first")
    history.answer(9.9, "lost", request="first")
    return history


def interrupted(policy="refuse"):
    """The same; its owner was killed."""
    history = under_way(policy)
    history.deeds.append(Deed(10.05, "SIGKILL", 7))
    return history
