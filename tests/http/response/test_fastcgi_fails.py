# SPDX-License-Identifier: Apache-2.0
"""
The backend of mod_proxy_fcgi fails. What it returns 503 for may have acted, unless it says that it could not connect.

Half of the tests kill a worker of PHP-FPM at a gate, the others send every byte themselves.
"""
import pytest

import env
from checks import assert_asked_once, assert_clean_error, assert_unknown, kill_fpm
from peer import end_request, record, stdout

STORES = ["lmdb"]
BASE = "/peer"
MODULES = ["proxy_ajp", "proxy_scgi", "proxy_uwsgi"]
CONFIG = """
LogLevel proxy_fcgi:trace8
ProxyPass /slow fcgi://127.0.0.1:{peer}/slow timeout=1
ProxyPass /peer fcgi://127.0.0.1:{peer}/
<Location /peer/overridden>
    ProxyErrorOverride On
</Location>
ProxyPass /silent unix:{stage}/nobody.sock|fcgi://nobody/silent/
<Location /silent>
    LogLevel crit
</Location>
ProxyPass /nowhere unix:{stage}/nobody.sock|fcgi://nobody/
ProxyPass /pinged ajp://127.0.0.1:{peer}/pinged ping=1
ProxyPass /ajp ajp://127.0.0.1:{peer}/
ProxyPass /scgi scgi://127.0.0.1:{peer}/
ProxyPass /uwsgi uwsgi://127.0.0.1:{peer}/
SetEnvIf Request_URI trusted ap_trust_cgilike_cl
"""
HEAD = b"Status: 201\r\nContent-Type: text/plain\r\n"
NO_ANSWER = {"nothing": b"", "half the head": stdout(HEAD), "half a record's head": b"\x01\x06",
             "words on stderr": record(7, b"trouble"), "the head": stdout(HEAD + b"\r\n")}
CUT = {"half the body": stdout(HEAD + b"\r\nHALF."),
       "half a record": stdout(HEAD + b"\r\n0123456789")[:-5],
       "no end of the request": stdout(HEAD + b"\r\n0123456789") + stdout(b"")}


def execute(api, peer, answer, end="close", path="/pay"):
    conn = api.post_async(path, key="k1", body=b"1")
    exchange = peer.accept()
    exchange.read_fastcgi()
    exchange.send(answer)
    if end == "wait":  # until httpd gives up
        first = conn.last_result()
        exchange.end()
        return first
    exchange.end(end)
    return conn.last_result()


# ---- byte by byte ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", NO_ANSWER)
def test_dies_before_its_answer(api, peer, part, end):
    assert_clean_error(execute(api, peer, NO_ANSWER[part], end), 503)
    assert_unknown(api, peer)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", CUT)
def test_dies_in_its_answer(api, peer, part, end):
    assert_clean_error(execute(api, peer, CUT[part], end))
    assert_unknown(api, peer)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("tail", [end_request(), end_request()[8:]])
def test_dies_after_its_answer(api, peer, tail, end):
    """PHP-FPM ends a request without an empty record of output: mod_proxy_fcgi then passes no end of stream."""
    first = execute(api, peer, stdout(HEAD + b"\r\n0123456789") + tail, end)
    assert first.problem == (201, None) and first.body == b"0123456789"
    assert_asked_once(api, peer, first)


def test_sends_less_than_it_declared(api, peer):
    """httpd believes a script's length only where it is told to."""
    api, answer = api.at("/peer/trusted"), stdout(HEAD + b"Content-Length: 10\r\n\r\nHALF.") + end_request()
    assert_clean_error(execute(api, peer, answer))
    assert_unknown(api, peer)


def test_answers_something_else(api, peer):
    assert_clean_error(execute(api, peer, b"HTTP/1.1 400 Bad Request\r\n\r\n"), 503)
    assert_unknown(api, peer)


@pytest.mark.parametrize("part", ["nothing", "half the head"])
def test_times_out_before_its_answer(api, peer, part):
    api = api.at("/slow")
    assert_clean_error(execute(api, peer, NO_ANSWER[part], "wait"), 504)
    assert_unknown(api, peer)


@pytest.mark.parametrize("part", ["half the body", "no end of the request"])
def test_times_out_in_its_answer(api, peer, part):
    api = api.at("/slow")
    assert_clean_error(execute(api, peer, CUT[part], "wait"))
    assert_unknown(api, peer)


def test_cannot_be_reached(api, peer):
    """The same 503 as for a worker that died; but httpd says in its log that it could not connect."""
    peer.refuse()
    assert_clean_error(api.post("/pay", key="k1", body=b"1"), 503)
    peer.listen()
    again = execute(api, peer, stdout(HEAD + b"\r\n0123456789") + end_request())
    assert again.problem == (201, None) and not again.replayed


@pytest.mark.parametrize("scheme", ["ajp", "scgi", "uwsgi"])
def test_other_protocols(api, httpd, peer, scheme):
    """They say the same: it was not there, or it was, and died before its answer."""
    api = api.at("/" + scheme)
    peer.refuse()
    assert_clean_error(api.post("/pay", key="k1", body=b"1"), 503)
    peer.listen()
    conn = api.post_async("/pay", key="k1", body=b"1")
    exchange = peer.accept()
    exchange.stream.read(1)
    exchange.end()
    assert conn.last_result().status >= 500
    assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert not peer.came()
    assert [row[3] for row in httpd.outcomes(api, 3)] == ["released", "unknown", "-"]


