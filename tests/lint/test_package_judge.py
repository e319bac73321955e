# SPDX-License-Identifier: Apache-2.0
"""The judge of upgrades under load (tests/install/package_load.pl) finds what is planted, and passes without it."""
import pathlib
import subprocess

import pytest

LOAD = pathlib.Path(__file__).parent.parent / "install" / "package_load.pl"
LEDGER = "1-000001 700\n2-000001 701\n"
JOURNAL = "before 1-000001 done 1-000001 700\nafter 1-000001 replayed 1-000001 700\nafter 2-000001 unknown -\n"


@pytest.mark.parametrize("ledger, journal, fault", [
    ("", "", None),
    ("1-000001 709\n", "", "1-000001 was executed 2 times"),
    ("", "after 2-000001 replayed 1-000001 700\n", '2-000001 was answered "1-000001 700"'),
    ("", "after 3-000001 done 3-000001 702\n", 'did "nothing"'),
    ("", "after 2-000001 wrong-422 x\n", "2-000001 got wrong-422"),
])
def test_judge(tmp_path, ledger, journal, fault):
    (tmp_path / "ledger").write_text(LEDGER + ledger)
    (tmp_path / "journal").write_text(JOURNAL + journal)
    done = subprocess.run(["perl", LOAD, "judge", tmp_path, tmp_path / "ledger"],
                          check=False, capture_output=True, text=True)
    assert done.returncode == (1 if fault else 0), done.stderr
    assert (fault or "2 operations, 0 faults") in done.stdout
