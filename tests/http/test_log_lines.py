# SPDX-License-Identifier: Apache-2.0
"""The access log as JSON, the variables for it, and what a replay or a refusal says in the error log."""
import datetime
import json
import re
import time

import pytest

import env
from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/proxy"
CONFIG = """
LogFormat "%{User-Agent Referer X-Odd}^IJ" json
CustomLog "{root}/json.log" json
LogFormat "%{Host}i %{IDEMPOTENCY_WAIT_US}e %{IDEMPOTENCY_STORE_US}e %{IDEMPOTENCY_FIRST_AT}e" times
CustomLog "{root}/times.log" times
<Location /proxy/wait>
    IdempotencyConcurrent wait 30s
</Location>
<Location /proxy/watched>
    IdempotencyEngine DetectionOnly
</Location>
<Location /proxy/first>
    Header always set X-First-At "expr=%{reqenv:IDEMPOTENCY_FIRST_AT}"
</Location>
"""
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FIELDS = ("time client user host method path protocol status bytes duration_us trace_id parent_id outcome "
          "settlement slot attempt wait_us store_us first_at fields").split()


def only_json(line):
    def refuse(word):
        raise ValueError(f"{word} is not JSON")
    pairs = json.loads(line, object_pairs_hook=list, parse_constant=refuse)
    assert [name for name, _ in pairs] == FIELDS
    return json.loads(line)


def lines_of(server, host, count):
    """Every line of the log is JSON, also those of other tests."""
    def found():
        lines = (server.root / "json.log").read_bytes().split(b"\n")[:-1]  # behind the last end one may be under way
        ours = [line for line in map(only_json, (line.decode("utf-8") for line in lines)) if line["host"] == host]
        return sorted(ours, key=lambda line: line["time"]) if len(ours) >= count else None
    return env.until(found, f"{count} lines of {host}")


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def test_execution_and_replay(httpd, api, host):
    before = time.time()
    for _ in range(2):
        assert api.post("/pay?key=secret", key="k1", headers=[("User-Agent", "till/1")]).status == 201
    first, second = lines_of(httpd, host, 2)
    assert first["method"] == "POST" and first["path"] == "/proxy/pay" and first["status"] == 201
    assert first["client"] == "127.0.0.1" and first["protocol"] == "HTTP/1.1" and first["bytes"] > 0
    assert (first["outcome"], first["settlement"], first["attempt"]) == ("executed", "recorded", 1)
    assert first["first_at"] is None
    assert (second["outcome"], second["settlement"], second["attempt"]) == ("replayed", None, 1)
    assert first["slot"] == second["slot"] and re.fullmatch("[0-9a-f]{8}", first["slot"])
    assert first["wait_us"] == second["wait_us"] == 0
    for line in (first, second):
        assert 0 < line["store_us"] <= line["duration_us"]
        assert line["fields"] == {"User-Agent": "till/1", "Referer": None, "X-Odd": None} and line["user"] is None
    assert before - 1 <= moment(first["time"]) <= moment(second["first_at"]) + 0.002
    assert moment(second["first_at"]) <= moment(second["time"]) + 0.002
    assert "secret" not in (httpd.root / "json.log").read_text()


def test_requests_that_are_not_guarded_have_the_same_fields(httpd, api, host):
    api.get("/pay", key="k1")
    line, = lines_of(httpd, host, 1)
    assert [line[name] for name in FIELDS[12:19]] == [None] * 7 and line["status"] == 201


def test_refusals_and_what_is_only_watched(httpd, api, host):
    assert api.post("/pay", key="é").problem == (400, "key-invalid")
    api.post("/pay", key="k1", body=b"1")
    assert api.post("/pay", key="k1", body=b"2").problem == (422, "key-reused")
    api.post("/watched", key="k2")
    lines = lines_of(httpd, host, 4)
    assert [(line["outcome"], line["settlement"]) for line in lines] == [
        ("key-invalid", None), ("executed", "recorded"), ("key-reused", None), ("detected:executed", "tombstone")]
    assert lines[0]["slot"] is None and lines[0]["store_us"] == 0


def test_time_that_is_waited(httpd, api, host, origin):
    with origin.hold("/wait") as held:
        first = api.post_async("/wait", key="k1")
        held.wait_until_entered()
        second = api.post_async("/wait", key="k1")
        begun = time.monotonic()
        env.until(lambda: time.monotonic() - begun > 0.3, "the other one has waited for a while")
    assert [conn.last_result().status for conn in (first, second)] == [201, 201]
    lines = {line["outcome"]: line for line in lines_of(httpd, host, 2)}
    assert lines["executed"]["wait_us"] == 0
    assert 0 < lines["replayed"]["wait_us"] <= lines["replayed"]["duration_us"]
    assert lines["replayed"]["store_us"] <= lines["replayed"]["duration_us"]


def test_time_that_the_store_takes(new_httpd, host):
    server = new_httpd(CONFIG, "wrap:{root}/control,lmdb:{root}/store").start()
    server.wait_until_attached()
    server.control.delay("settle", 150)
    assert Api(server.address, host, "/proxy").post("/pay", key="k1").status == 201
    assert lines_of(server, host, 1)[0]["store_us"] > 150_000


# ---- hostile values ------------------------------------------------------------------------------------------------

