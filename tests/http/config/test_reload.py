# SPDX-License-Identifier: Apache-2.0
"""configtest tells the faults that would stop a start, and makes nothing. A reload that meets such a fault goes on, and
answers 503 until the fault is mended.
"""
import os
import shutil

import pytest

import env
from checks import tolerate
from client import Api
from raw_store import RawStore
from secrets_of_tests import SEALS, SLOT, write_secret

pytestmark = pytest.mark.mpm_independent
SECRET = "IdempotencySecret file:{root}/secret\n"
HTTP_503 = (503, "store-unavailable")
AT_START = ["IDEM062"]  # the store lies under /tmp


def missing_folder(place):
    return place / "nowhere/store"


def file_for_a_folder(place):
    (place / "file").write_text("x")
    return place / "file"


def file_above(place):
    (place / "file").write_text("x")
    return place / "file/store"


def somebody_elses(place):
    (place / "theirs").mkdir(mode=0o700)
    return place / "theirs"


def damaged(place):
    folder = place / "damaged"
    folder.mkdir(mode=0o700)
    for name in ("data.mdb", "turn"):
        (folder / name).write_bytes(b"\1" * 20000)
    return folder


PLACES = {
    missing_folder: "No such file or directory; make the directory",
    file_for_a_folder: "a part of the path is a file",
    file_above: "a part of the path is a file",
    somebody_elses: "must belong to uid"
}
if not env.ROOT:
    PLACES.pop(somebody_elses)


@pytest.fixture
def place(stage, tmp_path_factory):
    folder = stage.root / f"place{len(os.listdir(stage.root))}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def own(folder):
    if env.ROOT:
        for path in [folder, *folder.rglob("*")]:
            shutil.chown(path, env.USER, env.USER)


@pytest.mark.parametrize("make", PLACES, ids=lambda make: make.__name__)
def test_configtest_says_what_would_stop_a_start(new_httpd, place, make):
    code, said = new_httpd(store=f"lmdb:{make(place)}").check_config()
    assert code != 0 and "IDEM063" in said and PLACES[make] in said


def test_configtest_finds_a_file_that_is_no_store(new_httpd, host):
    server = new_httpd().start()
    Api(server.address, host).post("/pay", key="k1")
    server.stop()
    assert server.check_config()[0] == 0
    next(server.root.rglob("data.mdb")).write_bytes(b"\1" * 20000)
    code, said = server.check_config()
    assert code != 0 and "IDEM063" in said and "damaged" in said


def test_configtest_makes_nothing(new_httpd, place):
    server = new_httpd(store=f"lmdb:{place}/store")
    assert server.check_config()[0] == 0
    assert os.listdir(place) == []
    (place / "store").mkdir(mode=0o700)
    own(place / "store")
    assert server.check_config()[0] == 0
    assert os.listdir(place / "store") == []


def change(server, config):
    server.config = config.replace("{root}", str(server.root))
    server.write_config()


def test_configtest_knows_the_secret_of_a_running_store(new_httpd, host):
    """The first advice of the page on security, given to a store that has none."""
    server = new_httpd().start()
    api = Api(server.address, host)
    first = api.post("/pay", key="k1")
    write_secret(server, "old")
    change(server, SECRET)
    code, said = server.check_config()
    assert code != 0 and "IDEM061" in said and "was made without a secret" in said
    change(server, "")
    assert server.check_config()[0] == 0
    assert api.post("/pay", key="k1").recorded == first.recorded


@pytest.mark.parametrize("slot, said", [(SLOT.replace("this", "another"), "was made with another slot: secret"),
                                        (None, "no IdempotencySecret")])
def test_configtest_knows_another_secret(new_httpd, slot, said):
    server = new_httpd(SECRET)
    write_secret(server, "old")
    server.start()
    if slot:
        write_secret(server, "old", slot=slot)
    else:
        change(server, "")
    code, text = server.check_config()
    assert code != 0 and "IDEM061" in text and said in text


