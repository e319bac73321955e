# SPDX-License-Identifier: Apache-2.0
"""What a site without access to httpd.conf can say in .htaccess."""
import itertools
import shutil

import pytest

from checks import assert_replayed

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyEngine Off
<Directory "{stage}/docs/site">
    AllowOverride FileInfo
    Options +ExecCGI
</Directory>
<Directory "{stage}/docs/site/strict">
    AllowOverride AuthConfig
</Directory>
"""
NUMBERS = itertools.count()
CGI = "<Files order.cgi>\nSetHandler cgi-script\n</Files>\n"


@pytest.fixture
def site(stage, api):
    """Puts a script and an .htaccess into a new folder; requests go to the script."""
    made = []

    def make(htaccess, parent="site"):
        folder = stage.root / "docs" / parent / f"s{next(NUMBERS)}"
        folder.mkdir(parents=True)
        for name in ("answer.py", "origin.cgi"):
            shutil.copy(stage.root / "origins" / name, folder / name.replace("origin", "order"))
        (folder / ".htaccess").write_text(htaccess)
        made.append(folder)
        return api.at(f"/{parent}/{folder.name}/order.cgi")
    yield make
    for folder in made:
        shutil.rmtree(folder)


def test_engine_is_switched_on(site, origin):
    assert_replayed(site(CGI + "IdempotencyEngine On\n"), origin, "/pay")


def test_off_without_a_word(site, origin):
    here = site(CGI)
    assert [here.post("/pay", key="k1").replayed for _ in range(2)] == [False, False]
    assert origin.executions("/pay") == 2


def test_settings_of_a_folder(site, origin):
    here = site(CGI + "IdempotencyEngine On\nIdempotencyKey header:X-Once query:once\nIdempotencyRequireKey On\n"
                "IdempotencyKeyLength 3 5\nIdempotencyMismatchStatus 400\nIdempotencyReplayedHeader X-Again\n")
    assert here.post("/pay").problem == (400, "key-missing")
    assert here.post("/pay", headers=["X-Once: ab"]).problem == (400, "key-invalid")
    assert here.post("/pay", headers=["X-Once: abc"]).status == 201
    assert here.post("/pay", headers=["X-Once: abc"])["X-Again"] == "true"
    assert here.post("/pay", headers=["X-Once: abc"], body=b"other").problem == (400, "key-reused")
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("line", ["IdempotencyEngine Perhaps", "IdempotencyKeyLength 9 3", "IdempotencyMethods GET",
                                  "IdempotencyMismatchStatus 418", "IdempotencyKey nonsense:x"])
def test_wrong_value(site, origin, httpd, line):
    assert site(CGI + line + "\n").post("/pay", key="k1").problem == (500, None)
    assert origin.executions() == 0
    assert any(line.split()[0] in said and line.split()[-1] in said for said in httpd.log.lines())


@pytest.mark.parametrize("line", [
    "IdempotencyStore lmdb:x", "IdempotencyTTL 1h", "IdempotencySpool 1M", "IdempotencyInterrupted retry",
    "IdempotencyStoreFailure bypass", "IdempotencyReleaseStatus none", "IdempotencyMaxResponse 2M",
    "IdempotencyPrefetch 1K", "IdempotencyMaxKeys none"
])
def test_what_belongs_to_the_administrator(site, line):
    assert site(CGI + line + "\n").post("/pay", key="k1").status == 500


def test_not_without_fileinfo(site):
    assert site("IdempotencyEngine On\n", parent="site/strict").post("/pay", key="k1").status == 500


def test_what_clients_of_a_folder_are_told(site, origin):
    here = site(CGI + "IdempotencyEngine On\nIdempotencyStatusHeader X-Once\nIdempotencyLookup On\n"
                "IdempotencyKeyAge 1h\nIdempotencyProblemStatus key-expired=410\n"
                "IdempotencyRetryAfter key-expired=1d\n")
    old = here.post("/pay", key="00000000-0000-7000-8000-000000000000")
    assert old.problem == (410, "key-expired") and old["Retry-After"] == "86400"
    asked = here.post("/pay", key="k1", headers=["Prefer: idempotency=lookup"])
    assert asked.problem == (404, "key-unknown") and asked["X-Once"] == "idempotency;outcome=key-unknown"
    assert here.post("/pay", key="k1")["X-Once"] == "idempotency;outcome=executed;settlement=recorded;ttl=86400"
    assert origin.executions("/pay") == 1


def test_how_long_requests_may_run_is_not_said_here(site, expect_log):
    assert site(CGI + "IdempotencyMaxRun 1s\n").post("/pay", key="k1").status == 500
