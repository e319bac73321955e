# SPDX-License-Identifier: Apache-2.0
"""
Each policy with what its sender really sends: one event is worked on once, and nothing is lost.

The rows are senders.SENDERS. A file of conf/policies that has no row of its own is found by tests/lint/policies.py.
"""
import re
import threading

import pytest

import env
from httpd import Httpd
from receiver import DIES, Receiver, digest
from senders import SENDERS, Event, github, sendgrid, slack_headers

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = ["substitute"]
POLICIES = sorted({sender.policy for sender in SENDERS})
PLACE = """
<Location "/{name}">
    Include {folder}/{name}.conf
    ProxyPass http://127.0.0.1:{port}/{name}
</Location>
"""
WEBHOOKS = [sender for sender in SENDERS if re.search("webhooks|cloudevents|slack", sender.policy)]


def names(senders):
    return [f"{number}-{sender.policy}" for number, sender in enumerate(senders)]


every = pytest.mark.parametrize("sender", SENDERS, ids=names(SENDERS))
every_webhook = pytest.mark.parametrize("sender", WEBHOOKS, ids=names(WEBHOOKS))


@pytest.fixture(scope="module")
def receiver_of_module():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def receiver(receiver_of_module):
    receiver_of_module.forget()
    return receiver_of_module


@pytest.fixture(scope="module")
def httpd(stage, store, receiver_of_module):
    folder, port = env.REPO / "conf/policies", receiver_of_module.server_port
    places = [PLACE.format(name=name, folder=folder, port=port) for name in POLICIES]
    server = Httpd(stage, "IdempotencyEngine Off\n" + "".join(places), store, MODULES)
    yield server.start()
    server.stop()


@pytest.fixture
def deliver(api):
    """deliver(sender, event, attempt=1, path=""): the answer to one attempt."""
    def deliver(sender, event=Event(), attempt=1, path=""):
        url = f"https://{api.host}/{sender.policy}{path}"
        headers, body = sender.send(url, event, attempt)
        headers = [(name, value) for name, value in headers if value is not None]
        return api.at(f"/{sender.policy}").post(path, headers=headers, body=body)
    return deliver


def recorded(answer):
    """All of it but what is of each answer alone: Idempotency-Status."""
    answer.headers = [(name, value) for name, value in answer.headers if name != "Idempotency-Status"]
    return answer.recorded


@every
def test_two_deliveries_are_one_event(sender, deliver, receiver):
    answers = [deliver(sender, attempt=attempt) for attempt in (1, 2, 3)]
    assert [answer.status for answer in answers] == [200] * 3, answers
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert recorded(answers[0]) == recorded(answers[1]) == recorded(answers[2])
    assert len(receiver.worked) == 1


@every
def test_another_id_is_another_event(sender, deliver, receiver):
    answers = [deliver(sender, Event(number)) for number in (1, 2, 1)]
    assert [answer.replayed for answer in answers] == [False, False, True]
    assert answers[0].body == answers[2].body != answers[1].body
    assert len(receiver.worked) == 2


@every
def test_one_event_at_two_places_is_worked_on_at_both(sender, deliver, receiver):
    """A service sends one event to each of the endpoints that somebody registered."""
    if sender in WEBHOOKS:
        paths = ["/one", "/two", "/two?tenant=7"]
        assert [deliver(sender, path=path).problem for path in paths] == [(200, None)] * 3
        assert len(receiver.worked) == 3


@every
@pytest.mark.parametrize("status", [400, 402, 409, 422, 500, 502, 504])
def test_failure_of_the_application(sender, deliver, receiver, status):
    """What the application answered is repeated where the policy says that it is final; else the retry runs."""
    receiver.told = [status]
    first, again = deliver(sender), deliver(sender, attempt=2)
    assert first.problem == (status, None)
    final = status in sender.kept or sender not in WEBHOOKS and status in (402, 409, 422)
    assert (again.status, again.replayed) == ((status, True) if final else (200, False))
    assert len(receiver.worked) == (0 if final else 1)


