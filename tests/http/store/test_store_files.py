# SPDX-License-Identifier: Apache-2.0
"""Trouble with the store's files: said at the start or in one line, with the cure; never a crash, never a false answer.
"""
import contextlib
import os
import subprocess

import pytest

import env
from client import Api

pytestmark = pytest.mark.mpm_independent
as_root = pytest.mark.skipif(not env.ROOT, reason="only root may mount a file system or give files away")
SIZE = 60000  # of a response: some dozens of them fill the small stores here


def refused_start(server):
    with pytest.raises(AssertionError):
        server.start()
    lines = [line for line in server.said().splitlines() if "IDEM" in line]
    assert server.process.poll() != 0
    return " ".join(lines)


@contextlib.contextmanager
def tmpfs(folder, options):
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(api, origin):
    """New keys until the store takes no more; says how many it took, and how the rest was answered."""
    for number in range(200):
        answer = api.post(f"/pay?size={SIZE}&seed={number}", key=f"k{number}")
        if answer.status != 201:
            return number, answer
    raise AssertionError("the store never got full")


@pytest.mark.parametrize("path", ["/dev/null/store", "/proc/store", "/nonexistent/deeper/store"])
def test_path_that_cannot_be(new_httpd, path):
    said = refused_start(new_httpd(store=f"lmdb:{path}"))
    assert "IDEM063" in said and path in said


def test_path_that_is_a_file(new_httpd):
    server = new_httpd(store="lmdb:{root}/file")
    (server.root / "file").write_text("something else")
    assert str(server.root / "file") in refused_start(server)
    assert (server.root / "file").read_text() == "something else"


@as_root
def test_directory_of_somebody_else(new_httpd):
    server = new_httpd(store="lmdb:{root}/theirs")
    (server.root / "theirs").mkdir(mode=0o700)
    os.chown(server.root / "theirs", 12345, 12345)
    (server.root / "theirs" / "data.mdb").touch(mode=0o600)
    said = refused_start(server)
    assert str(server.root / "theirs") in said and "chown" in said


@as_root
def test_read_only_file_system(new_httpd):
    server = new_httpd(store="lmdb:{root}/disk/store")
    with tmpfs(server.root / "disk", "ro,size=2M"):
        said = refused_start(server)
    assert "IDEM063" in said and "Read-only file system" in said and "ReadWritePaths" in said


def test_files_belong_to_the_server_alone(new_httpd):
    server = new_httpd().start()
    store = server.root / "store"
    owners = {(path.stat().st_mode & 0o077, path.owner()) for path in [store, *store.iterdir()]}
    assert owners == {(0, env.USER)}
    assert store.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "metas"])
def test_damaged_while_the_server_was_down(new_httpd, host, origin, damage, expect_log):
    expect_log(62, 63)  # 62 is said at each start: the store lies under /tmp
    server = new_httpd().start()
    api = Api(server.address, host)
    for number in range(20):
        assert api.post(f"/pay?size={SIZE}", key=f"k{number}").status == 201
    server.stop()
    data = server.root / "store" / "data.mdb"
    content = data.read_bytes()
    data.write_bytes({"garbage": os.urandom(len(content)), "truncated": content[:len(content) // 2],
                      "empty": b"x" * 100, "metas": bytes(8192) + content[8192:]}[damage])
    said = refused_start(server)
    assert "IDEM063" in said and str(server.root / "store") in said
    data.write_bytes(content)  # a backup helps
    server.start()
    assert api.post(f"/pay?size={SIZE}", key="k7").replayed
    assert origin.executions("/pay") == 20


def assert_full_but_working(server, api, origin, cure, large_refused):
    """large_refused: how many claims may still find room where their responses find none; None for any number."""
    taken, refused = fill(api, origin)
    assert taken > 5
    assert refused.problem == (503, "store-unavailable") and refused["Retry-After"] == "5"
    lines = [line for line in server.log.faults() if "IDEM010" in line or "IDEM014" in line]
    assert len(lines) >= 1 and cure in lines[0]
    assert origin.executions("/pay") == taken  # who is refused is not executed
    another = api.post("/pay", key="one more")  # pages that the last reader has let go since may have room for one
    executed = taken + (another.status == 201)
    assert another.problem in ((201, None), (503, "store-unavailable"))
    assert origin.executions("/pay") == executed
    assert api.post("/pay").problem == (201, None)
    answers = [api.post(f"/pay?size={SIZE}&seed={number}", key=f"k{number}") for number in range(taken)]
    kept = [answer.replayed for answer in answers].index(False) if not answers[-1].replayed else taken
    assert kept > 5 and all(answer.replayed for answer in answers[:kept])  # no live record is lost
    assert large_refused is None or kept >= taken - large_refused  # what no longer fitted left a tombstone
    assert all(answer.replayed or answer.problem == (409, "response-not-kept") for answer in answers[kept:])
    assert origin.executions("/pay") == executed + 1
    assert len(server.children()) >= 3 and server.process.poll() is None


def test_full_map(new_httpd, host, origin, expect_log):
    expect_log(10)
    server = new_httpd(store="lmdb:{root}/store size=1M").start()
    assert_full_but_working(server, Api(server.address, host), origin, "size=", large_refused=1)


@as_root
def test_full_file_system(new_httpd, host, origin, expect_log):
    expect_log(10)
    server = new_httpd(store="lmdb:{root}/disk/store")
    with tmpfs(server.root / "disk", "size=2M"):
        server.start()
        assert_full_but_working(server,
                                Api(server.address, host),
                                origin,
                                "No space left on device",
                                large_refused=None)
        server.stop()
