# SPDX-License-Identifier: Apache-2.0
"""IdempotencySecret: what the store holds is nobody's to read, alter or move; seals are exchanged while the server
runs.
"""
import pytest

import env
from client import Api
from raw_store import HEAD, MARK, RawStore
from secrets_of_tests import SEALS, SLOT, write_secret

STORES = ["lmdb"]
CONFIG = "IdempotencySecret file:{root}/secret\n"
SECRET_PAY = "/pay?status=207&header=X-Account:+nobody-reads-this&body=a-body-that-nobody-reads"


def new_generation(server):
    """A graceful restart, and the end of everybody who knows only what was said before it."""
    old = set(server.children())
    server.graceful()
    env.until(lambda: not old & set(server.children()), "the old generation has ended")


@pytest.fixture
def server(new_httpd):
    server = new_httpd(CONFIG)
    write_secret(server, "old")
    return server.start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


@pytest.fixture
def restarts(expect_log):
    expect_log(62)  # said at each start: the store lies under /tmp


@pytest.fixture
def refusals(expect_log):
    expect_log(61)


# ---- what is in the store --------------------------------------------------------------------------------------------


def test_nothing_of_a_response_can_be_read_in_the_store(server, api, origin):
    first = api.post(SECRET_PAY, key="the-key-itself", body=b"what was asked")
    assert api.post(SECRET_PAY, key="the-key-itself", body=b"what was asked").recorded == first.recorded
    store = RawStore(server)
    assert len(store.records()) == 1 and store.records()[0].flags == 1
    for word in (b"nobody", b"X-Account", b"the-key-itself", b"what was asked", b"application/json"):
        assert word not in store.bytes()
    assert origin.executions("/pay") == 1


def test_without_a_secret_the_same_can_be_read(new_httpd, host):
    server = new_httpd().start()
    Api(server.address, host).post(SECRET_PAY, key="the-key-itself", body=b"what was asked")
    raw = RawStore(server).bytes()
    assert b"X-Account" in raw and b"a-body-that-nobody-reads" in raw
    assert b"the-key-itself" not in raw and b"what was asked" not in raw


def test_slots_and_fingerprints_cannot_be_computed_without_the_secret(new_httpd, server, api):
    plain = new_httpd().start()
    heads = []
    for one in (server, plain):
        Api(one.address, api.host).post("/pay", key="k1", body=b"1")
        heads.append(RawStore(one).records()[0].data[:HEAD])
    mine, theirs = heads
    assert mine[32:64] != theirs[32:64]  # the slot
    prints = [(head[80:88], head[88:120], head[120:248], head[248:280]) for head in heads]
    assert all(one != other for one, other in zip(*prints))


# ---- what is altered -------------------------------------------------------------------------------------------------


def alter(store, change):
    for entry in store.records():
        data = entry.copy()
        change(data)
        store.put(entry, data)


def flip(at):
    def change(data):
        data[at] ^= 1
    return change


@pytest.mark.parametrize("at", [14, 80, 100, 250, HEAD, HEAD + 4, HEAD + 16, -33, -17],
                         ids=["ttl", "made_of", "rest", "body", "seal's id", "nonce", "first byte", "last byte", "tag"])
def test_altered_record_is_never_replayed(server, api, origin, expect_log, at):
    """The checksum is right: who can write to the store can make one."""
    expect_log(11)
    api.post("/pay", key="k1", body=b"1")
    alter(RawStore(server), flip(at))
    for _ in range(2):
        server.log.mark()
        assert api.post("/pay", key="k1", body=b"1").problem == (409, "outcome-unknown")
        assert [line for line in server.log.lines() if "IDEM011" in line and "[idempotency:warn]" in line] != []
        assert len(server.log.faults()) == 1
    assert origin.executions("/pay") == 1


def test_record_moved_to_another_slot(server, api, origin, expect_log):
    """A stranger's response under one's own key."""
    expect_log(11)
    api.post(SECRET_PAY, key="theirs")
    api.post(SECRET_PAY, key="mine")
    store = RawStore(server)
    slots = sorted({entry.slot for entry in store.records()})
    theirs = next(entry for entry in store.records() if entry.slot == slots[0])
    for mine in store.records():
        if mine.slot == slots[1]:
            moved = theirs.copy()
            moved[32:64] = mine.slot
            store.put(mine, moved)
    answers = [api.post(SECRET_PAY, key=key) for key in ("theirs", "mine")]
    assert sorted(answer.status for answer in answers) == [207, 409]  # which of the two was found first is not said
    assert [answer.replayed for answer in answers] == [answer.status == 207 for answer in answers]
    assert origin.executions("/pay") == 2


def test_record_made_without_the_secret(new_httpd, server, api, origin, expect_log):
    """Who can write to the store, and knows how records are made, cannot make one that is replayed."""
    expect_log(11)
    api.post("/pay?body=real", key="k1")
    store = RawStore(server)

    def forge(data):
        data[6:8] = b"\0\0"  # "not sealed"
        response = b"\0\xc8" + b"\xff" * 16 + bytes(4)
        room = len(data) - HEAD - 16 - len(response) - 8
        data[HEAD:-16] = response + room.to_bytes(8, "big") + b"f" * room
    alter(store, forge)
    assert api.post("/pay?body=real", key="k1").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


# ---- exchanging a seal -----------------------------------------------------------------------------------------------

STEPS = [("old",), ("old", "new"), ("new", "old"), ("new",)]


