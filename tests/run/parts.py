#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the parts of make test, which are make targets: the first ones alone, then lanes beside each other. So a part
that waits leaves the machine to one that computes. Called by mk/suite.mk.

    parts.py check -- integration-short -- analyze asan

Words before the first "--" are run one after the other. Each "--" begins a lane; its parts are run one after the other,
too. A part that fails stops nothing. In a lane a part's output is shown when it has ended. The last line names those
that failed.
"""
import os
import subprocess
import sys
import threading
import time

PRINTING = threading.Lock()


def lanes_of(words):
    lanes = [[]]
    for word in words:
        lanes.append([]) if word == "--" else lanes[-1].append(word)
    return lanes[0], lanes[1:]


def run(part, jobs, **how):
    make = os.environ.get("MAKE", "make")
    return subprocess.run([make, "-k", *jobs, "--no-print-directory", part], stdin=subprocess.DEVNULL, **how)


def say(*lines):
    with PRINTING:
        print(*lines, sep="\n", flush=True)


def first(part, failed):
    """With the output as it comes: it is the part for which somebody waits."""
    say(f"== make {part}")
    began = time.monotonic()
    if run(part, ["-j2", "-Otarget"]).returncode:
        failed.append(part)
    say(f"== {part} took {time.monotonic() - began:.0f} s")


def in_lane(parts, failed):
    for part in parts:
        began = time.monotonic()
        say(f"== {part} begins")
        done = run(part, [], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            failed.append(part)
        say(f"== make {part}", done.stdout.decode(errors="replace").rstrip("\n"),
            f"== {part} took {time.monotonic() - began:.0f} s")


def main():
    failed, (alone, lanes) = [], lanes_of(sys.argv[1:])
    if not alone and not lanes:
        sys.exit("parts: nothing to run")
    for part in alone:
        first(part, failed)
    threads = [threading.Thread(target=in_lane, args=(lane, failed)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        print("FAILED:", *failed)
        sys.exit(1)


if __name__ == "__main__":
    main()
