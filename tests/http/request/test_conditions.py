# SPDX-License-Identifier: Apache-2.0
"""
IdempotencyExcept "expr=CONDITION": an expression that asks for values in the body, by json() and form(). GraphQL,
JSON-RPC and MCP as administrators would write them.
"""
import pytest

from forms import field, file, form, js, multipart

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
BASE = "/cgi"
CONFIG = r"""
<Location /cgi/graphql>
    IdempotencyKey header:Idempotency-Key json:/extensions/idempotencyKey
    IdempotencyExcept "expr=json('/query') =~ /^[^#]*$/ && json('/query') !~ /\bmutation\b/ && -n json('/query')"
</Location>
<Location /cgi/rpc>
    IdempotencyKey header:Idempotency-Key json:/id
    IdempotencyExcept "expr=json('/jsonrpc') == '2.0' && json('/method') =~ /^(get|list)/"
</Location>
<Location /cgi/mcp>
    IdempotencyExcept "expr=-n json('/method') && \
        (json('/method') != 'tools/call' || json('/params/name') in {'search', 'read'})"
</Location>
<Location /cgi/form>
    IdempotencyExcept "expr=form('action') in {'list', 'show'} || (-n form('q') && form('q') !~ /delete/)"
    IdempotencySpool 8K
    IdempotencyPrefetch 1K
</Location>
<Location /cgi/regex>
    IdempotencyExcept form:q "(?s)^(?!.*delete)"
</Location>
<Location /cgi/head>
    IdempotencyExcept "expr=req('X-Mode') == 'dry-run'"
</Location>
<Location /cgi/wrong>
    IdempotencyExcept "expr=json('/a') == 'x' || true"
</Location>
<Directory "{stage}/docs/conditions">
    AllowOverride FileInfo
    Options +ExecCGI
</Directory>
"""


def assert_guarded(api, path, sent, guarded):
    """Whether the second of two equal requests was a replay; the application answered both."""
    answers = [api.post(path, key="k1", **sent) for _ in range(2)]
    assert [answer.problem for answer in answers] == [(201, None)] * 2, answers
    assert answers[1].replayed == guarded


GRAPHQL = {
    "query": ({"query": "query A { a }"}, False),
    "short": ({"query": "{ a }"}, False),
    "a name alike": ({"query": "{ mutationCount }"}, False),
    "mutation": ({"query": "mutation { pay }"}, True),
    "behind a comment": ({"query": "# pays\nmutation { pay }"}, True),
    "in a comment": ({"query": "# no mutation\n{ a }"}, True),
    "escaped": ('{"query": "\\u006dutation { pay }"}', True),
    "two operations, the first": ({"query": "query A { a } mutation B { b }", "operationName": "A"}, True),
    "two operations, the second": ({"query": "query A { a } mutation B { b }", "operationName": "B"}, True),
    "subscription": ({"query": "subscription { a }"}, False),
    "persisted": ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb46db40b51"}}}, True),
    "batch": ([{"query": "{ a }"}, {"query": "{ b }"}], True),
    "batch with a mutation": ([{"query": "{ a }"}, {"query": "mutation { b }"}], True),
    "two texts": ('{"query": "{ a }", "query": "mutation { b }"}', True),
    "no text": ({"query": ["{ a }"]}, True),
    "cut": ('{"query": "{ a }"', True),
    "a NUL": ('{"query": "{ a }\\u0000 mutation { b }"}', True),
    "nothing": ("", True),
}


@pytest.mark.parametrize("name", GRAPHQL)
def test_graphql_mutations_only(api, name):
    body, guarded = GRAPHQL[name]
    assert_guarded(api, "/graphql", js(body), guarded)


@pytest.mark.parametrize("sent", [
    js("mutation { pay }", "application/graphql"), js("{ a }", "application/graphql"),
    multipart(field("operations", '{"query": "{ a }"}'), file("0", "x")),
    {**js({"query": "{ a }"}), "headers": [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]}])
def test_graphql_that_is_no_json_is_guarded(api, sent):
    assert_guarded(api, "/graphql", sent, True)


