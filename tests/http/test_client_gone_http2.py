# SPDX-License-Identifier: Apache-2.0
"""Over HTTP/2 a stream is reset or its connection is lost: the handler runs to its end, once, and the retry is answered
with it.

httpd marks the stream's connection as aborted at that moment, from another thread. Handlers that look at the mark stop
half-way.
"""

import pytest

import env
from checks import PIECES, assert_ran_to_its_end_once, kill_fpm, settled
from client import Api
from client_http2 import Http2

pytestmark = pytest.mark.skipif(env.MPM == "prefork", reason="mod_http2 does not work with prefork")
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
MODULES = ["http2"]
ORIGIN_MODULE = env.MODULE.parent / "mod_idem_origin.so"
CONFIG = f"""
LoadModule idem_origin_module "{ORIGIN_MODULE}"
Protocols h2c http/1.1
LogLevel http2:trace1 proxy_fcgi:trace8
<Location /rwrite>
    SetHandler idem-origin
</Location>
<Proxy "fcgi://fpm">
    ProxySet flushpackets=on
</Proxy>
<LocationMatch "^/[a-z]+/long">
    IdempotencyMaxResponse 1K
</LocationMatch>
<LocationMatch "^/[a-z]+/streamed">
    IdempotencyResponse stream
</LocationMatch>
<LocationMatch "^/[a-z]+/watched">
    IdempotencyEngine DetectionOnly
</LocationMatch>
<LocationMatch "^/[a-z]+/unspooled">
    IdempotencySpool 0
</LocationMatch>
"""
MOMENTS = ["", ".0", ".1", ".2", ".3", ".4"]


@pytest.fixture(params=["cgi", "fpm", "proxy", "rwrite"])
def api(request, httpd, host):
    return Api(httpd.address, host, "/" + request.param)


@pytest.fixture(autouse=True)
def behave(httpd):
    yield
    httpd.control.behave()


@pytest.fixture
def h2(api):
    with Http2(api.address, api.host) as connection:
        yield connection


