# SPDX-License-Identifier: Apache-2.0
"""Requests whose body is long, slow, cut, announced, half read or not wanted. Either nothing ran, or it ran once, and
its record says over how much of the body a retry is compared. What lies in the spool leaves nothing behind.
"""
import hashlib
import os
import signal
import socket

import pytest

import env
from checks import assert_replayed, parts_named
from client import Api
from origins.answer import binary

STORES = ["lmdb"]
ORIGIN_MODULE = env.MODULE.parent / "mod_idem_origin.so"
CONFIG = f"""
LoadModule idem_origin_module "{ORIGIN_MODULE}"
<Location /rwrite>
    SetHandler idem-origin
</Location>
<LocationMatch "^/[a-z]+/(small|limited|overflow|required|private)">
    IdempotencyPrefetch 4K
    IdempotencySpool 64K
</LocationMatch>
<LocationMatch "^/[a-z]+/limited">
    LimitRequestBody 40000
</LocationMatch>
<LocationMatch "^/[a-z]+/overflow">
    LimitRequestBody 200000
</LocationMatch>
<LocationMatch "^/[a-z]+/huge">
    LimitRequestBody 0
</LocationMatch>
<Location /cgi/required>
    IdempotencyRequireKey On
</Location>
<Location /cgi/private>
    AuthType Basic
    AuthName private
    AuthUserFile "{{stage}}/passwords"
    Require valid-user
</Location>
"""
PREFETCH, SPOOL, MIB = 4096, 65536, 1 << 20
LONG = 5 * SPOOL


def fields_of(length, key="k1", *more):
    framing = ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))
    return [("Idempotency-Key", key), framing, *more]


def chunked(body, size=1000, end=b"0\r\n\r\n"):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def upload(api, path, fields, data, half_close=False):
    with api.connect() as conn:
        conn.send(api.head("POST", path, fields) + data)
        if half_close:
            conn.sock.shutdown(socket.SHUT_WR)
        return conn.result()


@pytest.fixture(params=["/cgi"] + (["/php"] if "php" in env.KINDS else []))
def limited(request, api):
    """LimitRequestBody is for what httpd itself runs."""
    return api.at(request.param)


@pytest.fixture
def inside(api):
    """The handler that lives in httpd reads as much of its request as it is told."""
    return api.at("/rwrite")


# ---- what is left behind --------------------------------------------------------------------------------------------

def spools(child):
    """The temporary files a process has open."""
    folder = f"/proc/{child}/fd"
    links = []
    for number in os.listdir(folder):
        try:
            links.append(os.readlink(f"{folder}/{number}"))
        except FileNotFoundError:
            pass  # closed meanwhile
    return [link for link in links if "idempotency-body" in link]


def temporary(server):
    """Ours or mod_proxy's, which has no reason to make one. PHP keeps bodies in files of its own."""
    return [path for path in (server.root / "tmp").iterdir() if not path.name.startswith("php")]


def test_spool_has_no_name_and_goes_with_its_request(httpd, each_api, origin):
    with origin.hold("/small") as held:
        conn = each_api.post_async("/small", key="k1", body=binary("u", SPOOL))
        held.wait_until_entered()
        child = httpd.child_of(conn)
        (spool,) = spools(child)
        assert spool.startswith(str(httpd.root / "tmp")) and spool.endswith(" (deleted)")
        assert temporary(httpd) == []
    assert conn.result().status == 201
    env.until(lambda: not spools(child), "the spool is closed")
    again = each_api.post("/small", key="k1", body=binary("u", SPOOL))
    assert again.replayed
    env.until(lambda: not any(spools(child) for child in httpd.children()), "the retry's spool is closed")
    assert temporary(httpd) == [] and origin.executions() == 1


