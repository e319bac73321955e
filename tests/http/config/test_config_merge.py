# SPDX-License-Identifier: Apache-2.0
"""Inner sections win over outer ones, value by value; lists replace or change the outer list.

The module's own refusals show the settings of a place: which methods want a key there, and the other words of the
answer. Nothing is executed for that.
"""
import pytest

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]  # no store is asked for any of this

METHODS = ["POST", "PUT", "PATCH", "DELETE", "PURGE", "LOCK", "MOVE"]
CONFIG = """
IdempotencyRequireKey On
IdempotencyMethods +PURGE -PUT
IdempotencyHelp /outer
IdempotencyKeyLength 3 8
SetEnvIf X-Env (.+) NAMED=$1

<Directory "{stage}/docs">
    AllowOverride FileInfo
    IdempotencyHelp /directory
    IdempotencyKeyLength 1 255
</Directory>
<Location "/replaced">
    IdempotencyMethods LOCK
</Location>
<Location "/replaced/changed">
    IdempotencyMethods +MOVE -LOCK
</Location>
<Location "/replaced/twice">
    IdempotencyMethods +MOVE
    IdempotencyMethods +PURGE -LOCK
</Location>
<Location "/again">
    IdempotencyMethods +PURGE +PURGE -DELETE -DELETE
</Location>
<Location "/last">
    IdempotencyMethods +LOCK
    IdempotencyMethods MOVE
</Location>
<Location "/default-said-aloud">
    IdempotencyMethods POST PUT PATCH DELETE
    IdempotencyHelp none
    IdempotencyRequireKey Off
</Location>
<Location "/default-said-aloud/inner">
    IdempotencyRequireKey On
</Location>
<Location "/off">
    IdempotencyEngine Off
</Location>
<Location "/off/on">
    IdempotencyEngine On
</Location>
<Location "/if">
    IdempotencyHelp /location
    <If "%{HTTP:X-If} == 'yes'">
        IdempotencyHelp /if
        IdempotencyMethods -PURGE
    </If>
</Location>
<Location "/keys">
    IdempotencyKey +query:key +cookie:key +env:NAMED "+expr=%{HTTP:X-Expr}"
    IdempotencyKeyFormat "a+|b+"
</Location>
<Location "/keys/fewer">
    IdempotencyKey -cookie:key -header:Idempotency-Key
</Location>
<Location "/crowded">
    IdempotencyScope header:a header:b header:c header:d header:e header:f header:g header:h header:i
</Location>
<Location "/crowded/more">
    IdempotencyScope +header:j +header:k +header:l +header:m +header:n +header:o +header:p +header:q
</Location>
<VirtualHost *>
    ServerName origin.test
    ServerAlias *.test
    DocumentRoot "{stage}/docs"
</VirtualHost>
<VirtualHost *>
    ServerName inner.example
    DocumentRoot "{stage}/docs"
    IdempotencyMethods -PURGE +MOVE
    IdempotencyHelp /virtual
    <Location "/replaced/changed">
        IdempotencyMethods +LOCK
    </Location>
</VirtualHost>
"""


@pytest.fixture
def here(api):
    return api.at("")


def guarded(api, path, headers=()):
    """The methods that want a key there."""
    return [method for method in METHODS if api.request(method, path, headers=headers).problem == (400, "key-missing")]


def help_at(api, path, headers=()):
    return api.post(path, headers=headers).json["type"]


@pytest.mark.parametrize("path, methods", [
    ("/", "POST PATCH DELETE PURGE"),  # the default, changed in the server's configuration
    ("/replaced", "LOCK"),
    ("/replaced/changed", "MOVE"),
    ("/replaced/twice", "PURGE MOVE"),
    ("/again", "POST PATCH PURGE"),
    ("/last", "MOVE"),
    ("/default-said-aloud", ""),
    ("/default-said-aloud/inner", "POST PUT PATCH DELETE"),
    ("/off", ""),
    ("/off/on", "POST PATCH DELETE PURGE"),
])
def test_list_replaces_or_changes_the_outer_one(here, path, methods):
    assert guarded(here, path) == methods.split()


