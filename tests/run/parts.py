#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the parts of make test, which are make targets: the first ones alone, then lanes beside each other. So a part
that waits leaves the machine to one that computes. Called by mk/suite.mk.

    parts.py check -- integration-short -- analyze asan

Words before the first "--" are run one after the other. Each "--" begins a lane; its parts are run one after the other,
too. A part that fails stops nothing. In a lane a part's output is shown when it has ended. The last lines are what each
part that failed said last, and the names of those parts.
"""
import os
import subprocess
import sys
import threading
import time

PRINTING = threading.Lock()
LAST_LINES = 12  # of a part that failed: the whole output may be long, and be cut by whoever shows it


def lanes_of(words):
    lanes = [[]]
    for word in words:
        lanes.append([]) if word == "--" else lanes[-1].append(word)
    return lanes[0], lanes[1:]


def run(part, jobs, **how):
    """(exit code, what it wrote if there is a pipe for it, a sentence on the time): how long it took, and how much of a
    core that was, without what the part left behind or never waited for.
    """
    make, began = os.environ.get("MAKE", "make"), time.monotonic()
    process = subprocess.Popen([make, "-k", *jobs, "--no-print-directory", part], stdin=subprocess.DEVNULL, **how)
    said = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = f"== {part} took {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of a core"
    return process.returncode, said, took


def say(*lines):
    with PRINTING:
        print(*lines, sep="\n", flush=True)


def first(part, failed):
    """With the output as it comes: it is the part for which somebody waits. Its own last lines stand close by."""
    say(f"== make {part}")
    code, _, took = run(part, ["-j2", "-Otarget"])
    if code:
        failed[part] = []
    say(took)


def in_lane(parts, failed):
    for part in parts:
        say(f"== {part} begins")
        code, said, took = run(part, [], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = said.decode(errors="replace").rstrip("\n")
        if code:
            failed[part] = said.splitlines()[-LAST_LINES:]
        say(f"== make {part}", said, took)


def main():
    failed, (alone, lanes) = {}, lanes_of(sys.argv[1:])
    if not alone and not lanes:
        sys.exit("parts: nothing to run")
    for part in alone:
        first(part, failed)
    threads = [threading.Thread(target=in_lane, args=(lane, failed)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part, lines in failed.items():
        for line in lines:
            say(f"{part}| {line}")
    if failed:
        print("FAILED:", *failed)
        sys.exit(1)


if __name__ == "__main__":
    main()
