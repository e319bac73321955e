# SPDX-License-Identifier: Apache-2.0
"""The n-th call of a class fails, for n = 1, 2, 3… until a request ends without having made so many: in each scene, on
each store.

Beside the single failures, each scene runs with failures that go on to the request's end. Some outlast it, so that the
keeper meets them. The exit code is the verdict; a failing injection is repeated alone by the arguments it is reported
with.
"""
import argparse
import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent / "http"), str(HERE.parent / "store/servers")]

import env  # noqa: E402 (found by the line above)
import fault_judge  # noqa: E402
import fault_page  # noqa: E402
import fault_scenes  # noqa: E402
import httpd as httpd_module  # noqa: E402
from fault_judge import brief  # noqa: E402
from fault_page import FOR_EVER, KINDS, Order  # noqa: E402
from fault_stores import STORES, is_installed  # noqa: E402
from httpd import Httpd  # noqa: E402
from origin import Origin, Stage  # noqa: E402
from proc_state import has_ended  # noqa: E402

SIZES = {
    "event": "StartServers 3\nServerLimit 6\nThreadsPerChild 4\nMaxRequestWorkers 12\nMinSpareThreads 8\n"
             "MaxSpareThreads 12",
    "prefork": "StartServers 3\nMinSpareServers 3\nMaxSpareServers 3\nServerLimit 6\nMaxRequestWorkers 6"
}
NOTHING = Order("thread", 1, FOR_EVER)  # only to learn who served
NOT_TO_BE_HAD = set()  # (store, class, kind of failure) that cannot happen
SHORT_STORES = ("lmdb", "sealed", "socache:shmcb", "redis")
LASTING = 12  # failures that outlast their request
LOST_AFTER = 15  # seconds: far longer than any request here takes
ENOUGH = 3    # times without a strike: which child it meets, and how much that one has ready, varies
MOST = 3000   # calls of a class in one request: a sweep that goes further does not end
FINE = 40     # so many calls are struck one by one; of more, every so-manieth


class Ledger:
    """Executions by path; the file is read on from where the last look ended."""

    def __init__(self, path):
        self.path, self.position, self.counts = path, 0, collections.Counter()

    def of(self, path):
        with open(self.path) as ledger:
            ledger.seek(self.position)
            for line in ledger:
                self.counts[line.split('"path": "')[1].split('"')[0]] += 1
                self.position += len(line)
        return self.counts[path]