def test_virtual_host_changes_the_servers_list(here):
    here.host = "inner.example"
    assert guarded(here, "/") == ["POST", "PATCH", "DELETE", "MOVE"]
    assert guarded(here, "/replaced") == ["LOCK"]
    assert guarded(here, "/replaced/changed") == ["LOCK", "MOVE"]


@pytest.mark.parametrize("path, problem_type", [
    ("/", "/directory#key-missing"),  # a directory is inside its server
    ("/if", "/location#key-missing"),  # a location is inside a directory
    ("/default-said-aloud/inner", "urn:problem-type:idempotency:key-missing"),
])
def test_inner_value_wins(here, path, problem_type):
    assert help_at(here, path) == problem_type


def test_if_section_is_innermost(here):
    assert help_at(here, "/if", headers=["X-If: yes"]) == "/if#key-missing"
    assert guarded(here, "/if", headers=["X-If: yes"]) == ["POST", "PATCH", "DELETE"]
    assert guarded(here, "/if") == ["POST", "PATCH", "DELETE", "PURGE"]


def test_inner_range_that_is_the_default(here):
    assert here.post("/keys", key="a" * 255).status != 400
    assert here.post("/keys", key="a" * 256).problem == (400, "key-invalid")


@pytest.mark.parametrize("path, header, query, found", [
    ("/keys", "Idempotency-Key: X", "", True),
    ("/keys", "X-Other: X", "?key=X", True),
    ("/keys", "Cookie: key=X", "", True),
    ("/keys", "X-Env: X", "", True),
    ("/keys", "X-Expr: X", "", True),
    ("/keys", "X-Other: X", "?Key=X", False),
    ("/keys/fewer", "Idempotency-Key: X", "", False),
    ("/keys/fewer", "Cookie: key=X", "", False),
    ("/keys/fewer", "X-Other: X", "?key=X", True),
])
def test_sources_of_keys_are_added_and_taken_away(here, path, header, query, found):
    """X is no valid key there, so a source that is asked refuses it."""
    assert here.post(path + query, headers=[header]).problem == (400, "key-invalid" if found else "key-missing")


def test_expression_matches_the_whole_key(here):
    assert here.post("/keys", key="aab").problem == (400, "key-invalid")
    assert here.post("/keys", key="bab").problem == (400, "key-invalid")
    assert here.post("/keys", key="bb").problem[1] is None


def test_htaccess_is_inside_its_directory(here, stage):
    folder = stage.root / "docs/merge"
    folder.mkdir()
    (folder / ".htaccess").write_text('IdempotencyMethods +MOVE -PURGE\nIdempotencyHelp /htaccess\n'
                                      '<If "%{HTTP:X-If} == \'yes\'">\nIdempotencyHelp none\n</If>\n')
    assert guarded(here, "/merge/") == ["POST", "PATCH", "DELETE", "MOVE"]
    assert help_at(here, "/merge/") == "/htaccess#key-missing"
    assert help_at(here, "/merge/", headers=["X-If: yes"]) == "urn:problem-type:idempotency:key-missing"


def test_htaccess_may_not_read_files(here, stage, httpd):
    folder = stage.root / "docs/files"
    folder.mkdir()
    (folder / ".htaccess").write_text('IdempotencyScope "expr=%{file:/etc/hostname}"\n')
    assert here.post("/files/", key="k1").problem == (500, None)
    assert any("IdempotencyScope cannot take the expression" in line for line in httpd.log.lines())


def test_lists_that_add_up_to_too_much(here, expect_log):
    """Nothing may be dropped in silence, and nobody can be told before a request comes."""
    expect_log(52)
    assert here.post("/crowded/more", key="k1").problem == (500, None)
    assert here.post("/crowded", key="k1").problem[1] is None