def test_graphql_key_in_the_body(api, origin):
    mutation = js({"query": "mutation { pay }", "extensions": {"idempotencyKey": "k1"}})
    query = js({"query": "{ a }", "extensions": {"idempotencyKey": "k1"}})
    assert [api.post("/graphql", **mutation).replayed for _ in range(2)] == [False, True]
    assert [api.post("/graphql", **query).replayed for _ in range(2)] == [False, False]


RPC = {
    "call": ({"jsonrpc": "2.0", "id": "k1", "method": "pay"}, True),
    "reads": ({"jsonrpc": "2.0", "id": "k1", "method": "getBalance"}, False),
    "of another version": ({"jsonrpc": "1.0", "id": "k1", "method": "getBalance"}, True),
    "notification": ({"jsonrpc": "2.0", "method": "pay"}, True),
    "batch": ([{"jsonrpc": "2.0", "id": "k1", "method": "getBalance"}], True),
}


@pytest.mark.parametrize("name", RPC)
def test_json_rpc(api, name):
    body, guarded = RPC[name]
    assert_guarded(api, "/rpc", js(body), guarded)


MCP = {
    "calls": ({"id": 1, "method": "tools/call", "params": {"name": "pay"}}, True),
    "calls what reads": ({"id": 1, "method": "tools/call", "params": {"name": "search"}}, False),
    "lists": ({"id": 1, "method": "tools/list"}, False),
    "answers": ({"id": 1, "result": {}}, True),
    "calls by no name": ({"id": 1, "method": "tools/call", "params": {"name": ["search"]}}, True),
    "batch": ([{"id": 1, "method": "tools/list"}], True),
}


@pytest.mark.parametrize("name", MCP)
def test_mcp(api, name):
    body, guarded = MCP[name]
    assert_guarded(api, "/mcp", js(body), guarded)


FORMS = {
    "matches": (form("action=list"), False),
    "multipart": (multipart(field("action", "show")), False),
    "another": (form("action=delete"), True),
    "absent": (form("a=1"), True),
    "two fields": (form("action=list&action=delete"), True),
    "a broken field beside it": (form("action=list&x=%zz"), True),
    "a file": (multipart(file("action", "list")), True),
    "long": (form("q=" + "x" * 1000 + "ok"), False),
    "longer than what is kept of it": (form("q=" + "x" * 1100 + "delete"), True),
    "beyond the spool": (form("action=list&x=" + "x" * 9000), True),
    "another type": (js("action=list", "text/csv"), True),
    "no body": ({}, True),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(api, name):
    sent, guarded = FORMS[name]
    assert_guarded(api, "/form", sent, guarded)


@pytest.mark.parametrize("more, guarded", [("x" * 900, False), ("x" * 1100 + "delete", True)])
def test_regex_sees_all_of_a_value_or_it_is_guarded(api, more, guarded):
    assert_guarded(api, "/regex", form("q=" + more), guarded)


def test_without_the_body(api):
    assert_guarded(api, "/head", {"body": b"x", "headers": [("X-Mode", "dry-run")]}, False)
    assert_guarded(api, "/head", {"body": b"x", "headers": [("X-Mode", "real")]}, True)


def test_what_cannot_be_read_is_guarded_whatever_the_condition_says(api):
    assert_guarded(api, "/wrong", js({"a": "y"}), False)
    assert_guarded(api, "/wrong", js('{"a": "y"'), True)


def test_in_htaccess(api, stage):
    folder = stage.root / "docs/conditions"
    folder.mkdir(exist_ok=True)
    (folder / "one.cgi").write_text("#!/bin/sh\necho Status: 201; echo; cat; date +%N\n")
    (folder / "one.cgi").chmod(0o755)
    for expression, works in (("json('/method') == 'get'", True), ("file('/etc/hostname') == json('/a')", False)):
        (folder / ".htaccess").write_text("<Files one.cgi>\nSetHandler cgi-script\n</Files>\n"
                                          f'IdempotencyExcept "expr={expression}"\n')
        at = api.at("/conditions")
        answers = [at.post("/one.cgi", key=expression, **js({"method": method})) for method in ("get", "get", "set")]
        assert [answer.status for answer in answers] == ([201] if works else [500]) * 3
        if works:
            assert not answers[1].replayed and at.post("/one.cgi", key=expression, **js({"method": "set"})).replayed