class Field:
    """One server on one store under one policy, and everything that is tried on it."""

    def __init__(self, stage, store, policy, page, more=""):
        self.stage, self.store, self.policy, self.page = stage, store, policy, page
        self.origin, self.ledger = Origin(stage.root), Ledger(stage.root / "ledger")
        self.files, self.number, self.name = {}, 0, f"{store.split(':')[0]}-{policy}"
        self.behind = STORES[store].start()
        config = fault_scenes.CONFIG.format(modules=env.MODULE.parent, policy=policy)
        if self.behind.seals:
            secret = stage.root / "secret"
            secret.write_text(f"slot:{'5' * 64}\nseal:{'7' * 64}\n")
            secret.chmod(0o600)
            config += f"IdempotencySecret file:{secret}\n"
        self.server = Httpd(stage, config + more, self.behind.url()).start()

    def close(self):
        self.server.stop()
        self.behind.stop()

    def inject(self, scene_class, order):
        """One request with one failure. Returns the case, and whether any call was struck."""
        self.number += 1
        scene = scene_class(self.server.address, f"{self.name}-{self.number}")
        case = fault_judge.Case(scene, order, self.policy)
        if order.kind == "connect" and self.behind.forgets:
            self.behind.disconnect()
        scene.prepare(self.origin)
        if order.kind == "connect" and not self.behind.forgets:
            self.behind.disconnect()  # waiting connections would be used
        begin, before = self.server.log.size(), self.ledger.of(scene.path)
        self.page.give(order)
        case.first = scene.armed()
        lost = not self.await_end(order, case.first)
        struck, pid = self.page["struck"], self.page["pid"]
        case.runs_of_first = self.ledger.of(scene.path) - (before if not hasattr(scene, "gate") else 0)
        if order.everywhere and struck < order.times:
            env.until(lambda: self.page["struck"] >= order.times or self.page["seen"] < order.first or self.quiet(),
                      "the order", 5)
        self.page.withdraw()
        scene.finish()
        case.kept = getattr(scene, "kept", None)
        case.last = self.last_word(scene)
        if case.last is not None and case.last.status == 201:
            case.again = self.last_word(scene)
            case.other = scene.send(body=b"x" * len(scene.body))
        case.runs, case.died, case.text = self.ledger.of(scene.path), self.page["crashed"], self.page.text
        case.vanished = not case.died and not lost and self.page["armed"] != 0
        case.log = self.server.log.lines(begin)
        if not case.died and not lost:
            case.leaks = fault_judge.leaks_of(self.server, pid, self.files.get(pid), order)
        self.files.setdefault(pid, fault_judge.open_files(pid))
        if any("IDEM010" in line for line in case.log):
            self.await_health()
        return case, struck

    def await_health(self):
        """A child whose store failed opens it again within a second: until then it refuses, which is not the next
        case's fault.
        """
        well = set()

        def all_are_well():
            scene = fault_scenes.First(self.server.address, f"{self.name}-health-{time.monotonic_ns()}")
            self.page.give(NOTHING)
            answer = scene.armed()
            self.await_end()
            self.page.withdraw()
            if answer is not None and answer.status == 201:
                well.add(self.page["pid"])
            return well >= set(self.serving())
        env.until(all_are_well, "every child's store is well", fault_judge.PATIENCE)

    def serving(self):
        """The children that have threads, where they should: the others are mod_cgid's, or on their way."""
        for child in self.server.children():
            try:
                if env.MPM == "prefork" or len(os.listdir(f"/proc/{child}/task")) > 4:
                    yield child
            except FileNotFoundError:
                pass

    def quiet(self):
        """Has the keeper nothing more to do? Then no further call will be struck."""
        seen = self.page["seen"]
        time.sleep(0.3)  # longer than its pause between the first tries
        return self.page["seen"] == seen

    def await_end(self, order=NOTHING, answer=None):
        """The answer is there before the request's last cleanup has run. A process that died runs none.

        False: httpd keeps the connection. Seen now and then where a worker gets no memory any more: all workers are
        idle, the event MPM's listener waits without an end, and the request's pool stays. The module's work is judged
        all the same, by the entry in the slot. Only its memory is not: nobody gives it back.
        """
        def over():
            return not self.page["armed"] or self.page["crashed"] or (self.page["pid"] and has_ended(self.page["pid"]))
        starved = order.kind in ("memory", "pool") and order.times == FOR_EVER
        try:
            env.until(over, "the request ends", LOST_AFTER if starved else 60)
        except TimeoutError:
            if not starved:
                raise
            print(f"httpd keeps a connection: {order}, its client was told {brief(answer)}", flush=True)
        return over()

    def last_word(self, scene):
        def ask():
            answer = scene.retry()
            over = answer is not None and answer["Idempotency-Error"] not in ("in-progress", "store-unavailable")
            asked[:] = [answer]
            return answer if over else time.sleep(0.05)
        asked = [None]
        try:
            return env.until(ask, "a last word", fault_judge.PATIENCE)
        except TimeoutError:
            return asked[0]


