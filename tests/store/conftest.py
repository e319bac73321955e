# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the stores that are servers of their own: the programs that drive a driver, and a folder for each test.
"""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / os.environ.get("IDEM_BUILD", "build")
sys.path[:0] = [str(HERE), str(HERE / "servers")]

pytest.register_assert_rewrite("failures")

from driven import Driven  # noqa: E402 (found by the line above)


def pytest_make_parametrize_id(val, argname):
    """Bytes can hold the time of day, and a test has to have one name in all workers."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def conformance():
    """Runs the suite on a store; returns what it printed."""
    def run(*arguments):
        done = subprocess.run([BUILD / "conformance", *arguments], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


@pytest.fixture
def drive():
    """Starts a process that uses a store as it is told: drive(url, "wait=1,100", timeout_ms=300). A test that is not
    about time gives a busy machine more than the driver's own half second.
    """
    driven = []

    def start(url, *options, timeout_ms=5000):
        driven.append(Driven(BUILD / "driven", url, options, timeout_ms))
        return driven[-1]
    yield start
    for one in driven:
        one.end()


@pytest.fixture
def refusal():
    """Why an address or an option is refused when a configuration is read."""
    def configure(url, *options):
        done = subprocess.run([BUILD / "driven", url, *options],
                              capture_output=True,
                              text=True,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 1, done.stdout
        return done.stdout.strip()
    return configure
