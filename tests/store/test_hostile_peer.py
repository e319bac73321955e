# SPDX-License-Identifier: Apache-2.0
"""A store's server sends answers that nobody asked for. Each is a failure with a sentence, at once, and never a
verdict.
"""
import pytest

from fake_memcached import FakeMemcached, stats
from fake_redis import DONE, NOW, FakeRedis, array

FAR = b"$19\r\n9223372036854775807\r\n"
SLACK = 10000  # milliseconds: a busy machine; what believes a peer waits for ever
RECORD = 2


def failed(answer):
    return answer.status not in ("SUCCESS", "EEXIST", "NOTFOUND", "ELOST", "EALIVE", "EFULL") and answer.why


@pytest.mark.parametrize("time", [
    b"*2\r\n:1700000000\r\n:5\r\n", b"*2\r\n$-1\r\n$-1\r\n", b"*2\r\n*0\r\n*0\r\n", b"*2\r\n-ERR a\r\n-ERR b\r\n",
    b":1700000000\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"*1\r\n$1\r\n1\r\n",
    array("1700000000", "1", "2"), b"*2\r\n" + FAR + b"$1\r\n0\r\n",
    array("-1", "0"),
    array("253402300800", "0"),
    array("1700000000", "1000000"),
    array("1e9", "0"),
    array("", ""),
    array("17\0",
          "1"), b"*1\r\n" * 9, b"*2147483647\r\n", b"*-2\r\n", b"$-2\r\n", b">2\r\n+a\r\n+b\r\n", b"%1\r\n+a\r\n+b\r\n"
])
def test_time_is_believed_only_where_it_is_one(drive, time):
    with FakeRedis(time=time) as fake:
        for operation in ("open", "attach"):
            answer = drive(fake.url(), timeout_ms=300).ask(operation)
            assert failed(answer) and answer.milliseconds < 300 + SLACK, answer


@pytest.mark.parametrize("claim", [
    b":1\r\n", b"$4\r\ndone\r\n", b"+done\r\n", b"$-1\r\n", b"*0\r\n", b"*1\r\n$4\r\ndone\r\n",
    b"*2\r\n+done\r\n" + NOW, b"*2\r\n$4\r\ndone\r\n$13\r\n1700000000000\r\n", b"*2\r\n$4\r\ndone\r\n:-1\r\n",
    b"*2\r\n$4\r\ndone\r\n:9223372036854775807\r\n", b"*3\r\n$4\r\ndone\r\n" + NOW + b"$0\r\n\r\n",
    b"*2\r\n$5\r\ndone\0\r\n" + NOW, b"*2\r\n$5\r\nalive\r\n" + NOW, b"*2\r\n$5\r\ntaken\r\n" + NOW,
    b"*5\r\n$5\r\ntaken\r\n" + NOW + b"$-1\r\n:0\r\n:0\r\n",
    b"*5\r\n$5\r\ntaken\r\n" + NOW + b"$1\r\nx\r\n$1\r\n0\r\n$1\r\n0\r\n",
    b"*5\r\n$4\r\ndone\r\n" + NOW + b"$1\r\nx\r\n:0\r\n:0\r\n", b"*2\r\n*1\r\n*1\r\n*0\r\n" + NOW
])
def test_claim_is_not_won_on_garbage(drive, claim):
    with FakeRedis().scripted(claim=claim) as fake:
        answer = drive(fake.url(), timeout_ms=300).attached().ask("claim", 1, 1)
        assert failed(answer) and answer.milliseconds < SLACK, answer


@pytest.mark.parametrize("operation, words", [("takeover", (1, 1, 2)), ("renew", (1, 1)), ("settle", (1, 1, RECORD)),
                                              ("release", (1, 1)), ("fetch", (1, )), ("forget", (1, ))])
def test_answer_of_another_operation_is_none(drive, operation, words):
    taken = b"*5\r\n$5\r\ntaken\r\n" + NOW + b"$1\r\nx\r\n:0\r\n:0\r\n"
    with FakeRedis().scripted(**{operation: taken}) as fake:
        assert failed(drive(fake.url()).attached().ask(operation, *words))


def test_what_was_said_too_much_answers_nobody(drive):
    """The second answer in one packet would be the next claim's."""
    with FakeRedis().scripted(claim=b"*2\r\n$4\r\nlate\r\n" + NOW + DONE) as fake:
        driven = drive(fake.url()).attached()
        for slot in (1, 2):
            assert failed(driven.ask("claim", slot, 1))


@pytest.mark.parametrize(
    "answer", [b"$536870912\r\n", b"*2\r\n$4\r\ndone\r\n$100000000\r\n", b"*65537\r\n", b"*60000\r\n*60000\r\n"])
def test_answer_without_an_end_is_cut(drive, answer):
    """Memory is bounded, and so is time."""
    def endless(connection):
        connection.sendall(answer)
        for _ in range(400):
            connection.sendall(b"x" * 262144)
    with FakeRedis() as fake:
        driven = drive(fake.url(), timeout_ms=2000).attached()
        fake.answers["EVALSHA"] = endless
        answer = driven.ask("claim", 1, 1)
        assert failed(answer) and answer.milliseconds < 2000 + SLACK, answer
        peak = int(
            next(line for line in open(f"/proc/{driven.process.pid}/status") if line.startswith("VmHWM")).split()[1])
        assert peak < 100_000, "kilobytes"


