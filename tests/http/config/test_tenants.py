# SPDX-License-Identifier: Apache-2.0
"""Tenants of one host who write .htaccess files: none reaches a file, or what another tenant's clients were answered.

Mallory may say whatever AllowOverride FileInfo allows, and knows all that a client of Alice's has sent. Alice has done
nothing to prepare for that.
"""
import itertools
import shutil

import pytest

from checks import parts_named

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
IdempotencyEngine Off
<Directory "{stage}/docs/tenants">
    AllowOverride FileInfo
    Options +ExecCGI
</Directory>
SetEnvIf Request_URI "^/tenants/by-env-([a-z]+)" TENANT=$1
<LocationMatch "^/tenants/by-env-">
    IdempotencyScope host env:TENANT
</LocationMatch>
"""
NUMBERS = itertools.count()
CGI = "<Files order.cgi>\nSetHandler cgi-script\n</Files>\nIdempotencyEngine On\n"


@pytest.fixture
def tenant(stage, api):
    """A folder with a script and an .htaccess file; requests go to the script."""
    made = []

    def make(htaccess="", name=None):
        folder = stage.root / "docs" / "tenants" / (name or f"t{next(NUMBERS)}")
        folder.mkdir(parents=True)
        for source in ("answer.py", "origin.cgi"):
            shutil.copy(stage.root / "origins" / source, folder / source.replace("origin", "order"))
        (folder / ".htaccess").write_text(CGI + htaccess + "\n")
        made.append(folder)
        return api.at(f"/tenants/{folder.name}/order.cgi")
    yield make
    for folder in made:
        shutil.rmtree(folder)


MALLORY = [
    "",
    "IdempotencyFingerprint none",
    "IdempotencyFingerprint body",
    "IdempotencyFingerprint -path -query -credentials",
    "IdempotencyScope none",
    "IdempotencyScope none\nIdempotencyFingerprint none",
    'IdempotencyFingerprint method "expr={alice}" query body header:Content-Type credentials',
    "SetEnvIf Request_URI . PATH={alice}\nIdempotencyFingerprint method env:PATH query body header:Content-Type "
    "credentials",
    "SetEnvIf Request_URI . REQUEST_URI={alice} REMOTE_USER=alice HTTP_HOST=other",
    "RewriteEngine On\nRewriteRule .* - [E=REQUEST_URI:{alice}]",
    "RequestHeader set Host other\nRequestHeader set Authorization x\nRequestHeader unset Content-Type",
    "RequestHeader set X-Forwarded-Uri {alice}\nIdempotencyFingerprint +header:X-Forwarded-Uri",
    "SetEnvIf Request_URI . KEY=k1\nIdempotencyKey env:KEY",
    'IdempotencyKey "expr=k1"',
    "IdempotencyReplayedHeader X-Mine\nIdempotencyResponse stream\nIdempotencySetCookie keep",
    "IdempotencyMismatchStatus 409\nIdempotencyHelp /help",
    "IdempotencyEngine DetectionOnly",
]


@pytest.mark.parametrize("htaccess", MALLORY)
def test_record_of_another_tenant(tenant, htaccess):
    alice = tenant()
    mallory = tenant(htaccess.replace("{alice}", f"{alice.base}/pay"))
    first = alice.post("/pay", key="k1", body=b"1")
    for body in (b"1", b"1", b"2"):
        answer = mallory.post("/pay", key="k1", body=body)
        assert answer.status in (201, 409, 422)
        assert first.json["execution"].encode() not in answer.body
    again = alice.post("/pay", key="k1", body=b"1")
    assert again.replayed and again.recorded == first.recorded


def test_tenant_named_by_a_variable(tenant, origin):
    """Who may set the variable may enter another's names, and be told that a key is taken; nothing else."""
    alice, mallory = tenant(name="by-env-alice"), tenant("SetEnvIf Request_URI . TENANT=alice", name="by-env-mallory")
    first = alice.post("/pay", key="k1", body=b"1")
    for body in (b"1", b"2"):
        refused = mallory.post("/pay", key="k1", body=body)
        assert refused.problem == (422, "key-reused") and "path" in parts_named(refused)
        assert first.json["execution"].encode() not in refused.body
    assert alice.post("/pay", key="k1", body=b"1").recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_keys_of_tenants_who_are_told_apart(tenant, origin):
    alice, mallory = tenant(name="by-env-alice"), tenant(name="by-env-mallory")
    assert alice.post("/pay", key="k1", body=b"1").status == mallory.post("/pay", key="k1", body=b"2").status == 201
    assert origin.executions("/pay") == 2


@pytest.mark.parametrize("directive", ["IdempotencyKey", "IdempotencyScope", "IdempotencyFingerprint"])
@pytest.mark.parametrize("expression",
                         ["%{file:/etc/passwd}", "%{filesize:/etc/passwd}", "x%{file:%{DOCUMENT_ROOT}/../httpd.conf}"])
def test_expressions_read_no_files(tenant, origin, httpd, directive, expression):
    """Else a tenant could ask, key by key, what stands in a file that only the server may read."""
    assert tenant(f'{directive} "expr={expression}"').post("/pay", key="k1").status == 500
    assert any(directive in line and "restricted" in line.lower() for line in httpd.log.lines())
    assert origin.executions() == 0


@pytest.mark.parametrize("line", [
    "IdempotencySecret none", "IdempotencySecret file:/etc/passwd", "IdempotencyStore lmdb:mine",
    "IdempotencyMaxKeys none", "IdempotencyMaxWaiters 0", "IdempotencyTTL 400d", "IdempotencySpool 10G",
    "IdempotencyMaxResponse 1G", "IdempotencyConcurrent wait 5min"
])
def test_what_costs_others_something_is_not_the_tenants_to_say(tenant, origin, line):
    assert tenant(line).post("/pay", key="k1").status == 500
    assert origin.executions() == 0