def reload(server):
    old = set(server.children())
    server.graceful()
    env.until(lambda: not old & set(server.children()), "the old generation has ended")


def goes_on(server, api, number):
    """…, without its store, and says why."""
    reload(server)
    assert any(number in line and "guarded requests get 503 until you repair this" in line
               for line in server.log.faults())
    assert api.post("/pay", key="k1").problem == HTTP_503
    assert api.post("/pay").problem == (201, None)


def works_again(server, api):
    server.log.mark()
    reload(server)
    assert api.post("/pay", key="k1").replayed
    tolerate(server, *AT_START)


@pytest.fixture
def running(new_httpd, host):
    server = new_httpd(SECRET)
    write_secret(server, "old")
    server.start()
    api = Api(server.address, host)
    assert api.post("/pay", key="k1").problem == (201, None)
    yield server, api
    server.stop()
    tolerate(server, "IDEM010", "IDEM022", "IDEM050", "IDEM065", "IDEM150", "IDEM151", *AT_START)


def test_reload_with_another_secret(running):
    server, api = running
    write_secret(server, "old", slot=SLOT.replace("this", "another"))
    goes_on(server, api, "IDEM151")
    write_secret(server, "old")
    works_again(server, api)


@pytest.mark.parametrize("wrong", ["gone", "readable", "short"])
def test_reload_with_a_secret_that_cannot_be_used(running, wrong):
    server, api = running
    path = server.root / "secret"
    if wrong == "gone":
        path.unlink()
    elif wrong == "readable":
        path.chmod(0o644)
    else:
        path.write_text("slot: short\n" + SEALS["old"])
    goes_on(server, api, "IDEM150")
    path.unlink(missing_ok=True)
    write_secret(server, "old")
    works_again(server, api)


def test_reload_without_the_folder(new_httpd, host, place):
    folder = place / "parent"
    folder.mkdir(mode=0o755)
    server = new_httpd(store=f"lmdb:{folder}/store").start()
    api = Api(server.address, host)
    assert api.post("/pay", key="k1").problem == (201, None)
    folder.rename(place / "away")
    goes_on(server, api, "IDEM150")
    (place / "away").rename(folder)
    works_again(server, api)
    server.stop()
    tolerate(server, "IDEM010", "IDEM011", "IDEM022", "IDEM050", "IDEM065", "IDEM150", *AT_START)


# ---- a secret for a store that was made without one

OPEN = "slot: none\nseal: none\n"
STEPS = [OPEN + SEALS["new"], "slot: none\n" + SEALS["new"], OPEN + SEALS["new"]]
PAY = "/pay?body=a-body-that-nobody-reads"


def test_secret_comes_and_goes_and_nothing_is_lost(new_httpd, host, origin):
    """Each record is replayed after each step, and by the generation before; those of the middle step are sealed."""
    server = new_httpd().start()
    api = Api(server.address, host)
    path = write_secret(server)
    first = {"before": api.post(PAY, key="before")}
    for number, text in enumerate(STEPS):
        path.write_text(text)
        change(server, SECRET)
        assert server.check_config()[0] == 0
        with origin.hold("/slow") as held:
            slow = api.post_async("/slow", key=f"slow{number}")  # keeps the old generation until the new one has begun
            held.wait_until_entered()
            server.graceful()
            first[number] = api.post(PAY, key=f"k{number}")
        assert slow.result().status == 201
        for key, answer in first.items():
            assert api.post(PAY, key=key if key == "before" else f"k{key}").recorded == answer.recorded
    sealed = [record.flags for record in RawStore(server).records() if b"nobody-reads" not in bytes(record.data)]
    assert sealed.count(1) >= 1
    change(server, "")  # before the sealed ones' time is over: they cannot be read, and run no second time
    reload(server)
    for key, answer in first.items():
        again = api.post(PAY, key=key if key == "before" else f"k{key}")
        assert again.problem == (409, "outcome-unknown") if key == 1 else again.recorded == answer.recorded
    assert origin.executions("/pay") == len(first)
    server.stop()
    tolerate(server, "IDEM011", *AT_START)