def test_ping_of_ajp_that_is_not_answered(api, httpd, peer):
    """It goes before the request and is no part of it: two were sent, and nothing else."""
    conn = api.at("/pinged").post_async("/pay", key="k1", body=b"1")
    for _ in range(2):
        exchange = peer.accept()
        assert exchange.stream.read(5) == b"\x12\x34\x00\x01\x0a"
        exchange.end()
    assert_clean_error(conn.last_result(), 503)
    assert httpd.outcomes(api, 1)[0][3] == "released"


def test_socket_is_missing_for_a_moment(api, httpd, stage, origin):
    """As while a package of PHP-FPM is upgraded: nothing was sent, and the retry executes."""
    api, sock = api.at("/fpm"), stage.root / "fpm.sock"
    sock.rename(stage.root / "fpm.sock.away")
    first = api.post("/pay", key="k1", body=b"1")
    (stage.root / "fpm.sock.away").rename(sock)
    assert_clean_error(first, 503)
    assert origin.executions("/pay") == 0
    again = api.post("/pay", key="k1", body=b"1")
    assert again.problem == (201, None) and not again.replayed
    assert [row[2:4] for row in httpd.outcomes(api, 2)] == [["executed", "released"], ["executed", "recorded"]]


def test_cannot_be_reached_and_httpd_must_not_say_so(api):
    """Where LogLevel hides the line there is no evidence."""
    api = api.at("/silent")
    assert_clean_error(api.post("/pay", key="k1", body=b"1"), 503)
    assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")


def test_cannot_be_reached_by_one_who_has_acted(api, origin):
    """A script that has run redirects to it: nothing was sent there, and all the same something was done."""
    api = api.at("/cgi")
    query = "/pay?status=0&header=Location:+/nowhere/pay"
    assert_clean_error(api.post(query, key="k1", body=b"1"), 503)
    assert api.post(query, key="k1", body=b"1").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


def test_override(api, peer):
    """mod_proxy_fcgi makes the page itself; the script's status and its control header count."""
    api = api.at("/peer/overridden")
    for head in (b"Status: 503 Not Now\r\n\r\n", b"Status: 500 No\r\nIdempotency-Control: no-store\r\n\r\n"):
        before = peer.requests
        for count in (1, 2):
            answer = execute(api, peer, stdout(head + b"HALF") + end_request())
            assert_clean_error(answer, int(head[8:11]))
            assert peer.requests == before + count


def test_application_that_says_503(api, peer):
    busy = stdout(b"Status: 503 Not Now\r\n\r\nbusy") + end_request()
    for count in (1, 2):
        answer = execute(api, peer, busy)
        assert answer.problem == (503, None) and answer.body == b"busy" and not answer.replayed
        assert peer.requests == count


# ---- PHP-FPM --------------------------------------------------------------------------------------------------------

def kill_at(api, httpd, origin, moment, query):
    """PHP writes a record for each piece of the body; the head leaves with the first one."""
    with origin.hold("/pay" + moment) as held:
        conn = api.post_async(f"/pay?{query}", key="k1", body=b"1")
        held.wait_until_entered()
        kill_fpm(httpd, origin, "/pay", int(moment[1:] or 0))
        return conn.last_result()


def retry(api, path, query):
    return api.post(f"{path}?{query}", key="k1", body=b"1")


def test_worker_killed_after_it_read_the_request(api, httpd, origin):
    """The status that says "not now" and does not mean it."""
    api = api.at("/fpm")
    assert_clean_error(kill_at(api, httpd, origin, "", "parts=4"), 503)
    assert retry(api, "/pay", "parts=4").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("moment", [".1", ".2", ".4"])
def test_worker_killed_in_its_answer(api, httpd, origin, moment):
    api = api.at("/fpm")
    assert_clean_error(kill_at(api, httpd, origin, moment, "parts=4&size=4000"))
    assert retry(api, "/pay", "parts=4&size=4000").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


PHP = ["/fpm", "/php"] if "php" in env.KINDS else ["/fpm"]


@pytest.mark.parametrize("base", PHP)
def test_fatal_error_before_the_first_byte(api, origin, base):
    """PHP answers 500 itself."""
    api = api.at(base)
    first, again = (retry(api, "/pay", "fatal=at+once") for _ in range(2))
    assert first.status == 500 and first.body == b""
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("base", PHP)
def test_fatal_error_in_the_body(api, origin, base):
    """PHP ends such a response like any other. What the client was told was the answer is the answer."""
    api = api.at(base)
    first, again = (retry(api, "/pay", "parts=4&body=01234567&fatal=2") for _ in range(2))
    assert first.problem == (201, None) and first.body == b"0123"
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("base", PHP)
def test_fatal_error_in_a_body_of_a_declared_length(api, origin, base):
    query = "parts=4&body=01234567&fatal=2&header=Content-Length:+8"
    api = api.at(base)
    path = "/trusted"
    assert_clean_error(retry(api, path, query))
    assert retry(api, path, query).problem == (409, "outcome-unknown")
    assert origin.executions(path) == 1
