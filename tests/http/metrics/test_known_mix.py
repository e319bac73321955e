# SPDX-License-Identifier: Apache-2.0
"""Requests of a known mix: all that counts says what was sent. make mix sends 10,000.

All: the metrics, mod_status, the admin API and its page, idemctl at a server and at its store, and a real Prometheus.
"""
import os
import re

import pytest

import admins
import ctl
import env
import metrics
import server_status
from checks import basic
from client import Api
from metrics import Metrics
from prometheus import Prometheus
from server_status import ServerStatus, name_of

pytestmark = pytest.mark.mpm_independent
STORES = ["wrap:{root}/control,lmdb:{root}/store"]
MODULES = server_status.MODULES
CYCLES = 20
REQUESTS = int(os.environ.get("IDEM_MIX", "300"))
CONFIG = metrics.CONFIG + server_status.CONFIG + admins.ADMIN + """
SetEnvIf Request_URI trusted ap_trust_cgilike_cl
<Location /proxy/required>
    IdempotencyRequireKey On
</Location>
<Location /proxy/long>
    IdempotencyMaxResponse 1K
</Location>
<Location /proxy/limited>
    IdempotencyMaxKeys 1 per 1d
</Location>
<Location /proxy/bypass>
    IdempotencyStoreFailure bypass
</Location>
<Location /proxy/watched>
    IdempotencyEngine DetectionOnly
</Location>
<Location /proxy/form>
    IdempotencyKey form:key
    IdempotencyPrefetch 100
    IdempotencySpool 100
</Location>
<Location /proxy/aged>
    IdempotencyKeyAge 1h uuidv7
</Location>
"""
FORM = [("Content-Type", "application/x-www-form-urlencoded")]
OLD = "01890a5d-ac96-774b-bcce-b302099a8057"  # a UUID of version 7, of 2023


OF_LOOK_UPS = ("key-unknown", "lookup-unavailable")  # which ask for an outcome, and execute nothing


class Mix:
    """Sends requests, and knows what each of them is to be counted as."""

    def __init__(self, api):
        self.api, self.sent, self.expected = api, 0, {}

    def count(self, outcome=None, settlement=None, detected=None):
        self.sent += 1
        for family, word in (('requests_total{outcome="%s"}', outcome),
                             ('settlements_total{settlement="%s"}', settlement),
                             ('detected_requests_total{outcome="%s"}', detected)):
            if word:
                self.expected[family % word] = self.expected.get(family % word, 0) + 1

    def send(self, path, key, problem, outcome, settlement=None, body=b"1", headers=()):
        answer = self.api.post(path, key=key, body=body, headers=list(headers))
        assert answer.problem == problem, (path, key, answer)
        self.count(outcome, settlement)

    def cycle(self, number):
        """Each outcome and settlement that needs no trouble with the store, in sixteen requests."""
        ok, key = (201, None), f"k{number}"
        self.send("/proxy/pay", key, ok, "executed", "recorded")
        self.send("/proxy/pay", key, ok, "replayed")
        self.send("/proxy/pay", key, ok, "replayed")
        self.send("/proxy/pay", key, (422, "key-reused"), "key-reused", body=b"2")
        self.send("/proxy/required", None, (400, "key-missing"), "key-missing")
        self.send("/proxy/pay", "é", (400, "key-invalid"), "key-invalid")
        self.send("/proxy/long?size=2000", "l" + key, ok, "executed", "tombstone")
        self.send("/proxy/long?size=2000", "l" + key, (409, "response-not-kept"), "response-not-kept")
        self.send("/proxy/pay?status=503", "r" + key, (503, None), "executed", "released")
        cut = "/cgi/trusted?header=Content-Length:+8&body=0123"
        self.send(cut, "u" + key, (502, None), "executed", "unknown")
        self.send(cut, "u" + key, (409, "outcome-unknown"), "outcome-unknown")
        self.send("/proxy/limited", "m" + key, (429, "too-many-keys"), "too-many-keys")
        self.send("/proxy/slow", self.held, (409, "in-progress"), "in-progress")
        self.send("/proxy/form", None, (413, "body-too-large"), "body-too-large", body=b"x" * 200, headers=FORM)
        self.send("/proxy/aged", OLD, (409, "key-expired"), "key-expired")
        for again in range(2):
            assert self.api.post("/proxy/watched", key="w" + key, body=b"1").problem == ok
            self.count(detected="replayed" if again else "executed")

    def cycles(self, origin, most):
        """Some, while one request is held; no longer than a proxy waits for it."""
        self.held = f"held{self.sent}"
        with origin.hold("/slow") as held:
            first = self.api.post_async("/proxy/slow", key=self.held, body=b"1")
            held.wait_until_entered()
            for _ in range(CYCLES):
                if self.sent < most:
                    self.cycle(self.sent)
        assert first.last_result().status == 201
        self.count("executed", "recorded")

    def with_trouble(self, control):
        """Once each: a store that fails is left out after some times in a row."""
        control.fail("claim", "down")
        self.send("/proxy/pay", "d1", (503, "store-unavailable"), "store-unavailable")
        self.send("/proxy/bypass", "d2", (201, None), "bypassed")
        control.behave()
        control.fail("settle", "lost once")
        control.fail("fetch", "lost once")
        self.api.post("/proxy/pay", key="d3", body=b"1")
        self.count("executed", "lost")
        conn = self.api.connect()
        conn.send(self.api.head("POST", "/proxy/pay", ['Idempotency-Key: "d4"', "Content-Length: 9"]) + b"123")
        conn.reset()
        self.sent += 1
        self.expected["undecided_requests_total"] = 1