@pytest.mark.usefixtures("restarts")
def test_seal_is_exchanged_step_by_step(server, api, origin):
    """Each record is replayed after each step; those of the old seal until it is dropped, when their time is over."""
    first = {}
    for number, seals in enumerate(STEPS):
        if number:
            write_secret(server, *seals)
            new_generation(server)
        first[f"k{number}"] = api.post(SECRET_PAY, key=f"k{number}")
        readable = list(first) if "old" in seals else ["k2", "k3"]
        assert len(readable) >= 1
        for key in readable:
            again = api.post(SECRET_PAY, key=key)
            assert again.replayed and again.recorded == first[key].recorded, (seals, key)
    assert origin.executions("/pay") == len(STEPS)


@pytest.mark.usefixtures("restarts")
def test_seal_that_is_dropped_too_early_loses_answers_and_no_guarantee(server, api, origin, expect_log):
    expect_log(11)
    api.post("/pay", key="k1")
    write_secret(server, "new")
    new_generation(server)
    assert api.post("/pay", key="k1").problem == (409, "outcome-unknown")
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("before, after", list(zip(STEPS, STEPS[1:])), ids=["added", "moved", "dropped"])
@pytest.mark.usefixtures("restarts")
class TestTwoGenerations:
    def test_new_one_reads_what_the_old_one_seals(self, server, api, origin, before, after):
        write_secret(server, *before)
        new_generation(server)
        with origin.hold("/pay") as held:
            first = api.post_async(SECRET_PAY, key="k1")
            held.wait_until_entered()
            write_secret(server, *after)
            server.graceful()
            assert api.post(SECRET_PAY, key="k1").problem == (409, "in-progress")
        first = first.result()
        again = api.post(SECRET_PAY, key="k1")
        assert again.replayed and again.recorded == first.recorded
        assert origin.executions("/pay") == 1

    def test_old_one_reads_what_the_new_one_seals(self, server, api, origin, before, after):
        """Its request is still being uploaded when the new generation executes the same one."""
        write_secret(server, *before)
        new_generation(server)
        with api.connect() as slow:
            slow.send(
                api.head("POST", SECRET_PAY, ['Idempotency-Key: "k1"', "Content-Length: 1", "Expect: 100-continue"]))
            assert slow.sock.recv(100).startswith(b"HTTP/1.1 100")  # it is being read
            write_secret(server, *after)
            server.graceful()
            first = api.post(SECRET_PAY, key="k1", body=b"1")
            assert not first.replayed
            slow.send(b"1")
            again = slow.result()
        assert again.replayed and again.recorded == first.recorded
        assert origin.executions("/pay") == 1


# ---- a store of another secret ---------------------------------------------------------------------------------------


def refused_start(server):
    with pytest.raises(AssertionError):
        server.start()
    assert server.process.poll() != 0
    return " ".join(line for line in server.said().splitlines() if "IDEM061" in line)


@pytest.mark.usefixtures("restarts", "refusals")
def test_another_slot_secret_stops_the_start(server, api, origin):
    first = api.post("/pay", key="k1")
    server.stop()
    write_secret(server, "old", slot=SLOT.replace("this", "another"))
    said = refused_start(server)
    assert f"the store lmdb:{server.root}/store was made with another slot: secret" in said
    assert "another test" not in said
    write_secret(server, "old")
    server.start()
    assert api.post("/pay", key="k1").recorded == first.recorded


@pytest.mark.usefixtures("restarts", "refusals")
def test_no_secret_stops_the_start(server, api):
    api.post("/pay", key="k1")
    server.stop()
    server.config = ""
    said = refused_start(server)
    assert "was made with a slot: secret, and no IdempotencySecret is configured" in said


@pytest.mark.usefixtures("restarts", "refusals")
def test_secret_for_a_store_that_had_none_stops_the_start(new_httpd, host):
    server = new_httpd().start()
    Api(server.address, host).post("/pay", key="k1")
    server.stop()
    server.config = CONFIG.replace("{root}", str(server.root))
    write_secret(server, "old")
    assert "was made without a secret, and IdempotencySecret is configured" in refused_start(server)


def test_mark_tells_nothing_of_the_secret(server):
    marks = [entry for entry in RawStore(server).entries() if entry.slot == MARK]
    assert len(marks) >= 1
    for word in (SLOT.split(": ")[1].strip(), SEALS["old"].split(": ")[1].strip()):
        assert word.encode() not in RawStore(server).bytes()


@pytest.mark.parametrize("hosts", ["one store", "two stores"])
def test_two_virtual_hosts(new_httpd, origin, hosts):
    other = "{root}/store" if hosts == "one store" else "{root}/other"
    server = new_httpd(CONFIG + f"""
<VirtualHost *:*>
    ServerName first.test
</VirtualHost>
<VirtualHost *:*>
    ServerName second.test
    IdempotencyStore lmdb:{other}
    IdempotencySecret file:{{root}}/{'secret' if hosts == 'one store' else 'other.secret'}
</VirtualHost>
""")
    write_secret(server, "old")
    write_secret(server, "new", slot=SLOT.replace("this", "another"), name="other.secret")
    server.start()
    for name in ("first.test", "second.test"):
        api = Api(server.address, name)
        first = api.post(SECRET_PAY, key="k1")
        assert api.post(SECRET_PAY, key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 2
    for store in {server.root / "store", server.root / other.split("/")[-1]}:
        assert b"nobody" not in (store / "data.mdb").read_bytes()
