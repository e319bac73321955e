# SPDX-License-Identifier: Apache-2.0
"""No room for a request's body: nothing is claimed, nothing runs, and the client gets a problem that says so."""
import contextlib
import subprocess

import pytest

import env
from client import Api
from httpd import Here

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyPrefetch 4K
IdempotencySpool 16M
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
</Location>
"""
LARGE, SMALL = b"x" * 1000000, b"x" * 1000
as_root = pytest.mark.skipif(not env.ROOT, reason="only root may mount a file system")


@contextlib.contextmanager
def full(server):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256K,mode=1777", "tmpfs", server.root / "tmp"], check=True)
    try:
        yield
    finally:
        server.stop()
        subprocess.run(["umount", "-l", server.root / "tmp"], check=False, stderr=subprocess.DEVNULL)


def assert_refused(server, api, origin, reason):
    refused = api.post("/pay", key="k1", body=LARGE)
    assert refused.problem == (503, "store-unavailable")
    assert refused["Content-Type"] == "application/problem+json" and refused["Retry-After"] == "5"
    assert refused["Cache-Control"] == "no-store" and "no room" in refused.json["detail"]
    assert origin.executions() == 0
    assert reason in server.log.faults()[0]
    assert server.outcomes(api, 1)[0][1:4] == ["503", "store-unavailable", "-"]


@as_root
def test_full_folder(new_httpd, host, origin, expect_log):
    expect_log(21)
    server = new_httpd(CONFIG)
    with full(server):
        api = Api(server.start().address, host)
        assert_refused(server, api, origin, "No space left on device")
        page = api.post("/pay", key="k1", body=LARGE, headers=[("Accept", "text/html")])
        assert page.problem == (503, "store-unavailable") and page["Content-Type"].startswith("text/html")
        assert api.post("/watched", key="k1", body=LARGE).status == 201
        first = api.post("/pay", key="k1", body=SMALL)  # nothing was claimed
        assert first.problem == (201, None) and not first.replayed
        assert api.post("/pay", key="k1", body=SMALL).recorded == first.recorded


class Limited(Here):
    """No file may be longer: what a quota or a full disk does, while the folder itself has room."""
    prefix = ["prlimit", "--fsize=200000"]


def test_file_that_may_not_grow(new_httpd, host, origin, expect_log):
    expect_log(21)
    server = new_httpd(CONFIG, "socache:shmcb")
    server.place = Limited
    api = Api(server.start().address, host)
    assert_refused(server, api, origin, "File too large")
    with api.connect() as conn:
        head = api.head("POST", "/pay", [("Idempotency-Key", "k2"), ("Transfer-Encoding", "chunked")])
        conn.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(LARGE), LARGE))
        assert conn.result().problem == (503, "store-unavailable")
    assert origin.executions() == 0


def read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def gone(folder):
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


@as_root
@pytest.mark.parametrize("spoil", [lambda folder: folder.chmod(0), read_only, gone],
                         ids=["forbidden", "read-only", "gone"])
@pytest.mark.parametrize("served", [True, False], ids=["has-served", "never-served"])
def test_folder_that_cannot_be_written(new_httpd, host, origin, spoil, served):
    """Another one is taken: TMPDIR is a wish."""
    server = new_httpd(CONFIG)
    with full(server):
        if not served:
            spoil(server.root / "tmp")
        api = Api(server.start().address, host)
        if served:
            assert api.post("/pay", key="k0", body=b"x" * 10000).status == 201
            spoil(server.root / "tmp")
        origin.clear()
        assert api.post("/pay", key="k1", body=LARGE).problem == (201, None)
        assert api.post("/pay", key="k1", body=LARGE).replayed
        assert origin.executions() == 1
