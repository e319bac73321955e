# SPDX-License-Identifier: Apache-2.0
"""What is over its budget is found and named; what is within it, or under it, fails nothing."""
import pathlib
import sys

import pytest

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent))

import callgrind  # noqa: E402 (found by the line above)
from verdict import judge  # noqa: E402

BUDGET = {"instructions": 50000, "allocations": 8.0, "system calls": 9.0, "functions": {"hash": 30000, "copy": 900},
          "calls": {"read": 2.0}}


def found(**more):
    return {**BUDGET, **more}


def test_that_the_same_is_neither_over_nor_low():
    assert judge("replay", found(), BUDGET) == ([], [])


def test_that_a_little_more_is_within_the_budget():
    assert judge("replay", found(instructions=50900), BUDGET) == ([], [])


@pytest.mark.parametrize("more", [{"instructions": 51100}, {"allocations": 9.0}, {"system calls": 10.0}])
def test_that_more_is_over_and_says_what(more):
    over, low = judge("replay", found(**more), BUDGET)
    assert over[0].startswith("replay: ") and next(iter(more)) in over[0]
    assert not low


def test_that_the_functions_that_grew_are_named_the_worst_first():
    functions = {"hash": 29000, "copy": 1500, "new": 700, "same": 2}
    over, _ = judge("first", found(instructions=52000, functions=functions), BUDGET)
    assert [line.split()[0] for line in over[1:]] == ["new", "copy"]


def test_that_system_calls_that_came_are_named():
    over, _ = judge("first", found(**{"system calls": 11.0}, calls={"read": 2.0, "fsync": 2.0}), BUDGET)
    assert over[1:] == ["    fsync: 2.00 times, 0.00 before"]


@pytest.mark.parametrize("less", [{"instructions": 47000}, {"allocations": 7.0}, {"system calls": 8.0}])
def test_that_less_asks_for_a_lower_budget(less):
    over, low = judge("replay", found(**less), BUDGET)
    assert not over and len(low) == 1 and next(iter(less)) in low[0]


def test_how_a_dump_is_read(tmp_path):
    dump = tmp_path / "dump"
    dump.write_text("events: Ir\nob=/lib/libx.so\nfn=0x10\n0 7\ncfn=malloc\ncalls=3 0\n0 90\nfn=work'2\n5 4\n+1 1\n")
    costs, allocations = callgrind.read_dump(dump)
    assert (costs, allocations) == ({"libx.so+0x10": 7, "work": 5}, 3)


def test_that_clocks_are_no_system_calls(tmp_path):
    log = tmp_path / "log"
    log.write_text("SYSCALL[1,1](0) sys_read ( 4 ) --> [async] ... \nSYSCALL[1,1](0) ... [async] --> Success(0x3)\n"
                   "SYSCALL[1,1](96) sys_gettimeofday ( 0x1 )[sync] --> Success(0x0)\n==1== mark one\n")
    assert callgrind.read_system_calls(log) == {"one": {"read": 1}}