@every
def test_application_that_died(sender, deliver, receiver):
    """Nobody knows whether the first one did something. An event is worked on again, an operation is not."""
    receiver.told = [DIES]
    assert deliver(sender).problem == (502, None)
    again = deliver(sender, attempt=2)
    assert again.problem == ((200, None) if sender in WEBHOOKS else (409, "outcome-unknown")), again
    assert len(receiver.worked) == (2 if sender in WEBHOOKS else 1)


@every
def test_tampered_body_is_refused(sender, deliver, receiver):
    first = deliver(sender)
    other = deliver(sender, Event(amount=999))
    assert other.problem == (sender.changed, None if sender.changed == 200 else "key-reused"), other
    assert deliver(sender, attempt=2).body == first.body != other.body
    assert len(receiver.worked) == (2 if sender.changed == 200 else 1)


@every
def test_forger_who_comes_first_changes_nothing(sender, deliver, receiver):
    assert deliver(sender, Event(signed=False)).problem == (401, None)
    assert deliver(sender, Event(amount=999, signed=False)).problem == (401, None)
    assert deliver(sender).problem == (200, None)
    assert len(receiver.worked) == 1


@every
def test_forger_who_comes_later(sender, deliver, receiver):
    first = deliver(sender)
    forged = deliver(sender, Event(signed=False))
    assert forged.status == sender.forged, forged
    assert first.body not in forged.body or sender.forged == 200
    assert deliver(sender, Event(amount=999, signed=False)).status in (401, sender.changed)
    assert len(receiver.worked) == 1


@every
def test_request_without_its_key(sender, deliver, receiver):
    answer = deliver(sender, Event(number=None))
    assert answer.problem in (sender.keyless, (401, None)), answer  # 401: the name is signed, too
    assert len(receiver.worked) == (1 if answer.status == 200 else 0)


