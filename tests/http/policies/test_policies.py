# SPDX-License-Identifier: Apache-2.0
"""
Each policy with what its sender really sends: one event is worked on once, and nothing is lost.

The rows are senders.SENDERS. A file of conf/policies that has no row of its own is found by tests/lint/policies.py.
"""
import threading

import pytest

import env
from httpd import Httpd
from receiver import Receiver
from senders import SENDERS, Event

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
WEBHOOKS = [sender for sender in SENDERS if "webhooks" in sender.policy or sender.policy == "cloudevents"]


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
    """deliver(sender, event, attempt=1, path="", drop=None): the answer to one attempt."""
    def deliver(sender, event=Event(), attempt=1, path="", drop=None):
        url = f"https://{api.host}/{sender.policy}{path}"
        headers, body = sender.send(url, event, attempt)
        headers = [(name, value) for name, value in headers if name != drop]
        return api.at(f"/{sender.policy}").post(path, headers=headers, body=body)
    return deliver


def key_field(sender):
    """The header that names the event: the one whose value differs from event to event, and from nothing else."""
    one, other = (dict(sender.send("https://x.test/", Event(number), 1)[0]) for number in (1, 2))
    return next(name for name in one if one[name] != other[name])


@every
def test_two_deliveries_are_one_event(sender, deliver, receiver):
    answers = [deliver(sender, attempt=attempt) for attempt in (1, 2, 3)]
    assert [answer.status for answer in answers] == [200] * 3, answers
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert answers[0].recorded == answers[1].recorded == answers[2].recorded
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
def test_tampered_body_is_refused(sender, deliver, receiver):
    first = deliver(sender)
    refused = deliver(sender, Event(amount=999))
    assert refused.problem == (sender.changed, "key-reused"), refused
    assert deliver(sender, attempt=2).body == first.body
    assert len(receiver.worked) == 1


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
    answer = deliver(sender, drop=key_field(sender))
    assert answer.problem in (sender.keyless, (401, None)), answer
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