def test_nobody_leaves(api, origin, h2):
    first = h2.result(h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1"))
    again = h2.result(h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1"))
    assert first.problem == (201, None) and not first.replayed
    assert again.replayed and again.recorded == first.recorded
    assert_ran_to_its_end_once(api, origin)


@pytest.mark.parametrize("moment", MOMENTS)
def test_stream_is_reset(api, origin, h2, moment):
    with origin.hold("/pay" + moment) as held:
        stream = h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1")
        held.wait_until_entered()
        h2.reset_stream(stream)
        assert api.post(f"/pay?{PIECES}", key="k1", body=b"1").problem == (409, "in-progress")
    assert_ran_to_its_end_once(api, origin)


def lose(httpd, h2, how):
    """Loses the connection, and returns when mod_http2 has noticed and dropped the stream."""
    port, before = h2.sock.getsockname()[1], httpd.log.size()
    if how == "goaway":
        h2.h2.close_connection()
        h2.flush()
    h2.reset() if how == "reset" else h2.sock.close()
    dropped = lambda line: f":{port}]" in line and "transit to [CLEANUP]" in line
    env.until(lambda: any(map(dropped, httpd.log.lines(before))), "mod_http2 drops the stream")


@pytest.mark.parametrize("how", ["reset", "close", "goaway"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_connection_is_lost(api, origin, httpd, h2, moment, how):
    with origin.hold("/pay" + moment) as held:
        h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1")
        held.wait_until_entered()
        lose(httpd, h2, how)
    assert_ran_to_its_end_once(api, origin)


@pytest.mark.parametrize("moment", MOMENTS)
def test_other_streams_go_on(api, origin, h2, moment):
    with origin.hold("/pay" + moment) as held, origin.hold("/other" + moment) as held_too:
        gone = h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1")
        stays = h2.start(f"{api.base}/other?{PIECES}", key="k2", body=b"1")
        held.wait_until_entered()
        held_too.wait_until_entered()
        h2.reset_stream(gone)
    assert h2.result(stays).problem == (201, None)
    assert_ran_to_its_end_once(api, origin)


# ---- while the response flows ---------------------------------------------------------------------------------------

def leave(httpd, h2, stream, how):
    if how == "stream":
        h2.reset_stream(stream)
    else:
        lose(httpd, h2, how)


@pytest.mark.parametrize("how", ["stream", "reset"])
@pytest.mark.parametrize("moment", [".1", ".2", ".4"])
def test_leaving_a_response_that_is_streamed(api, origin, httpd, h2, moment, how):
    with origin.hold("/streamed" + moment) as held:
        stream = h2.start(f"{api.base}/streamed?{PIECES}", key="k1", body=b"1")
        held.wait_until_entered()
        while not h2.answers[stream].body:
            h2.take()
        leave(httpd, h2, stream, how)
    assert_ran_to_its_end_once(api, origin, "/streamed")


@pytest.mark.parametrize("how", ["stream", "reset"])
@pytest.mark.parametrize("moment", [".1", ".2", ".4"])
def test_leaving_a_response_too_long_to_keep(api, origin, httpd, h2, moment, how):
    request = f"/long?size=8000&{PIECES}"
    with origin.hold("/long" + moment) as held:
        stream = h2.start(api.base + request, key="k1", body=b"1")
        held.wait_until_entered()
        while not h2.answers[stream].body:
            h2.take()
        leave(httpd, h2, stream, how)
    assert settled(api, request).problem == (409, "response-not-kept")
    assert origin.executions("/long") == origin.executions("/long.end") == 1


# ---- before and after the handler -----------------------------------------------------------------------------------

def test_reset_before_the_request_is_complete(api, origin, h2):
    """mod_http2 ends such a body like a complete one. Nothing runs, nothing is claimed: the retry is the first."""
    for number in range(10):
        stream = h2.start(f"{api.base}/pay?{PIECES}", key=f"k{number}", body=b"1", length=2)
        h2.reset_stream(stream)
        first = api.post(f"/pay?{PIECES}", key=f"k{number}", body=b"12")
        assert first.problem == (201, None) and not first.replayed
        assert origin.executions("/pay") == number + 1


def test_reset_before_the_handler_is_entered(api, origin, httpd, h2):
    """Nothing has run: the slot is given back."""
    before = len(httpd.control.calls())
    httpd.control.block("claim")
    stream = h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1")
    env.until(lambda: ["claim", "blocked"] in httpd.control.calls()[before:], "the claim")
    h2.reset_stream(stream)
    httpd.control.behave()
    env.until(lambda: ["release", "ok"] in httpd.control.calls()[before:], "the release")
    assert origin.executions("/pay") == 0
    first = api.post(f"/pay?{PIECES}", key="k1", body=b"1")
    assert first.problem == (201, None) and not first.replayed


def test_reset_before_a_handler_that_is_only_watched(httpd, host, origin):
    """It would run without us, unless it wants the body."""
    before = len(httpd.control.calls())
    with Http2(httpd.address, host) as h2:
        httpd.control.block("claim")
        stream = h2.start("/rwrite/watched", key="k1", body=b"1")
        env.until(lambda: ["claim", "blocked"] in httpd.control.calls()[before:], "the claim")
        h2.reset_stream(stream)
        httpd.control.behave()
        env.until(lambda: origin.executions("/watched") == 1, "the handler runs")


def test_reset_while_the_record_is_written(api, origin, httpd, h2):
    before = len(httpd.control.calls())
    httpd.control.block("settle")
    stream = h2.start(f"{api.base}/pay?{PIECES}", key="k1", body=b"1")
    env.until(lambda: ["settle", "blocked"] in httpd.control.calls()[before:], "the settlement")
    h2.reset_stream(stream)
    httpd.control.behave()
    assert_ran_to_its_end_once(api, origin)


# ---- where it is not known ------------------------------------------------------------------------------------------

def test_reset_in_a_body_that_the_handler_reads(httpd, host, origin):
    """Beyond the spool the handler is at work before the body is complete: it may have acted on the half."""
    api = Api(httpd.address, host)
    with Http2(httpd.address, host) as h2:
        stream = h2.start("/cgi/unspooled", key="k1", body=b"1", length=2)
        env.until(lambda: origin.executions("/unspooled"), "the handler is at work")
        h2.reset_stream(stream)
        assert settled(api, "/unspooled", body=b"12").problem == (409, "outcome-unknown")
    assert origin.executions("/unspooled") == 1


def test_reset_and_then_the_backend_dies(httpd, host, origin):
    """mod_proxy_fcgi takes a failure for the client's when the connection is marked, and reports success."""
    api = Api(httpd.address, host, "/fpm")
    with Http2(httpd.address, host) as h2, origin.hold("/pay.2") as held:
        stream = h2.start(f"/fpm/pay?{PIECES}", key="k1", body=b"1")
        held.wait_until_entered()
        h2.reset_stream(stream)
        kill_fpm(httpd, origin, "/pay", 2)
        assert settled(api, f"/pay?{PIECES}").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


def test_nobody_leaves_and_the_backend_dies(httpd, host, origin):
    """What flows over HTTP/2 and breaks off is a stream that is reset, not one that ends."""
    api = Api(httpd.address, host, "/fpm")
    with Http2(httpd.address, host) as h2, origin.hold("/streamed.2") as held:
        stream = h2.start(f"/fpm/streamed?{PIECES}", key="k1", body=b"1")
        while not h2.answers[stream].body:
            h2.take()
        kill_fpm(httpd, origin, "/streamed", 2)
        first = h2.result(stream)
    assert first.was_reset and not first.ended
    assert settled(api, f"/streamed?{PIECES}").problem == (409, "outcome-unknown")
    assert origin.executions("/streamed") == 1
