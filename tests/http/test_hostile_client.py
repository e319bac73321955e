# SPDX-License-Identifier: Apache-2.0
"""
Clients that want what is not theirs, or want the server to suffer.

IDEM_MANY_KEYS says how many new keys the client with too many of them brings; a million takes about half an hour.
"""
import contextlib
import json
import os
import re
import subprocess

import pytest

import env
from checks import SIGN_IN, basic, parts_named
from client import Api

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
MANY = int(os.environ.get("IDEM_MANY_KEYS", 1500))
CONFIG = """
Alias /static "{stage}/origins"
IdempotencyPrefetch 4K
IdempotencySpool 64K
<Location /cgi/members>
""" + SIGN_IN + """</Location>
<Location /cgi/helped>
    IdempotencyHelp https://docs.test/retries
    IdempotencyKeyFormat uuid
</Location>
"""
BALANCE = "/pay?body=balance-of-alice&header=Set-Cookie:+session=alice"


@pytest.fixture
def calls(httpd):
    """The store's calls of this test: [operation, result]."""
    before = len(httpd.control.calls())
    return lambda: httpd.control.calls()[before:]


# ---- somebody else's record ------------------------------------------------------------------------------------------


def assert_tells_nothing(answer):
    assert "alice" not in str(answer.headers) and b"alice" not in answer.body
    assert answer["Idempotent-Replayed"] is None


@pytest.mark.parametrize("stranger", [
    [], [("Authorization", "Bearer of-mallory")], [("Cookie", "PHPSESSID=of-mallory")], [("Cookie", "anything=else")],
    [("Authorization", "Bearer of-alice"), ("Cookie", "PHPSESSID=x")], [("Authorization", "bearer of-alice")],
    [("Authorization", "Bearer  of-alice")], [("Authorization", "Bearer of-alice,x")],
], ids=repr)
def test_guessed_key_with_other_credentials(api, origin, stranger):
    """The stranger knows the key, the path and the body; what the answer says is that the credentials differ, and no
    more.
    """
    alice = api.with_headers(("Authorization", "Bearer of-alice"))
    assert alice.post(BALANCE, key="guessed", body=b"1").status == 201
    for path, body in ((BALANCE, b"1"), (BALANCE, b"2"), ("/other", b"")):
        answer = api.with_headers(*stranger).post(path, key="guessed", body=body)
        assert answer.problem == (422, "key-reused") and parts_named(answer) == ["credentials"]
        assert_tells_nothing(answer)
    assert alice.post(BALANCE, key="guessed", body=b"1").replayed
    assert origin.executions() == 1


def test_guessed_key_of_another_user(api, origin):
    """httpd knows who is who: the stranger's key is another key."""
    path = BALANCE.replace("/pay", "/members")
    alice, mallory = (api.with_headers(basic(user)) for user in ("alice", "bob"))
    alice.post(path, key="guessed")
    answer = mallory.post("/members?body=of-bob", key="guessed")
    assert answer.status == 201
    assert_tells_nothing(answer)
    assert api.post(path, key="guessed").status == 401
    assert alice.post(path, key="guessed").replayed
    assert origin.executions("/members") == 2


@pytest.mark.parametrize("change", [{
    "method": "PUT"
}, {
    "path": BALANCE + "&x=1"
}, {
    "path": BALANCE.replace("/pay", "/pay/")
}, {
    "path": BALANCE.replace("/pay", "/%70ay")
}, {
    "body": b"2"
}, {
    "body": b"1 "
}, {
    "headers": ["Content-Type: text/html"]
}],
                         ids=repr)
def test_guessed_key_of_a_client_without_credentials(api, origin, change):
    """It takes the whole request to get the answer; then a cookie that was set for the first client is not in it."""
    api.post(BALANCE, key="guessed", body=b"1")
    guess = {"method": "POST", "path": BALANCE, "body": b"1", **change}
    answer = api.request(guess.pop("method"), guess.pop("path"), key="guessed", **guess)
    assert answer.problem == (422, "key-reused")
    assert_tells_nothing(answer)
    again = api.post(BALANCE, key="guessed", body=b"1")
    assert again.replayed and again["Set-Cookie"] is None


def test_key_that_a_stranger_used_first(api, origin):
    """The owner is refused, and told so; the stranger's answer is not the owner's."""
    api.with_headers(("Authorization", "Bearer of-mallory")).post("/pay?body=for-mallory", key="guessed")
    answer = api.with_headers(("Authorization", "Bearer of-alice")).post("/pay", key="guessed")
    assert answer.problem == (422, "key-reused") and b"mallory" not in answer.body
    assert origin.executions("/pay") == 1


# ---- headers that belong to the server -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [
    "Idempotent-Replayed: true", "Idempotency-Error: outcome-unknown", "Idempotency-Control: no-store",
    "Idempotency-Control: ttl=1", "IDEMPOTENCY_TOKEN: 0", "Idempotency-Outcome: replayed"
])
def test_header_of_the_server_sent_by_the_client(each_api, origin, httpd, line):
    first = each_api.post("/pay?echo=1", key="k1", headers=[line])
    assert first.status == 201
    for name in ("Idempotent-Replayed", "Idempotency-Error", "Idempotency-Control"):
        assert first[name] is None
    again = each_api.post("/pay?echo=1", key="k1")  # without it: no part of the request
    assert again.replayed and again.recorded == first.recorded
    assert origin.executions("/pay") == 1
    variables = {name: value for name, value in first.json.items() if name.startswith("IDEMPOTENCY_")}
    assert variables.get("IDEMPOTENCY_TOKEN", "f" * 32) != "0"
    assert ["executed", "recorded"] in [row[2:4] for row in httpd.outcomes(each_api, 2)]


# ---- answers that repeat what they were given ------------------------------------------------------------------------

