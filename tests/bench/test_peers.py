# SPDX-License-Identifier: Apache-2.0
"""What peers.py makes of rounds and of answers: whose figures are shown, whose are not, and what is no replay."""
import pathlib
import sys

import pytest

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent))

import peers  # noqa: E402 (found by the line above)

MODULE, PEER = "this module, lmdb", "another"


def kinds(*bare):
    def row(rate):
        return {"rate": rate, "p50": 100, "p99": 200}

    return {"bare": [row(rate) for rate in bare], "replay": [row(rate * 0.9) for rate in bare],
            "first": [row(rate * 0.5) for rate in bare]}


def report(rows, capsys, *arguments, skipped=None):
    code = peers.report(rows, dict.fromkeys(rows, "the whole answer"), skipped or {}, peers.options_of(arguments))
    return code, capsys.readouterr().out


def test_that_a_ratio_is_to_the_own_bare_handler_of_the_round(capsys):
    code, said = report({MODULE: kinds(1000, 1050), PEER: kinds(10, 10.5)}, capsys)
    assert code == 0 and said.count("| 0.90 (0.90–0.90) | 0.50 (0.50–0.50) |") == 2
    assert peers.NO_FIGURES not in said


def test_that_nothing_is_reported_of_a_noisy_machine(capsys):
    code, said = report({MODULE: kinds(1000, 1300), PEER: kinds(10, 10)}, capsys)
    assert code == 1 and "not quiet" in said and "0.90" not in said


def test_that_a_peer_that_was_not_steady_has_no_figures(capsys):
    code, said = report({MODULE: kinds(1000, 1000), PEER: kinds(10, 13)}, capsys)
    assert code == 0 and "another | no figures" in said and said.count("0.90 (") == 1


def test_that_a_lifted_bound_marks_the_table(capsys):
    code, said = report({MODULE: kinds(1000, 1300)}, capsys, "--noisy")
    assert code == 0 and peers.NO_FIGURES in said and "0.90" in said


def test_that_a_peer_that_is_not_there_is_named(capsys):
    _, said = report({MODULE: kinds(1000)}, capsys, skipped={PEER: "npm is not installed"})
    assert "| another | skipped: npm is not installed |" in said


@pytest.mark.parametrize("arguments", [["--noisy", "--write"], ["--check", "--write"], ["--peers", "apache"],
                                       ["--rounds", "0"]])
def test_what_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        peers.options_of(arguments)
    assert "error: " in capsys.readouterr().err


def test_that_the_module_is_always_among_the_chosen():
    assert peers.options_of(["--peers", "express,asgi"]).names == ["module", "express", "asgi"]
    assert peers.options_of([]).names == list(peers.PEERS)


class Made:
    """A peer without a server; ask() stands where Asking.ask does."""
    name, method, port, bare_port = "made", "POST", 1, 2

    def __init__(self, replays, handler_runs, lost):
        self.replays, self.handler_runs, self.lost = replays, handler_runs, lost
        self.runs, self.known = 0, {}

    def ask(self, _path, key=None):
        again = key in self.known
        if not again or self.handler_runs or not self.replays:
            self.runs += 1
        if again and self.replays:
            status, fields, body = self.known[key]
            return status, {**fields, **dict.fromkeys(self.lost)}, body
        answer = 201, dict.fromkeys(peers.KEPT, "x"), (b'{"run":"%05d"}' % self.runs).ljust(250)
        if key:
            self.known[key] = answer
        return answer


def checked(monkeypatch, *how):
    peer = Made(*how)
    monkeypatch.setattr(peers.Asking, "ask", lambda _, path, key=None: peer.ask(path, key))
    return peers.check(peer)


def test_what_is_a_replay(monkeypatch):
    assert checked(monkeypatch, True, False, []) == "the whole answer"
    assert checked(monkeypatch, True, False, ["Location"]) == "all but Location"


@pytest.mark.parametrize("how, said", [((True, True, []), "the handler ran for a replay"),
                                       ((False, True, []), "a replay is another answer")])
def test_what_is_none(monkeypatch, how, said):
    with pytest.raises(RuntimeError, match=said):
        checked(monkeypatch, *how)