@every_webhook
def test_attempt_that_comes_early_gets_the_first_ones_answer(sender, deliver, receiver):
    """A sender that waits no longer sends again while the application still works."""
    answers = []
    threads = []
    with receiver.lock:  # the application stands still
        threads += [threading.Thread(target=lambda n=n: answers.append(deliver(sender, attempt=n))) for n in (1, 2)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(env.CLIENT_TIMEOUT)
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert len(receiver.worked) == 1


# ---- what one of them has alone ------------------------------------------------------------------------------------

def test_iceberg_catalog_advertises_the_lifetime(api):
    config = api.at("/iceberg-rest").get("/v1/config").json
    assert config == {"idempotency-key-lifetime": "PT24H", "defaults": {}, "overrides": {}}
    assert "idempotency-key-lifetime" not in api.at("/iceberg-rest").get("/v1/namespaces").json


@pytest.mark.parametrize("key, problem", [
    ("123e4567-e89b-42d3-a456-426655440000", (400, "key-invalid")),
    ("01890a5d-ac96-774b-bcce-b302099a8057", (409, "key-expired")),  # of 2023
])
def test_iceberg_key_of_another_version_or_time_is_refused(api, receiver, key, problem):
    assert api.at("/iceberg-rest").post("/v1/namespaces", key=key, body=b"{}").problem == problem
    assert receiver.worked == []


@pytest.mark.parametrize("policy", ["acp", "stripe-api"])
def test_key_is_repeated_in_the_answer(api, policy):
    headers = [("Authorization", "Bearer good"), ("Idempotency-Key", "k-1")]
    answers = [api.at(f"/{policy}").post("", headers=headers, body=body) for body in (b"1", b"1", b"2")]
    assert [answer.all("Idempotency-Key") for answer in answers] == [["k-1"]] * 3
    assert api.at(f"/{policy}").get("").all("Idempotency-Key") == []


@pytest.mark.parametrize("policy", ["acp", "stripe-api"])
def test_another_sites_script_can_read_the_key(api, policy):
    own = [("Authorization", "Bearer good"), ("Idempotency-Key", "k-1")]
    answers = [api.at(f"/{policy}").post("", headers=own + [("Origin", "https://shop.test")], body=body)
               for body in (b"1", b"1", b"2")]
    exposed = [", ".join(answer.all("Access-Control-Expose-Headers")).split(", ") for answer in answers]
    assert [words.count("Idempotency-Key") for words in exposed] == [1] * 3
    assert answers[0].recorded == answers[1].recorded and answers[1].replayed
    assert api.at(f"/{policy}").post("", headers=own, body=b"1").all("Access-Control-Expose-Headers") == []


def test_draft_publishes_how_long_a_key_lives(api):
    headers = [("Authorization", "Bearer good")]
    first, again = [api.at("/idempotency-draft").post("", key="k1", headers=headers, body=b"1") for _ in range(2)]
    assert first["Idempotency-Status"] == "idempotency;outcome=executed;settlement=recorded;ttl=86400"
    assert re.fullmatch(r"idempotency;outcome=replayed;age=\d+;ttl=86\d{3}", again["Idempotency-Status"])


def test_acp_another_path_or_token_is_another_key(api, receiver):
    acp = api.at("/acp")
    for path, token in (("/cs_1", "good1"), ("/cs_1/complete", "good1"), ("/cs_1", "good2")):
        headers = [("Authorization", f"Bearer {token}"), ("Idempotency-Key", "k-1")]
        assert not acp.post(path, headers=headers, body=b"{}").replayed
        assert acp.post(path, headers=headers, body=b"{}").replayed
    assert len(receiver.worked) == 3


def test_cloudevents_source_belongs_to_the_id(api, receiver):
    events = api.at("/cloudevents").with_headers(bearer := ("Authorization", "Bearer good"), ("ce-id", "1"))
    assert not events.post("", headers=[("ce-source", "/a")], body=b"{}").replayed
    assert not events.post("", headers=[("ce-source", "/b")], body=b"{}").replayed
    assert len(receiver.worked) == 2 and bearer


def test_cloudevents_batch_passes(api, receiver):
    events = api.at("/cloudevents").with_headers(("Authorization", "Bearer good"))
    batch = [("Content-Type", "application/cloudevents-batch+json")]
    assert events.post("", headers=batch, body=b"[]").problem == (200, None)
    assert len(receiver.worked) == 1


def test_github_hooks_share_the_id_of_an_event(api, receiver):
    """Two apps, or a repository and its organization: one event, two webhooks, a body each. None is lost."""
    for hook in ("292430182", "292430183"):
        headers, body = github("", Event(amount=int(hook)), 1)
        headers = [field for field in headers if field[0] != "X-GitHub-Hook-ID"] + [("X-GitHub-Hook-ID", hook)]
        answers = [api.at("/github-webhooks").post("", headers=headers, body=body) for _ in range(2)]
        assert [(answer.status, answer.replayed) for answer in answers] == [(200, False), (200, True)]
    assert len(receiver.worked) == 2


def slack_signed(body):
    return slack_headers(Event(), 1, body) + [("Content-Type", "application/json")]


def test_slack_challenge_passes(api, receiver):
    body = b'{"token":"z","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}'
    slack = api.at("/slack-events").with_headers(*slack_signed(body))
    assert [slack.post("", body=body).problem for _ in range(2)] == [(200, None)] * 2
    assert len(receiver.worked) == 2


def test_sendgrid_batches_that_begin_alike_are_two(api, receiver):
    """The same first event with others behind it: nothing is taken for a duplicate, nothing is refused."""
    for kinds in (["open"], ["open", "click"], ["open", "click", "bounce"]):
        headers, body = sendgrid("", Event(), 1, kinds)
        for replayed in (False, True):
            answer = api.at("/sendgrid-webhooks").post("", headers=headers, body=body)
            assert (answer.status, answer.replayed) == (200, replayed)
    assert len(receiver.worked) == 3


@pytest.mark.parametrize("body, headers", [
    (b'{"id": "evt_1", "id": "evt_2"}', []),
    (b'{"id": "evt_1"', []),
    (b'{"id": ["evt_1"]}', []),
    (b'{"id": "charge_1"}', []),
    (b'{"id": "evt_1"}', [("Content-Encoding", "gzip")]),
], ids=["two ids", "cut", "no string", "no event", "coded"])
def test_broken_event_is_refused(api, receiver, body, headers):
    answer = api.at("/stripe-webhooks").post("", headers=[("Content-Type", "application/json"), *headers], body=body)
    assert answer.problem == (400, "key-invalid"), answer
    assert receiver.worked == []


def test_graphql_query_passes(api, receiver):
    graphql = api.at("/graphql").with_headers(("Authorization", "Bearer good"))
    query = {"query": "query { orders { id } }", "variables": {}}
    for headers in ([], [("Idempotency-Key", "k1")]):
        assert [graphql.post("", json=query, headers=headers).replayed for _ in range(2)] == [False] * 2
    assert len(receiver.worked) == 4


@pytest.mark.parametrize("body", [
    {"query": "query A { a }\nmutation B { b }", "operationName": "B"},
    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb46db40b51"}}},
    [{"query": "mutation { a }"}, {"query": "{ b }"}],
], ids=["two operations", "persisted", "batch"])
def test_graphql_in_doubt_is_guarded(api, body):
    graphql = api.at("/graphql").with_headers(("Authorization", "Bearer good"))
    assert [graphql.post("", json=body, key="k1").replayed for _ in range(2)] == [False, True]


@pytest.mark.parametrize("call, problem, times", [
    ({"jsonrpc": "2.0", "id": 1, "method": "pay"}, (400, "key-invalid"), 0),
    ({"jsonrpc": "2.0", "method": "pay"}, (200, None), 2),
    ([{"jsonrpc": "2.0", "id": 1, "method": "pay"}], (200, None), 2),
], ids=["counted", "notification", "batch"])
def test_json_rpc_without_a_unique_id(api, receiver, call, problem, times):
    rpc = api.at("/json-rpc").with_headers(("Authorization", "Bearer good"))
    assert [rpc.post("", json=call).problem for _ in range(2)] == [problem] * 2
    assert len(receiver.worked) == times


def test_mcp_sessions_and_directions_have_ids_of_their_own(api, receiver):
    mcp = api.at("/mcp").with_headers(("Authorization", "Bearer good"))
    call, reply = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}, {"jsonrpc": "2.0", "id": 1, "result": {}}
    for session in ("a", "b"):
        for message in (call, reply):
            answers = [mcp.post("", json=message, headers=[("Mcp-Session-Id", session)]) for _ in range(2)]
            assert [answer.replayed for answer in answers] == [False, True]
    assert len(receiver.worked) == 4
    assert not mcp.post("", json=call).replayed and not mcp.post("", json=call).replayed  # without a session
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    answers = [mcp.post("", json=listing, headers=[("Mcp-Session-Id", "a")]) for _ in range(2)]
    assert [answer.replayed for answer in answers] == [False, False]


