# SPDX-License-Identifier: Apache-2.0
"""conf/openapi/idempotency-problems.yaml, which API owners include: it says what clients are really answered."""
import re

import jsonschema
import pytest
import yaml

import env

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = """
<Location /cgi/asked>
    IdempotencyLookup On
    IdempotencyRequireKey On
</Location>
<Location /cgi/few>
    IdempotencyMaxKeys 1 per 1h
    IdempotencyScope host path
</Location>
<Location /cgi/body>
    IdempotencyKey json:/id
    IdempotencySpool 70000
    IdempotencyPrefetch 100
</Location>
<Location /cgi/off>
    IdempotencyLookup On
    IdempotencyEngine Off
</Location>
<Location /cgi/none>
    IdempotencyMaxResponse 1K
</Location>
"""
DOCUMENT = yaml.safe_load((env.REPO / "conf/openapi/idempotency-problems.yaml").read_text())
COMPONENTS = DOCUMENT["components"]
ASK = ("Prefer", "idempotency=lookup")


def examples():
    """(name of the problem, the response that has it, its example) of each."""
    for response in COMPONENTS["responses"].values():
        for name, example in response["content"]["application/problem+json"]["examples"].items():
            yield name, response, example["value"]


def test_every_problem_stands_there_as_the_source_has_it():
    rows = re.findall(r'\{"([a-z-]+)", (\d+), \d+, "([^"]*)",\s*((?:"[^"]*"\s*)+)\}',
                      (env.REPO / "src/core/problem.c").read_text())
    source = {name: {"type": "urn:problem-type:idempotency:" + name, "title": title, "status": int(status),
                     "detail": "".join(re.findall('"([^"]*)"', detail))} for name, status, title, detail in rows}
    assert {name: example for name, _, example in examples()} == source
    assert COMPONENTS["headers"]["IdempotencyError"]["schema"]["enum"] == list(source)


def check(answer, name):
    """An answer is as its response describes it."""
    response, = [response for one, response, _ in examples() if one == name]
    content = response["content"]["application/problem+json"]
    jsonschema.Draft202012Validator(COMPONENTS["schemas"]["IdempotencyProblem"]).validate(answer.json)
    expected = content["examples"][name]["value"]
    assert answer["Content-Type"] == "application/problem+json" and answer["Idempotency-Error"] == name
    assert answer.status == expected["status"] == answer.json["status"]
    assert {key: answer.json[key] for key in ("type", "title")} == {key: expected[key] for key in ("type", "title")}
    assert answer["Retry-After"] is None or "Retry-After" in response["headers"]
    return name


def test_real_answers_are_as_described(api, origin):
    asked, few = api.at("/cgi/asked"), api.at("/cgi/few")
    seen = {check(asked.post("/pay", body=b"1"), "key-missing"),
            check(api.post("/pay", headers=["Idempotency-Key: a,b"]), "key-invalid"),
            check(asked.post("/pay", key="k0", headers=[ASK]), "key-unknown"),
            check(api.at("/cgi/off").post("/pay", key="k0", headers=[ASK]), "lookup-unavailable")}
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key="k1", body=b"1")
        held.wait_until_entered()
        seen |= {check(api.post("/pay", key="k1", body=b"1"), "in-progress"),
                 check(api.post("/pay", key="k1", body=b"2"), "key-reused")}
    assert first.result().status == 201
    for key in ("k2", "k3"):
        last = few.post("/pay", key=key, body=b"1")
    seen.add(check(last, "too-many-keys"))
    json = [("Content-Type", "application/json")]
    long = b" " * 80000 + b'{"id": "a"}'
    seen.add(check(api.at("/cgi/body").post("/pay", body=long, headers=json), "body-too-large"))
    for _ in range(2):
        last = api.at("/cgi/none").post("/pay?body=" + "x" * 2000, key="k4", body=b"1")
    seen.add(check(last, "response-not-kept"))
    assert len(seen) == 9


def test_replays_have_the_field_of_replays(api):
    api.post("/pay", key="k1", body=b"1")
    assert api.post("/pay", key="k1", body=b"1")["Idempotent-Replayed"] == \
        COMPONENTS["headers"]["IdempotentReplayed"]["schema"]["const"]