class Operator:
    """What an administrator reads, three ways: the API, idemctl and the page. Counts are named as the metrics are."""

    FAMILIES = {"outcomes": 'requests_total{outcome="%s"}', "settlements": 'settlements_total{settlement="%s"}',
                "detected": 'detected_requests_total{outcome="%s"}'}
    CAPTIONS = {"What became of guarded requests": "outcomes", "How executions were settled": "settlements",
                "What would have been done (DetectionOnly)": "detected"}
    TABLE = re.compile(r'<table class="counts"><caption>(.*?)</caption>(.*?)</table>', re.DOTALL)
    ROW = re.compile(r'<th scope="row">([a-z-]+)</th><td class="number">[^<]+</td><td class="number">(\d+)</td>')

    def __init__(self, server, folder):
        self.api = Api(server.address, "admin.test", "/admin", [basic("alice")])
        self.here, self.remote = ctl.of_server(server), ctl.remote(server, folder)

    def stats(self):
        """What each that knows all of it says."""
        answer = self.api.get("/v1/stats")
        assert answer.status == 200, answer
        return [answer.json, *self.remote.json("stats")]

    def counted(self, stats):
        """As the metrics name it, without what was never seen."""
        counted = stats["counted"]
        series = {name % word: count for what, name in self.FAMILIES.items() for word, count in counted[what].items()}
        series["undecided_requests_total"] = counted["undecided"]
        return {name: count for name, count in series.items() if count}

    def on_page(self):
        answer = self.api.get("/", headers=[("Accept", "text/html")])
        assert answer.status == 200 and answer["Content-Type"].startswith("text/html"), answer
        return {"undecided_requests_total" if word == "undecided" else self.FAMILIES[self.CAPTIONS[caption]] % word:
                int(count)
                for caption, rows in self.TABLE.findall(answer.body.decode()) for word, count in self.ROW.findall(rows)}

    def lately(self):
        """Which outcomes the last minutes had."""
        return {word for minute in self.api.get("/v1/history").json["minutes"] for word in minute["outcomes"]}

    def accounts(self):
        """What the store holds, as each of them tells it, the store itself being asked last."""
        return [(stats["entries"], {name: stats["store"][name] for name in ("entries", "bytes_used", "bytes_max")})
                for stats in [*self.stats(), *self.here.json("stats")]]


def states_of(expected):
    """What is left in the store. DetectionOnly keeps heads only; a claim whose settlement was lost stays one, and its
    outcome becomes unknown when the lease ends.
    """
    def count(word):
        return expected[f'settlements_total{{settlement="{word}"}}']
    heads = count("tombstone") + expected['detected_requests_total{outcome="executed"}']
    return {"record": count("recorded"), "tombstone": heads, "open": count("unknown") + count("lost")}


def assert_operator_sees(operator, expected):
    for stats in operator.stats():
        assert operator.counted(stats) == expected
    assert operator.on_page() == expected
    prefix = 'requests_total{outcome="'
    assert operator.lately() == {name[len(prefix):-2] for name in expected if name.startswith(prefix)} | {"undecided"}
    entries, store = env.until(lambda: (said := operator.accounts())[1:] == said[:-1] and said[0],
                               "API and idemctl say the same of the store")
    states = {state: one["entries"] for state, one in entries["states"].items()}
    states["open"] = states.pop("running") + states.pop("unknown")
    assert states == {**states_of(expected), "damaged": 0}
    assert entries["entries"] == sum(states.values()) and store["bytes_used"] <= store["bytes_max"]


def test_all_say_the_same(httpd, api, origin, stage, tmp_path, expect_log):
    expect_log(10, 14, 50)
    httpd.wait_until_attached()
    counted, mix = Metrics(httpd), Mix(api.at(""))
    mix.send("/proxy/limited", "first", (201, None), "executed", "recorded")
    mix.with_trouble(httpd.control)
    while mix.sent < REQUESTS:
        mix.cycles(origin, REQUESTS)
    families = ("requests", "settlements", "detected", "undecided")
    counted.expect(dict.fromkeys(counted.read(), 0), families, mix.expected)
    outcomes = {name for name in counted.read() if name.startswith(("requests_total", "settlements_total"))}
    assert {name for name in outcomes - mix.expected.keys() if not any(word in name for word in OF_LOOK_UPS)} == set()

    report = ServerStatus(httpd).report()
    assert {name: report[name_of(name)] for name in mix.expected} == mix.expected
    assert_operator_sees(Operator(httpd, tmp_path), mix.expected)

    prometheus = Prometheus(stage.root / "prometheus-mix", httpd)
    try:
        for name, count in mix.expected.items():
            assert [value for _, value in prometheus.query("idempotency_" + name)] == [count], name
    finally:
        prometheus.stop()