@pytest.mark.parametrize("version, once", [
    (None, True), ("2025-03-26", True), ("2025-11-25", True), ("2026-07-28", False), ("2027-01-01", False)])
def test_mcp_without_sessions_an_id_is_no_key(api, receiver, version, once):
    """Since revision 2026-07-28 a client may use an id again as soon as its request was answered."""
    mcp = api.at("/mcp").with_headers(("Authorization", "Bearer good"), ("Mcp-Session-Id", "a"),
                                      *([("MCP-Protocol-Version", version)] if version else []))
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}}
    assert [mcp.post("", json=call).replayed for _ in range(2)] == [False, once]
    assert len(receiver.worked) == (1 if once else 2)
    assert [mcp.post("", json=call, key="k1").replayed for _ in range(2)] == [False, True]


@pytest.mark.parametrize("kind", ["application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"])
def test_aws_token_in_json(api, kind):
    body = b'{"clientToken":"550e8400-e29b-41d4-a716-446655440000"}'
    headers = [("Content-Type", kind), ("X-Amz-Date", "d"),
               ("Authorization", f"AWS4-HMAC-SHA256 Credential=AK/d/r/s/x, Signature={digest(b'd' + body).hex()}")]
    answers = [api.at("/aws-client-token").post("", headers=headers, body=body) for _ in range(2)]
    assert [(answer.status, answer.replayed) for answer in answers] == [(200, False), (200, True)]
    other = [*headers, ("X-Amz-Target", "Service.Another")]
    assert api.at("/aws-client-token").post("", headers=other, body=body).problem == (400, "key-reused")