class Tally:
    def __init__(self):
        self.struck, self.failures, self.died, self.cases = collections.Counter(), [], collections.Counter(), 0
        self.began = time.monotonic()

    def add(self, field, scene, case, struck):
        self.struck[field.store, case.order.kind] += 1 if struck else 0
        self.died[case.died] += 1
        self.cases += 1
        wrong = fault_judge.verdict(case)
        if not wrong:
            return
        arguments = f"--store {field.store} --policy {field.policy} --scene {scene} --kind {case.order.kind} " \
                    f"--error {fault_page.NAMES[case.order.error]} --first {case.order.first} " \
                    f"--times {case.order.times}" \
                    + (" --everywhere" if case.order.everywhere else "")
        self.failures.append(arguments)
        print(f"FAILED {arguments}: {wrong[0]}\n  " + "\n  ".join(wrong) +
              f"\n  told first {brief(case.first)}, last {brief(case.last)}, runs {case.runs}")
        print("  " + "\n  ".join(with_names(case.text)[:24]))
        print("  " + "\n  ".join(case.log[-4:]), flush=True)

    def broke_off(self, field, arguments, error):
        """What the sweep itself did not survive; the callers of the last call that was struck are the nearest cause."""
        self.cases += 1
        self.failures.append(arguments)
        print(f"FAILED {arguments}: the sweep broke off: {type(error).__name__}: {error}")
        print("  " + "\n  ".join(traceback.format_exception(error)[-1:] + with_names(field.page.text)[:24] +
                                 field.server.log.lines()[-4:]), flush=True)


def with_names(text):
    """The module's functions are not exported: their names are asked for by address. The interposer's own frames are
    left out.
    """
    lines = [line for line in text.splitlines() if "/faults.so(+" not in line]
    for i, line in enumerate(lines):
        found = re.match(r".*/(mod_idempotency\.so)\(\+(0x[0-9a-f]+)\)", line)
        if found:
            said = subprocess.run(["addr2line", "-sfe", env.MODULE, found[2]], capture_output=True,
                                  text=True).stdout.split()
            lines[i] = f"{found[1]} " + " ".join(said)
        else:
            lines[i] = re.sub(r"\[0x.*", "", line.rsplit("/", 1)[-1])
    return lines


def numbers(step):
    """1, 2, 3…, and further on by greater steps."""
    n = 1
    while n < MOST:
        yield n
        n += step if n < FINE * step else 4 * step


def sweep(field, scene, kind, error, tally, step=1, times=1, everywhere=0):
    """Returns how many injections struck."""
    struck_ones = missed = 0
    for first in numbers(step):
        case, struck = field.inject(fault_scenes.SCENES[scene], Order(kind, error, first, times, everywhere))
        tally.add(field, scene, case, struck)
        struck_ones += 1 if struck else 0
        missed = 0 if struck else missed + 1
        if missed == ENOUGH:
            return struck_ones
    raise AssertionError(f"{scene} on {field.store}: {kind} does not come to an end")


def plan(options, store, policy):
    """(scene, kind, error, times, everywhere) of everything that is swept on one server."""
    for scene in options.scene or fault_scenes.SCENES:
        if (scene == "sealed") != (store == "sealed") and not (store == "sealed" and scene in ("replay", "first")):
            continue
        if scene == "takeover" and policy == "refuse" and not options.scene:
            continue
        for kind in options.kind or KINDS:
            errors = [e for e in KINDS[kind] if (not options.error or fault_page.NAMES[e] in options.error)
                      and (store, kind, e) not in NOT_TO_BE_HAD]
            for error in errors:
                yield scene, kind, error, 1, 0
            if kind in ("pool", "wait", "thread") or not errors or options.error:
                continue
            yield scene, kind, errors[0], FOR_EVER, 0
            if scene in ("first", "replay", "oversize", "released"):
                yield scene, kind, errors[0], LASTING, 1


def in_short(item, store, policy):
    scene, kind, _, times, everywhere = item
    return (scene in ("first", "replay", "sealed", "spooled", "conflict") and kind not in ("wait", "read")
            and not everywhere and policy == "refuse" and (kind == "memory" or times == 1)
            and (kind != "pool" or scene == "first"))


