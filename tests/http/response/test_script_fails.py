# SPDX-License-Identifier: Apache-2.0
"""A CGI script exits, is killed, writes nonsense or hangs: at every point of its answer, under mod_cgid and mod_cgi."""
import os
import signal

import pytest

import env
from checks import assert_clean_error

STORES = ["lmdb"]
PATIENCE = "CGIScriptTimeout" if env.MPM == "prefork" else "CGIDScriptTimeout"
# /slow: far longer than a busy machine takes to start Python, or no script would get as far as its gate.
CONFIG = f"""
<Location /cgi/slow>
    {PATIENCE} 3s
</Location>
# httpd does not look at a script's length elsewhere: it drops the header
SetEnvIf Request_URI trusted ap_trust_cgilike_cl
"""
LENGTH = "header=Content-Length:+8"
PIECES = "parts=4&body=01234567"


def run(api, path, query):
    return api.post(f"{path}?{query}", key="k1", body=b"1")


def assert_recorded(api, origin, first, path, query):
    again = run(api, path, query)
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions(path) == 1


def assert_unknown(api, origin, path, query):
    assert run(api, path, query).problem == (409, "outcome-unknown")
    assert origin.executions(path) == 1


def kill_at(api, origin, path, moment, query):
    with origin.hold(path + moment) as held:
        conn = api.post_async(f"{path}?{query}", key="k1", body=b"1")
        held.wait_until_entered()
        os.kill(origin.runs(path)[0]["pid"], signal.SIGKILL)
        return conn.last_result()


# ---- it ends --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 1, 255])
@pytest.mark.parametrize("head", ["", "nonsense", "nonsense%0A%0A", "Status:+200%0D%0A", "Content-Type:+text/plain"])
def test_no_header_or_half_of_one(api, origin, head, code):
    query = f"head={head}&exit={code}"
    assert_clean_error(run(api, "/pay", query), 500)
    assert_unknown(api, origin, "/pay", query)


@pytest.mark.parametrize("code", [1, 255])
def test_answers_and_exits_with_an_error(api, origin, code):
    """No server looks at a script's exit code once it has answered."""
    query = f"{PIECES}&exit={code}"
    first = run(api, "/pay", query)
    assert first.problem == (201, None) and first.body == b"01234567"
    assert_recorded(api, origin, first, "/pay", query)


def test_killed_before_its_header(api, origin):
    assert_clean_error(kill_at(api, origin, "/pay", "", PIECES), 500)
    assert_unknown(api, origin, "/pay", PIECES)


@pytest.mark.parametrize("moment", [".0", ".1", ".3"])
def test_killed_in_an_answer_of_a_declared_length(api, origin, moment):
    query = f"{PIECES}&{LENGTH}"
    assert_clean_error(kill_at(api, origin, "/trusted", moment, query))
    assert_unknown(api, origin, "/trusted", query)


def test_killed_after_its_last_byte(api, origin):
    first = kill_at(api, origin, "/pay", ".4", PIECES)
    assert first.problem == (201, None) and first.body == b"01234567"
    assert_recorded(api, origin, first, "/pay", PIECES)


def test_killed_in_an_answer_of_no_declared_length(api, origin):
    """The end of its output is the end of a script's answer, whatever ended it. The record is the answer that the
    client got.
    """
    first = kill_at(api, origin, "/pay", ".2", PIECES)
    assert first.problem == (201, None) and first.body == b"0123"
    assert_recorded(api, origin, first, "/pay", PIECES)


def test_writes_more_than_it_declared(api, origin):
    query = f"{PIECES}89&{LENGTH}"
    assert_clean_error(run(api, "/trusted", query))
    assert_unknown(api, origin, "/trusted", query)


def test_ends_before_its_header_behind_another_one(api, origin):
    """The first script has answered; the one that it hands on to has not."""
    query = "status=0&header=Location:+/cgi/inner%3Fhead=%26exit=1"
    assert_clean_error(run(api, "/pay", query), 500)
    assert_unknown(api, origin, "/pay", query)
    assert origin.executions("/inner") == 1


@pytest.mark.skipif(env.MPM == "prefork", reason="mod_cgi has no daemon")
def test_daemon_that_cannot_be_reached(api, httpd, origin):
    """As in a graceful restart, when the new one is not there yet: nobody ran."""
    (sock,) = httpd.root.glob("run/cgid.*")
    mode = sock.stat().st_mode
    sock.chmod(0)
    try:
        first = run(api, "/pay", PIECES)
    finally:
        sock.chmod(mode)
    assert_clean_error(first, 503)
    assert origin.executions("/pay") == 0
    again = run(api, "/pay", PIECES)
    assert again.problem == (201, None) and not again.replayed
    assert [row[2:4] for row in httpd.outcomes(api, 2)] == [["executed", "released"], ["executed", "recorded"]]


# ---- it hangs -------------------------------------------------------------------------------------------------------

def test_hangs_before_its_header(api, origin):
    with origin.hold("/slow") as held:
        first = run(api, "/slow", PIECES)
        held.wait_until_entered()
    assert_clean_error(first, 504)
    assert_unknown(api, origin, "/slow", PIECES)


@pytest.mark.parametrize("moment", [".0", ".1", ".4"])
def test_hangs_in_its_answer(api, origin, moment):
    """Also when all its bytes are written: it may have more to say."""
    with origin.hold("/slow" + moment) as held:
        first = run(api, "/slow", PIECES)
        held.wait_until_entered()
    assert_clean_error(first, 504)
    assert_unknown(api, origin, "/slow", PIECES)


# ---- it says so -----------------------------------------------------------------------------------------------------

def test_503_of_its_own_is_released(api, origin):
    for count in (1, 2):
        answer = run(api, "/pay", PIECES + "&status=503")
        assert answer.problem == (503, None) and answer.body == b"01234567" and not answer.replayed
        assert origin.executions("/pay") == count


@pytest.mark.parametrize("moment", [".1", ".3"])
def test_503_that_breaks_off_is_not(api, origin, moment):
    query = f"{PIECES}&{LENGTH}&status=503"
    assert_clean_error(kill_at(api, origin, "/trusted", moment, query))
    assert_unknown(api, origin, "/trusted", query)