@pytest.mark.parametrize("count", [b":x\r\n", b"$1\r\n1\r\n", b":-1\r\n", b":65536\r\n", b"*0\r\n"])
def test_replicas_are_counted_by_a_number(drive, count):
    with FakeRedis(wait=count).scripted(claim=DONE) as fake:
        assert failed(drive(fake.url(), "wait=1,50").attached().ask("claim", 1, 1))


KEY = "idem:" + 64 * "0"


@pytest.mark.parametrize("answers", [{
    "SCAN": b"*0\r\n"
}, {
    "SCAN": b"*2\r\n:0\r\n*0\r\n"
}, {
    "SCAN": b"*2\r\n$-1\r\n*0\r\n"
}, {
    "SCAN": array("0", "x")
}, {
    "SCAN": b"*2\r\n$2\r\n-1\r\n*0\r\n"
}, {
    "SCAN": b"*2\r\n$30\r\n" + 30 * b"9" + b"\r\n*0\r\n"
}, {
    "SCAN": b"*2\r\n$1\r\n0\r\n*2\r\n:1\r\n$-1\r\n",
    "DBSIZE": b"+x\r\n"
}, {
    "SCAN": b"*2\r\n$1\r\n0\r\n*1\r\n$69\r\n" + KEY.encode() + b"\r\n",
    "GETRANGE": b":5\r\n",
    "DBSIZE": b":-4\r\n"
}, {
    "SCAN": b"*2\r\n$1\r\n0\r\n*1\r\n$69\r\n" + KEY.encode() + b"\r\n",
    "GETRANGE": b"*1\r\n$1\r\nx\r\n",
    "DBSIZE": b"*1\r\n:1\r\n"
}])
def test_walk_and_state_believe_nothing_else(drive, answers):
    with FakeRedis(DBSIZE=answers.pop("DBSIZE", b":1\r\n"), **answers) as fake:
        driven = drive(fake.url()).attached()
        assert failed(driven.ask("status"))
        answer = driven.ask("each")
        assert failed(answer) or b":1\r\n$-1" in answers["SCAN"], answer  # keys of other kinds are not ours


@pytest.mark.parametrize("named", [
    array("127.0.0.1"),
    array("127.0.0.1", "0"),
    array("127.0.0.1", "65536"),
    array("127.0.0.1", "6379x"),
    array("", "6379"),
    array("a b", "6379"),
    array("x" * 300, "6379"), b"*2\r\n:1\r\n:2\r\n", b"*2\r\n$-1\r\n$-1\r\n"
])
def test_sentinel_names_an_address_or_nobody(drive, named):
    with FakeRedis(sentinel=named) as fake:
        answer = drive(f"redis-sentinel://127.0.0.1:{fake.port}/main", timeout_ms=300).ask("attach")
        assert failed(answer) and "get-master-addr-by-name" in answer.why


# ---- memcached


@pytest.mark.parametrize("length", ["-2", "-1", "-3", "2000000000", "99999999999999999999", "x", "", "1 2 3"])
def test_length_of_a_value_is_checked(drive, length):
    """A length that is none, and one that no item has: nothing of such a size is waited for."""
    with FakeMemcached() as fake:
        driven = drive(fake.url()).attached()
        driven.ask("within", 300)

        def answer(connection):
            connection.sendall(f"VALUE {fake.asked[-1][1]} 0 {length}\r\n".encode() + b"x" * 100 + b"\r\nEND\r\n")
        fake.answers["get"] = answer
        for words in (("claim", 1, 1), ("fetch", 1), ("renew", 1, 1)):
            answer_of = driven.ask(*words)
            assert failed(answer_of) and answer_of.milliseconds < 300 + SLACK, answer_of


@pytest.mark.parametrize("answer", [
    b"VALUE idem:other 0 1\r\nC\r\nEND\r\n", b"END\r\nEND\r\n", b"VALUE k 0 1\r\nCxxEND\r\n", b"END\n", b"E\0ND\r\n",
    b"x" * 5000, b"STORED\r\n"
])
def test_value_of_another_key_is_none(drive, answer):
    with FakeMemcached({"get": answer}) as fake:
        driven = drive(fake.url()).attached()
        driven.ask("within", 300)
        assert failed(driven.ask("fetch", 1)) or answer == b"END\r\nEND\r\n"
        driven.ask("fetch", 1)  # and what was too much answers nobody
        assert not [words for words in fake.asked if words[0] == "add"]


@pytest.mark.parametrize(
    "answer", [b"STORE\r\n", b"STORED \r\n", b"stored\r\n", b"EXISTS\r\n", b"\r\n", b"STORED\0\r\n", b"x" * 5000])
def test_claim_is_not_won_on_another_word(drive, answer):
    with FakeMemcached({"add": answer}) as fake:
        assert failed(drive(fake.url()).attached().ask("claim", 1, 1))


@pytest.mark.parametrize("facts", [{
    "time": -1
}, {
    "time": 253402300800
}, {
    "time": "9" * 30
}, {
    "time": "1e9"
}, {
    "time": ""
}])
def test_clock_of_memcached_is_a_number(drive, facts):
    with FakeMemcached({"stats": stats(version="1.6.18", **facts)}) as fake:
        answer = drive(fake.url(), timeout_ms=300).ask("attach")
        assert failed(answer) and "does not show its time" in answer.why


@pytest.mark.parametrize("size", ["-1", "99999999999999999999", "0", "1099511627776"])
def test_size_of_an_item_is_bounded(drive, size):
    with FakeMemcached({"stats settings": stats(evictions="off", item_size_max=size)}) as fake:
        driven = drive(fake.url())
        assert driven.ask("open").status == "SUCCESS"
        assert driven.attached().status("claim", 1, 1) == "SUCCESS"
