# SPDX-License-Identifier: Apache-2.0
"""What bench.py makes of rounds: ratios within each round, no report where the bare handler was not steady."""
import pathlib
import sys
import types

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent))

import bench  # noqa: E402 (found by the line above)


def row(rate, cpu=10.0):
    return {"rate": rate, "cpu": cpu, "p50": 100, "p99": 200, "p99.9": 300, "memory": 5}


SERIES = bench.Series("lmdb", "event", 16, 200, 250, 3, 1)


def run_main(monkeypatch, capsys, bare):
    rows = {"bare": [row(rate) for rate in bare], "replay": [row(rate * 0.9, 12.0) for rate in bare]}
    monkeypatch.setattr(bench, "why_not", lambda: None)
    monkeypatch.setattr(bench, "plan", lambda options: [SERIES])
    monkeypatch.setattr(bench, "run", lambda series, say: rows)
    monkeypatch.setattr(sys, "argv", ["bench.py"])
    return bench.main(), capsys.readouterr().out


def test_that_a_ratio_is_taken_within_its_round(monkeypatch, capsys):
    code, said = run_main(monkeypatch, capsys, [1000, 1020, 1050])
    assert code == 0 and "| replay | 0.90 (0.90–0.90) |" in said and "| 12.0 | 1.20 |" in said


def test_that_nothing_is_reported_of_a_noisy_machine(monkeypatch, capsys):
    code, said = run_main(monkeypatch, capsys, [1000, 1300, 1050])
    assert code == 1 and "not quiet" in said and "replay" not in said


def test_that_tables_replace_those_of_before(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    monkeypatch.setattr(bench, "PAGE", page)
    bench.write(["new"])
    assert page.read_text() == f"before\n{bench.BEGIN}\n\nnew\n\n{bench.END}\nafter\n"


def test_what_is_planned():
    series = bench.plan(types.SimpleNamespace(quick=False, only=""))
    assert {one.store for one in series} == set(bench.STORES)
    assert {one.mpm for one in series} == {"event", "worker", "prefork"}
    assert {one.connections for one in series} == {1, 16, 64}
    assert len(bench.plan(types.SimpleNamespace(quick=True, only=""))) == 1