HOSTILE = [b'"', b'\\', b'\\"', b'","outcome":"executed', b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\xaf",
           "é€😀".encode(), b"a\tb", b"<script>", b"%0a%0d", b"\\u0000", b"\\x0a", "\u2028\u2029\ufeff".encode(),
           b"'" * 300, b"\xe2\x82"]


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=str)
def test_hostile_fields(httpd, api, host, number):
    value = HOSTILE[number]
    conn, plain = api.connect(), f"Host: {host}\r\nIdempotency-Key: k{number}\r\nContent-Length: 1\r\n".encode()
    odd = b"".join(name + value + b"\r\n" for name in (b"X-Odd: ", b"User-Agent: ", b"traceparent: 00-"))
    conn.send(b"POST /proxy/pay HTTP/1.1\r\n" + plain + odd + b"Connection: close\r\n\r\n1")
    assert conn.last_result().status == 201
    line, = lines_of(httpd, host, 1)
    wanted = value.decode("utf-8", errors="replace")
    assert re.sub("\ufffd+", "\ufffd", line["fields"]["X-Odd"]) == re.sub("\ufffd+", "\ufffd", wanted)
    assert line["fields"]["User-Agent"] == line["fields"]["X-Odd"]
    assert line["outcome"] == "executed" and line["trace_id"] is None


@pytest.mark.parametrize("path", ['/a"b', "/a\\b", "/%22,%22x%22:%22", "/%0a%0d", "/%ff%fe", "/é€", "/" + "x" * 5000])
def test_hostile_paths(httpd, api, host, path):
    """As the client sent it: still encoded, where it was."""
    conn = api.connect()
    conn.send(f"GET /proxy{path}?key=secret HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    conn.last_result()
    line, = lines_of(httpd, host, 1)
    assert line["path"] == "/proxy" + path and line["method"] == "GET"


@pytest.mark.parametrize("request_line", [
    b"GET /\x7f HTTP/1.1", b'P"OST / HTTP/1.1', b"\x00\xff", b"GET", b'GET / HTTP/1.1"}', b'GET http://"/ HTTP/1.1',
    b"GET / HTTP/1.1\r\nHost: \"}{"])
def test_requests_that_httpd_refuses(httpd, api, request_line):
    before = len((httpd.root / "json.log").read_bytes().split(b"\n"))
    conn = api.connect()
    conn.send(request_line + b"\r\n\r\n")
    assert conn.last_result().status == 400
    env.until(lambda: len((httpd.root / "json.log").read_bytes().split(b"\n")) > before, "it is logged")
    assert lines_of(httpd, "origin.test", 1)[-1]["status"] == 400


# ---- traceparent ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("field, wanted", [
    (f"00-{TRACE}-{PARENT}-01", True), (f"cc-{TRACE}-{PARENT}-01", True), (f"cc-{TRACE}-{PARENT}-01-more", True),
    (f"00-{TRACE}-{PARENT}-01-more", False), (f"ff-{TRACE}-{PARENT}-01", False),
    (f"00-{TRACE.upper()}-{PARENT}-01", False),
    (f"00-{'0' * 32}-{PARENT}-01", False), (f"00-{TRACE}-{'0' * 16}-01", False), (f"00-{TRACE[1:]}-{PARENT}-01", False),
    (f"00-{TRACE}-{PARENT}", False), (f"00-{TRACE}-{PARENT}-0", False), (f"00-{TRACE}-{PARENT}-0x", False),
    ("", False)])
def test_trace_of_the_client(httpd, api, host, field, wanted):
    api.post("/pay", key="k1", headers=[("traceparent", field)])
    line, = lines_of(httpd, host, 1)
    assert (line["trace_id"], line["parent_id"]) == ((TRACE, PARENT) if wanted else (None, None))


# ---- variables -----------------------------------------------------------------------------------------------------

def test_variables(httpd, api, host):
    api.post("/pay", key="k1")
    api.post("/pay", key="k1")
    api.get("/pay")

    def rows_of_log():
        lines = [line.split() for line in (httpd.root / "times.log").read_text().split("\n")[:-1]]
        found = [row[1:] for row in lines if row[0] == host]
        return found if len(found) == 3 else None
    rows = env.until(rows_of_log, "three lines")
    assert [row[0] for row in rows] == ["0", "0", "-"] and rows[2] == ["-"] * 3
    assert all(int(row[1]) > 0 for row in rows[:2])
    assert sorted(row[2] != "-" for row in rows) == [False, False, True]


def test_replay_can_tell_its_client_when_the_first_was(api):
    first, second = (api.post("/first", key="k1") for _ in range(2))
    assert not first["X-First-At"] and abs(moment(second["X-First-At"]) - time.time()) < 60


# ---- the error log -------------------------------------------------------------------------------------------------

def said(httpd, number, text=""):
    name = f"IDEM{number:03d}"
    return env.until(lambda: [line for line in httpd.log.lines() if name in line and text in line], name)


SINCE = r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_replay_and_refusals_say_what_stands_there(httpd, api, origin):
    assert [api.post("/pay", key="k1", body=body).status for body in (b"1", b"1", b"2")] == [201, 201, 422]
    assert re.search(rf"replayed: status 201, \d+ bytes; the slot holds a record {SINCE}$", said(httpd, 51)[0])
    assert re.search(rf"\[[0-9a-f]{{8}},\w+\] refused: key-reused; the slot holds a record {SINCE}", said(httpd, 40)[0])
    with origin.hold("/slow") as held:
        first = api.post_async("/slow", key="k2")
        held.wait_until_entered()
        assert api.post("/slow", key="k2").problem == (409, "in-progress")
    assert first.last_result().status == 201
    line, = said(httpd, 40, "in-progress")
    owner = re.search(rf"; the slot holds a lease {SINCE}, its owner (is this process|lives: ([0-9a-f]+))$", line)
    started = [line.split()[-1] for line in httpd.log.lines(0) if "IDEM220" in line]
    assert owner and (owner[2] or started[0]) in started


def test_refusals_before_the_slot_say_nothing_of_it(httpd, api):
    api.post("/pay", key="é")
    assert said(httpd, 40)[0].endswith("refused: key-invalid")


