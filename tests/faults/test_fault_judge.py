# SPDX-License-Identifier: Apache-2.0
"""Each rule of the judge finds a case that breaks it, and lets pass what is excused."""
import errno
import pathlib
import signal
import sys
import types

import pytest

sys.path[1:1] = [
    str(pathlib.Path(__file__).resolve().parents[1] / "http"),
    str(pathlib.Path(__file__).resolve().parent)
]

import fault_judge  # noqa: E402 (found by the line above)
from fault_judge import Case  # noqa: E402
from fault_page import FOR_EVER, Order  # noqa: E402

POOL_ABORT = "mmap\n/usr/lib/libapr-1.so.0(+0x1)\n/usr/sbin/apache2(x)\n{}\n/usr/lib/libc.so.6(abort)\n" \
             "/usr/lib/libapr-1.so.0(+0x2)"
BUCKET = "mmap\n/usr/lib/libapr-1.so.0(+0x1)\n/usr/lib/libaprutil-1.so.0(apr_bucket_alloc+0x2)\n" \
         "{}\n/usr/lib/libc.so.6(+0x3)\n{}"


class Answer:
    def __init__(self, status, name=None, body=b"mine", replayed=False):
        self.status, self.name, self.body, self.replayed = status, name, body, replayed
        self.problem, self.recorded = (status, name), (status, body)

    def __getitem__(self, _):
        return self.name


def case(error=errno.EIO, kind="write", policy="refuse", times=1, told=(201, None), most=1, too_long=False, **seen):
    """A request that was answered, a retry that got its record: all is well, but for what is said otherwise."""
    scene = types.SimpleNamespace(told=told, most=most, too_long=too_long)
    made = Case(scene, Order(kind, error, 1, times), policy)
    made.first, made.last, made.again = Answer(201), Answer(201, replayed=True), Answer(201, replayed=True)
    made.other, made.runs, made.runs_of_first = Answer(422, "key-reused"), 1, 1
    for name, value in seen.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


OTHERS, KEPT = Answer(201, body=b"other", replayed=True), Answer(201)
UNKNOWN, TOMBSTONE, BUSY, DOWN = (Answer(409, name) for name in ("outcome-unknown", "response-not-kept", "in-progress",
                                                                 "store-unavailable"))


@pytest.mark.parametrize("rule, broken", [
    ("dies_for_httpds_reasons_only",
     case(died=signal.SIGSEGV, text="malloc\n/mod_idempotency.so(+0x1)\nSegmentation fault\n/x.so")),
    ("dies_for_httpds_reasons_only", case(died=signal.SIGABRT,
                                          text="malloc\n/mod_idempotency.so(+0x1)\nAborted\n/x.so")),
    ("dies_for_httpds_reasons_only",
     case(died=signal.SIGSEGV, kind="pool", text=BUCKET.format("Segmentation fault", "/mod_idempotency.so"))),
    ("dies_for_httpds_reasons_only", case(vanished=True, text="malloc\n/mod_idempotency.so(+0x1)")),
    ("leaves_nothing_open", case(leaks=["/a/file"])),
    ("logs_nothing_that_must_not_be", case(log=["IDEM002: impossible event"])),
    ("executes_at_most_once", case(runs=2)),
    ("executes_at_most_once", case(runs=2, policy="retry")),
    ("executes_at_most_once", case(runs=3, policy="retry", died=signal.SIGABRT)),
    ("has_a_last_word", case(last=BUSY)),
    ("has_a_last_word", case(last=None)),
    ("what_was_told_is_told_again", case(last=OTHERS)),
    ("what_was_told_is_told_again", case(last=Answer(201))),
    ("what_was_told_is_told_again", case(last=UNKNOWN)),
    ("what_was_told_is_told_again", case(kept=KEPT, last=TOMBSTONE)),
    ("refuses_for_a_reason", case(first=DOWN, runs=0, runs_of_first=0, last=UNKNOWN)),
    ("refuses_for_a_reason", case(first=DOWN, policy="retry", last=UNKNOWN)),
    ("tells_no_untruth", case(kept=KEPT, first=OTHERS)),
    ("tells_no_untruth", case(kept=KEPT, first=UNKNOWN)),
    ("tells_no_untruth", case(first=Answer(422, "key-reused"))),
    ("tells_no_untruth", case(runs_of_first=0)),
    ("blames_no_client", case(kind="file", first=Answer(400))),
    ("is_steady", case(again=OTHERS)),
    ("is_steady", case(again=TOMBSTONE)),
    ("compares_bodies", case(other=Answer(201, replayed=True))),
    ("sees_no_interruption", case(error=errno.EINTR, first=DOWN)),
])
def test_rule_finds_what_breaks_it(rule, broken):
    assert getattr(fault_judge, rule)(broken)
    assert rule.replace("_", " ") in "".join(fault_judge.verdict(broken))


@pytest.mark.parametrize("well", [
    case(),
    case(first=None, died=signal.SIGABRT, kind="pool", text=POOL_ABORT.format("Aborted"), last=UNKNOWN),
    case(first=None,
         died=signal.SIGSEGV,
         kind="pool",
         last=UNKNOWN,
         text=BUCKET.format("Segmentation fault", "/libaprutil-1.so.0(x)")),
    case(first=DOWN, last=Answer(201), runs_of_first=0),
    case(last=TOMBSTONE),
    case(first=Answer(500, body=b"page")),
    case(kind="read", first=Answer(400), runs_of_first=0),
    case(policy="retry", runs=2, log=["IDEM013: the outcome of this request is unknown"], first=None, last=Answer(201)),
    case(last=UNKNOWN, log=["IDEM010: encoding failed"]),
    case(too_long=True, last=Answer(201), first=DOWN, runs_of_first=0, again=TOMBSTONE),
    case(kept=KEPT, first=DOWN, times=FOR_EVER),
    case(told=(409, "in-progress"), kept=KEPT, first=BUSY, error=errno.EINTR),
])
def test_what_may_happen_is_no_fault(well):
    assert fault_judge.verdict(well) == []