INJECTIONS = [
    '</script><img src=x onerror=alert(1)>', '","detail":"mine","x":"', "\\u0041lert,\\", "{{7*7}}",
    "%0d%0aX-Evil:%201", "<!--", "'\"><svg/onload=alert(1)>"
]


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("place", ["/pay", "/helped"])
def test_problem_answers_repeat_nothing_of_the_request(api, text, accept, place):
    path = f"{place}?q={text.replace(' ', '+')}"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    headers = [("Accept", accept), ("Content-Type", text), ("X-Any", text), ("Cookie", f"PHPSESSID={text}")]
    answers = [api.post(path, headers=headers + [("Idempotency-Key", f'"{quoted}" {text}')]),
               api.post(path, headers=headers + [("Idempotency-Key", text + ",")]),
               api.post(place, headers=headers + [("Idempotency-Key", f'"{quoted}"')], body=b"1"),
               api.post(path, headers=headers + [("Idempotency-Key", f'"{quoted}"')], body=text.encode())]
    refused = [answer for answer in answers if answer["Idempotency-Error"]]
    assert len(refused) >= 3
    for answer in refused:
        words = [word for word in re.split(r"[^\w(]+", text) if len(word) > 3]
        said = answer.body.decode() + str([pair for pair in answer.headers if pair[0] != "Date"])
        assert not [word for word in words if word in said and word not in ("detail", "script")], said
        assert answer["X-Evil"] is None
        if accept == "*/*":
            assert answer["Content-Type"] == "application/problem+json"
            assert set(json.loads(answer.body)) == {"type", "title", "status", "detail"}


# ---- uploads ---------------------------------------------------------------------------------------------------------


def spools(server):
    """The sizes of the children's temporary files, which have no name any more."""
    sizes = []
    for path in (f"/proc/{child}/fd/{fd}" for child in server.children() for fd in os.listdir(f"/proc/{child}/fd")):
        with contextlib.suppress(OSError):
            if "idempotency-body" in os.readlink(path):
                sizes.append(os.stat(path).st_size)
    return sizes


def test_slow_bodies_hold_no_slot_and_no_lock_and_free_their_room(httpd, api, origin, calls):
    half, whole = b"x" * 40000, b"x" * 60000
    uploads = [api.connect() for _ in range(20)]
    for conn in uploads:
        conn.send(api.head("POST", "/pay", ['Idempotency-Key: "k1"', f"Content-Length: {len(whole)}"]) + half)
    full = len(half) - 4096
    env.until(lambda: spools(httpd) == [full] * 20, "all have sent half of their bodies")
    assert calls() == []  # the store has not been asked
    first = api.post("/pay", key="k1", body=whole)
    assert first.problem == (201, None)
    uploads[0].send(whole[len(half):])
    assert uploads[0].result().recorded == first.recorded
    for conn in uploads[1:]:
        conn.reset()
    env.until(lambda: not spools(httpd), "their room is free again")
    uploads[0].reset()
    assert origin.executions("/pay") == 1


def test_endless_body_takes_no_more_room_than_the_spool(httpd, api, origin):
    """Chunked, so that nobody knows its length before it is there."""
    with origin.hold("/pay") as held, api.connect() as conn:
        conn.send(api.head("POST", "/pay", ['Idempotency-Key: "k1"', "Transfer-Encoding: chunked"]))
        piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        for _ in range(64):  # a megabyte
            conn.send(piece)
        conn.send(b"0\r\n\r\n")
        held.wait_until_entered()
        assert all(size <= 65536 + 16384 - 4096 for size in spools(httpd))
        held.let_go()
        assert conn.result().status == 201
    env.until(lambda: not spools(httpd), "its room is free again")
    assert os.listdir(httpd.root / "tmp") == []


@pytest.mark.skipif(not env.ROOT, reason="only root may mount a file system")
def test_no_room_for_a_body(new_httpd, host, origin, expect_log):
    expect_log(21)
    server = new_httpd(CONFIG + "IdempotencySpool 16M\n")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256K,mode=1777", "tmpfs", server.root / "tmp"], check=True)
    try:
        api = Api(server.start().address, host)
        assert api.post("/pay", key="k1", body=b"x" * 1000000).problem == (503, "store-unavailable")
        assert origin.executions("/pay") == 0
        assert "No space left on device" in server.log.faults()[0]
        assert api.post("/pay", key="k2", body=b"x" * 100000).status == 201
        assert api.post("/pay", key="k1", body=b"x" * 1000).status == 201  # nothing was claimed
    finally:
        server.stop()
        subprocess.run(["umount", "-l", server.root / "tmp"], check=True)


# ---- many keys -------------------------------------------------------------------------------------------------------


def own_memory(server):
    """What the children have for themselves alone, in KiB."""
    total = 0
    for child in server.children():
        with open(f"/proc/{child}/status") as status:
            total += int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1])
    return total


@pytest.mark.memory
def test_client_with_very_many_keys_does_not_make_the_server_grow(new_httpd, host):
    """The handler is httpd's own for files: quick, and guarded like any other."""
    server = new_httpd(CONFIG, "lmdb").start()
    api = Api(server.address, host, base="/static")

    def bring(first, last):
        with api.connect() as conn:
            for number in range(first, last):
                answer = api.start("POST", "/answer.py", key=f"key number {number}", body=b"1", conn=conn).result()
                assert answer.problem == (200, None) and not answer.replayed
    bring(0, MANY // 3)
    before = own_memory(server)
    bring(MANY // 3, MANY)
    with api.connect() as conn:
        assert api.start("POST", "/answer.py", key="key number 0", body=b"1", conn=conn).result().replayed
    assert own_memory(server) - before < 1024
    assert len(server.children()) >= 3