def successor(field, more):
    """A server for what is left to sweep. Its cases go on with the numbers: each path is one case's."""
    field.page.withdraw()
    field.close()
    new = Field(field.stage, field.store, field.policy, field.page, more)
    new.number = field.number
    return new


def fight(options, page, stage, store, policy, tally):
    field = Field(stage, store, policy, page, options.config)
    try:
        if options.first:
            case, struck = field.inject(
                fault_scenes.SCENES[options.scene[0]],
                Order(options.kind[0], number_of(options.error[0]), options.first, options.times,
                      int(options.everywhere)))
            tally.add(field, options.scene[0], case, struck)
            print("\n".join(with_names(case.text) + case.log),
                  f"\nstruck {struck}, told {brief(case.first)}, then {brief(case.last)}, runs {case.runs}")
            return
        for scene, kind, error, times, everywhere in plan(options, store, policy):
            if options.short and not in_short((scene, kind, error, times, everywhere), store, policy):
                continue
            began = time.monotonic()
            coarse = everywhere or (options.short and kind in ("memory", "write"))
            try:
                count = sweep(field, scene, kind, error, tally, 3 if coarse else 1, times, everywhere)
            except (TimeoutError, AssertionError, OSError) as broken:
                tally.broke_off(field, f"--store {store} --policy {policy} --scene {scene} --kind {kind} "
                                       f"--error {fault_page.NAMES[error]}", broken)
                field = successor(field, options.config)
                continue
            several = ", each and all after it" if times == FOR_EVER else f", {times} in all threads"
            lasting = "" if times == 1 else several
            print(f"{store:14}{policy:7} {scene:11}{kind:8} {fault_page.NAMES[error]:13}{count:4} struck{lasting}"
                  f" ({time.monotonic() - began:.1f} s)", flush=True)
    finally:
        field.close()


def number_of(name):
    return next(number for number, known in fault_page.NAMES.items() if known == name)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, choices in (("store", list(STORES)), ("policy", ["refuse",
                                                               "retry"]), ("scene", list(fault_scenes.SCENES)),
                          ("kind", list(KINDS)), ("error", sorted(set(fault_page.NAMES.values())))):
        parser.add_argument(f"--{name}", action="append", choices=choices)
    parser.add_argument("--first", type=int, help="this injection alone")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--everywhere", action="store_true")
    parser.add_argument("--config", default="", help="more directives for the server")
    parser.add_argument("--short", action="store_true", help="a part of it, about a minute")
    return parser.parse_args()


def main():
    options, tally = arguments(), Tally()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped then, too
    stage = Stage(tempfile.mkdtemp(prefix="idem-faults-", dir="/tmp"))
    page = fault_page.Page(stage.root / "page")
    env.PRELOAD = {
        "LD_PRELOAD": " ".join(filter(
            None, [env.PRELOAD.get("LD_PRELOAD"), str(env.MODULE.parent / "faults.so")])),
        "IDEM_FAULTS_PAGE": str(stage.root / "page")
    }
    httpd_module.SIZES.update(SIZES)
    try:
        for store in options.store or (SHORT_STORES if options.short else STORES):
            if not is_installed(store):
                print(f"{store} is left out: it is not installed")
                continue
            for policy in options.policy or (["refuse"] if options.short else ["refuse", "retry"]):
                fight(options, page, stage, store, policy, tally)
    finally:
        stage.close()
    for (store, kind), count in sorted(tally.struck.items()):
        print(f"{store:14} {kind:8} {count:6} injections")
    print(
        f"{tally.died[6]} children were aborted by httpd, as it does when a pool cannot grow; "
        f"{time.monotonic() - tally.began:.0f} s"
    )
    struck = sum(tally.struck.values())
    if not struck and not options.first:
        tally.failures.append("no call was made to fail")
    failed = len(tally.failures)
    print(f"{tally.cases - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