@pytest.mark.parametrize("sent", [SPOOL // 2, SPOOL])
def test_nothing_is_left_by_a_killed_process(new_httpd, host, origin, sent):
    server = new_httpd(CONFIG).start()
    api = Api(server.address, host)
    with origin.hold("/small") as held, api.connect() as conn:
        conn.send(api.head("POST", "/small", fields_of(SPOOL)) + binary("u", sent))
        child = env.until(lambda: next((child for child in server.children() if spools(child)), None),
                          "a spool is opened")
        if sent == SPOOL:
            held.wait_until_entered()
        assert temporary(server) == []
        os.kill(child, signal.SIGKILL)
        env.until(lambda: child not in server.children(), "the parent buries its child")
    assert temporary(server) == []
    assert not any(spools(child) for child in server.children())
    retry = api.post("/small", key="k1", body=binary("u", SPOOL))
    assert retry.problem == ((409, "outcome-unknown") if sent == SPOOL else (201, None))
    assert origin.executions("/small") == 1


@pytest.mark.parametrize("base", ["/cgi", "/proxy"])
def test_body_beyond_the_spool_reaches_the_origin_as_it_comes(httpd, api, origin, base):
    """mod_proxy would store a body of declared length if it saw a filter that may change it. PHP waits for its end by
    itself.
    """
    body, api = binary("u", LONG), api.at(base)
    with api.connect() as conn:
        conn.send(api.head("POST", "/small?echo=1", fields_of(LONG)) + body[:LONG // 2])
        env.until(lambda: origin.executions(), "the origin begins")
        assert temporary(httpd) == []
        conn.send(body[LONG // 2:])
        first = conn.result()
    assert first.json["sha256"] == hashlib.sha256(body).hexdigest()
    assert (first.json["sent"].get("CONTENT_LENGTH") or first.json["sent"]["HTTP_CONTENT_LENGTH"]) == str(LONG)
    assert api.post("/small?echo=1", key="k1", body=body).recorded == first.recorded
    assert origin.executions() == 1


def peak(pid):
    """The most memory a process ever had, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


@pytest.mark.memory
@pytest.mark.parametrize("base,framing", [("/cgi", "length"), ("/proxy", "length"), ("/rwrite", "length"),
                                          ("/rwrite", "chunked")])
def test_body_of_a_gibibyte(new_httpd, host, origin, base, framing):
    """Never stored, hashed at constant memory, for the first request as for the retry that is compared with it."""
    server = new_httpd(CONFIG + "KeepAliveTimeout 300\n").start()  # the client computes between two requests
    block, count = binary("g", MIB), 1024
    digest = hashlib.sha256()
    api, answers = Api(server.address, host, base), []
    with Api(server.address, "warm.test").start("GET", "/nothing") as conn:
        conn.result("GET")
        child = server.child_of(conn)
        before = peak(child)
        for attempt in range(2):
            conn.send(api.head("POST", "/huge?echo=1", fields_of(None if framing == "chunked" else count * MIB)))
            for _ in range(count):
                conn.send(b"%x\r\n%s\r\n" % (MIB, block) if framing == "chunked" else block)
            conn.send(b"0\r\n\r\n" if framing == "chunked" else b"")
            answers.append(conn.result())
            if attempt == 0 and base != "/rwrite":
                for _ in range(count):
                    digest.update(block)
        grown = peak(child) - before
    assert grown < 8 * MIB, f"grew by {grown}"
    if base != "/rwrite":
        assert (answers[0].json["length"], answers[0].json["sha256"]) == (count * MIB, digest.hexdigest())
    assert not answers[0].replayed and answers[1].replayed and answers[1].recorded == answers[0].recorded
    assert origin.executions("/huge") == 1
    env.until(lambda: not spools(child), "spools are closed")
    assert temporary(server) == []


# ---- framing --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, PREFETCH, SPOOL + 1, LONG])
def test_chunks_and_trailers_are_framing(each_api, origin, size):
    """Other chunks, extensions and trailers make no other request."""
    body = binary("u", size)
    trailer = b"0\r\nX-Checksum: 1\r\n\r\n"
    first = upload(each_api, "/small?echo=1", fields_of(None), chunked(body, 1000))
    again = upload(each_api, "/small?echo=1", fields_of(None, "k1", ("Trailer", "X-Checksum")),
                   chunked(body, 777, trailer))
    assert first.json["sha256"] == hashlib.sha256(body).hexdigest()
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == 1


def test_trailers_reach_the_handlers_end_of_body(each_api, origin):
    body = binary("u", LONG)
    trailer = b"0\r\nX-Checksum: 1\r\nX-Other: 2\r\n\r\n"
    with each_api.connect() as conn:
        for key in ("k1", "k2"):  # the connection is fit for the next request
            conn.send(each_api.head("POST", "/small?echo=1", fields_of(None, key)) + chunked(body, 1000, trailer))
            answer = conn.result()
            assert not answer.replayed and answer.json["sha256"] == hashlib.sha256(body).hexdigest()
    assert origin.executions() == 2


def multipart(boundary, values):
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="part{number}"\r\n\r\n'.encode() + value + b"\r\n"
             for number, value in enumerate(values)]
    return {"body": b"".join(parts) + f"--{boundary}--\r\n".encode(),
            "headers": [("Content-Type", f"multipart/form-data; boundary={boundary}")]}


BOUNDARIES = ["----one", "----another-and-a-longer-one", "x"]
VALUES = [b"1", binary("m", 3000), b"--\r\n--" * 10, binary("n", 1)]


@pytest.mark.parametrize("values", [VALUES, VALUES + [binary("o", 20 * SPOOL // 10)] * 2],
                         ids=["small", "beyond the spool"])
def test_multipart_with_other_boundaries(each_api, origin, values):
    first = each_api.post("/small", key="k1", **multipart(BOUNDARIES[0], values))
    assert first.status == 201
    for boundary in BOUNDARIES:
        again = each_api.post("/small", key="k1", **multipart(boundary, values))
        assert again.replayed and again.recorded == first.recorded
        refused = each_api.post("/small", key="k1", **multipart(boundary, values[:-1] + [values[-1][:-1] + b"?"]))
        assert refused.problem == (422, "key-reused") and parts_named(refused) == ["body"]
    assert origin.executions() == 1


# ---- a handler that does not read all of it -------------------------------------------------------------------------

def test_unread_body_within_the_spool(inside, origin):
    """It was read ahead, so all of it counts."""
    body = binary("u", SPOOL)
    first, again = [inside.post("/small?read=0", key="k1", body=body) for _ in range(2)]
    assert first.status == 201
    assert again.replayed and again.recorded == first.recorded
    assert inside.post("/small?read=0", key="k1", body=body[:-1] + b"?").problem == (422, "key-reused")
    assert origin.executions("/small") == 1


@pytest.mark.parametrize("read", [0, 1, LONG // 2, LONG - 1])
def test_unread_body_beyond_the_spool(inside, origin, read):
    """What nobody read cannot be compared, its declared length can."""
    body, path = binary("u", LONG), f"/small?read={read}"
    first = inside.post(path, key="k1", body=body)
    assert first.status == 201
    for same in (body, body[:-1] + b"?"):
        again = inside.post(path, key="k1", body=same)
        assert again.replayed and again.recorded == first.recorded
    for other in (body + b"?", body[:-1], b"?" + body[1:] if read else body[:1]):
        assert inside.post(path, key="k1", body=other).problem == (422, "key-reused")
    assert origin.executions("/small") == 1


MULTIPART_READ = [0, 1, 5, 20, 100, 2000, 3300, 60000, 150000]


@pytest.mark.parametrize("read", MULTIPART_READ)
def test_half_read_multipart_with_other_boundaries(inside, origin, read):
    values, path = VALUES + [binary("o", 100000)] * 2, f"/small?read={read}"
    first = inside.post(path, key="k1", **multipart(BOUNDARIES[0], values))
    assert first.status == 201
    for boundary in BOUNDARIES:
        again = inside.post(path, key="k1", **multipart(boundary, values))
        assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/small") == 1


# ---- announced ------------------------------------------------------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def announced(api, path, length, *more, key="k1"):
    conn = api.connect()
    conn.send(api.head("POST", path, fields_of(length, key, ("Expect", "100-continue"), *more)))
    return conn


def sent_when_wanted(conn, body):
    with conn:
        assert conn.sock.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
        conn.send(body)
        return conn.result()


@pytest.mark.parametrize("size", [1, SPOOL, SPOOL + 1, LONG])
def test_announced_body_is_asked_for(each_api, origin, size):
    body = binary("u", size)
    first = sent_when_wanted(announced(each_api, "/small?echo=1", size), body)
    assert first.json["sha256"] == hashlib.sha256(body).hexdigest()
    again = sent_when_wanted(announced(each_api, "/small?echo=1", size), body)  # which the retry is compared by
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == 1


def refused_at_once(conn):
    with conn:
        first_bytes = conn.sock.recv(12, socket.MSG_PEEK)
        assert first_bytes[9:10] in b"45", first_bytes
        return conn.result()


@pytest.mark.parametrize("path,key,status,problem", [
    ("/small", '"', 400, "key-invalid"), ("/small", "", 400, "key-invalid"), ("/private", "k1", 401, None)])
@pytest.mark.parametrize("size", [10, LONG])
def test_refusal_that_needs_no_body_asks_for_none(api, origin, path, key, status, problem, size):
    assert refused_at_once(announced(api, path, size, key=key)).problem == (status, problem)
    assert origin.executions() == 0


def test_missing_key_is_refused_before_the_body(api, origin):
    with api.connect() as conn:
        conn.send(api.head("POST", "/required", [("Content-Length", "10"), ("Expect", "100-continue")]))
        assert refused_at_once(conn).problem == (400, "key-missing")
    assert origin.executions() == 0


@pytest.mark.parametrize("path,limit", [("/limited", 40000), ("/overflow", 200000)])
def test_body_over_the_limit_is_not_asked_for(limited, origin, path, limit):
    assert refused_at_once(announced(limited, path, limit + 1)).status == 413
    assert origin.executions() == 0
    assert limited.post(path, key="k1", body=binary("u", limit)).status == 201
    assert origin.executions() == 1


def test_decided_without_a_body_beyond_the_spool(api, origin):
    """While another one runs, and where something else differs, no byte of it is needed."""
    body = binary("u", LONG)
    with origin.hold("/small") as held:
        first = api.post_async("/small", key="k1", body=body)
        held.wait_until_entered()
        assert refused_at_once(announced(api, "/small", LONG)).problem == (409, "in-progress")
    assert first.result().status == 201
    assert refused_at_once(announced(api, "/small?other=1", LONG)).problem == (422, "key-reused")
    assert refused_at_once(announced(api, "/small", LONG + 1)).problem == (422, "key-reused")
    assert sent_when_wanted(announced(api, "/small", LONG), body).replayed
    assert origin.executions() == 1


def test_unknown_outcome_is_told_without_a_body_beyond_the_spool(api, origin, httpd):
    conn = announced(api, "/small", LONG)
    assert conn.sock.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
    conn.reset()
    assert httpd.outcomes(api, 1)[0][2:4] == ["executed", "unknown"]
    assert refused_at_once(announced(api, "/small", LONG)).problem == (409, "outcome-unknown")
    assert origin.executions() <= 1  # httpd may have killed the script before it said so


def test_handler_that_does_not_ask(inside, origin):
    """A client that waits for a word is answered by a handler that wants no body, and so is its retry."""
    for replayed in (False, True):
        with announced(inside, "/small?read=0", LONG) as conn:
            assert conn.sock.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 201"
            assert conn.result().replayed == replayed
    assert origin.executions("/small") == 1


def test_announced_body_that_never_comes(each_api, origin, httpd):
    conn = announced(each_api, "/small", SPOOL)
    assert conn.sock.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
    conn.sock.close()
    httpd.outcomes(each_api, 1)
    assert origin.executions() == 0
    assert each_api.post("/small", key="k1", body=binary("u", SPOOL)).problem == (201, None)


# ---- slow -----------------------------------------------------------------------------------------------------------

def test_slow_upload_claims_nothing_until_it_is_complete(each_api, origin):
    """One that is faster overtakes it; the slow one is answered from its record."""
    body = binary("u", SPOOL)
    with each_api.connect() as slow:
        slow.send(each_api.head("POST", "/small", fields_of(SPOOL)))
        for at in range(0, SPOOL // 2, SPOOL // 16):
            slow.send(body[at:at + SPOOL // 16])
        assert origin.executions() == 0
        first = each_api.post("/small", key="k1", body=body)
        assert first.problem == (201, None) and not first.replayed
        slow.send(body[SPOOL // 2:])
        again = slow.result()
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions() == 1


@pytest.mark.parametrize("size,ran", [(SPOOL, False), (LONG, True)])
def test_upload_that_times_out(new_httpd, host, origin, size, ran):
    server = new_httpd(CONFIG + "RequestReadTimeout body=1\n", modules=["reqtimeout"]).start()
    api, body = Api(server.address, host), binary("u", size)
    with api.connect() as conn:
        conn.send(api.head("POST", "/small", fields_of(size)) + body[:size // 2])
        assert conn.result().status == 408
    assert origin.executions() == ran
    retry = api.post("/small", key="k1", body=body)
    assert retry.problem == ((409, "outcome-unknown") if ran else (201, None))
    assert origin.executions() == 1


# ---- cut, malformed, too long ---------------------------------------------------------------------------------------

MALFORMED = {
    "a chunk of no size": chunked(b"x" * 2000, end=b"zzz\r\n"),
    "a chunk longer than it says": chunked(b"x" * 2000, end=b"3\r\nabcdef\r\n0\r\n\r\n"),
    "an end in a chunk": chunked(b"x" * 2000, end=b"100\r\nabc"),
    "no last chunk": chunked(b"x" * 2000, end=b""),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_body_within_the_spool(each_api, origin, fault):
    answer = upload(each_api, "/small", fields_of(None), MALFORMED[fault], half_close=True)
    assert answer.status == 400 and answer["Idempotency-Error"] is None
    assert origin.executions() == 0
    assert each_api.post("/small", key="k1", body=b"x" * 2000).problem == (201, None)
    assert origin.executions() == 1


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_body_beyond_the_spool(httpd, each_api, origin, fault):
    """The handler has begun, and may have acted on what it had."""
    data = chunked(b"x" * 2 * SPOOL, 4096, MALFORMED[fault])
    answer = upload(each_api, "/small", fields_of(None), data, half_close=True)
    assert answer.status in (400, 500, 502) and not answer.replayed
    assert httpd.outcomes(each_api, 1)[0][2:4] == ["executed", "unknown"]
    assert upload(each_api, "/small", fields_of(None), chunked(b"x" * 2 * SPOOL)).problem == (409, "outcome-unknown")
    assert origin.executions() <= 1


@pytest.mark.parametrize("size", [SPOOL // 2, SPOOL])
def test_upload_that_is_half_closed(each_api, origin, size):
    answer = upload(each_api, "/small", fields_of(size), binary("u", size - 1), half_close=True)
    assert answer.status == 400
    assert origin.executions() == 0
    assert each_api.post("/small", key="k1", body=binary("u", size)).problem == (201, None)


def test_upload_that_is_half_closed_beyond_the_spool(httpd, each_api, origin):
    answer = upload(each_api, "/small", fields_of(LONG), binary("u", LONG - 1), half_close=True)
    assert answer.status in (400, 500, 502) and not answer.replayed
    assert httpd.outcomes(each_api, 1)[0][2:4] == ["executed", "unknown"]
    assert each_api.post("/small", key="k1", body=binary("u", LONG)).problem == (409, "outcome-unknown")
    assert origin.executions() <= 1


def test_body_over_the_limit_within_the_spool(limited, origin):
    for fields, data in ((fields_of(40001), b""), (fields_of(None), chunked(binary("u", 40001)))):
        assert upload(limited, "/limited", fields, data).status == 413
    assert origin.executions() == 0
    assert_replayed(limited, origin, "/limited", body=binary("u", 40000))


def test_body_over_the_limit_beyond_the_spool(httpd, limited, origin):
    """In chunks the handler has begun when the limit is reached."""
    answer = upload(limited, "/overflow", fields_of(None), chunked(binary("u", 250000)))
    assert answer.status in (413, 500, 502) and not answer.replayed
    assert httpd.outcomes(limited, 1)[0][2:4] == ["executed", "unknown"]
    assert upload(limited, "/overflow", fields_of(None), chunked(binary("u",
                                                                        150000))).problem == (409, "outcome-unknown")
    assert origin.executions() <= 1


def test_what_goes_to_a_proxy_is_not_limited(api, origin):
    """Which is httpd's rule, and stays it."""
    assert_replayed(api.at("/proxy"), origin, "/overflow?echo=1", body=binary("u", 250000))
