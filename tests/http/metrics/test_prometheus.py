# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the handler, evaluates the alert rules, and answers every query of the dashboard."""
import json
import re
import time

import pytest

import env
import metrics
from client import Api
from httpd import Httpd
from metrics import OPEN, TEXT, Metrics
from prometheus import MONITORING, Prometheus, promtool

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
CONFIG = metrics.CONFIG + """
<Location /cgi/watched>
    IdempotencyEngine DetectionOnly
</Location>
"""
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
VARIABLES = {"$instance": ".*", "$store": ".*", "$__rate_interval": "1m"}
# Nothing is asked of a store that answers; a mean of nothing is no number.
MAY_BE_NO_NUMBER = re.compile(r"histogram_quantile|\) / ")


@pytest.fixture(scope="module")
def failing(stage):
    """A second server that is scraped, whose store fails on command."""
    server = Httpd(stage, metrics.CONFIG, "wrap:{root}/control,lmdb:{root}/store").start()
    server.wait_until_attached()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def prometheus(httpd, failing, stage):
    prometheus = Prometheus(stage.root / "prometheus", httpd, failing)
    yield prometheus
    prometheus.stop()


@pytest.fixture(scope="module")
def scraped(prometheus, httpd):
    """A request of each kind, after a first scrape and before the last two: all rates have something to go by."""
    api, counted = Api(httpd.address, "scraped.test", "/cgi"), Metrics(httpd)
    before = counted.read()
    assert [api.post("/pay", key="k1", body=b"1").status for _ in range(3)] == [201] * 3
    assert api.post("/watched", key="k1").status == 201
    counted.expect(before, ("requests", "detected"), {'requests_total{outcome="executed"}': 1,
                                                      'requests_total{outcome="replayed"}': 2,
                                                      'detected_requests_total{outcome="executed"}': 1})
    counts = "count_over_time(idempotency_build_info[1m])"
    first = prometheus.query(counts)[0][1]
    env.until(lambda: prometheus.query(counts)[0][1] >= first + 3, "that is scraped")
    return prometheus


def filled(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


# ---- the handler ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("accept", [TEXT, OPEN])
def test_promtool_finds_nothing_to_say(httpd, api, accept):
    """It reads the older format only; the other one differs in names and in its end."""
    api.post("/pay", key="k1")
    page = Metrics(httpd).page(accept).body
    if accept == OPEN:
        page = Metrics(httpd).page(TEXT).body
    assert promtool("check", "metrics", given=page) == (0, "")


def test_promtool_would_say_something():
    status, said = promtool("check", "metrics", given=b"# TYPE requests counter\nrequests 1\n")
    assert status == 3 and "_total" in said


def test_all_series_are_scraped(prometheus, httpd):
    labels = '{instance="%s:%d",__name__=~"idempotency_.*"}' % httpd.address
    scraped = env.until(lambda: prometheus.query(labels), "series are there")
    assert len(scraped) == len(Metrics(httpd).all())


# ---- alerts --------------------------------------------------------------------------------------------------------

def test_rules_are_clean_and_do_what_their_tests_say():
    status, said = promtool("check", "rules", "--lint-fatal", MONITORING / "alerts.yml")
    assert (status, "SUCCESS" in said) == (0, True), said
    status, said = promtool("test", "rules", MONITORING / "alerts_test.yml")
    assert status == 0, said


def test_tests_of_rules_would_find_another_rule(tmp_path):
    rules = (MONITORING / "alerts.yml").read_text()
    for before, after in (("> 0.7", "> 0.8"), ("for: 2m", "for: 4m"), ('"lost"', '"last"')):
        assert before in rules
        rules = rules.replace(before, after)
    (tmp_path / "alerts.yml").write_text(rules)
    (tmp_path / "alerts_test.yml").write_text((MONITORING / "alerts_test.yml").read_text())
    status, said = promtool("test", "rules", tmp_path / "alerts_test.yml")
    assert status == 1
    assert set(re.findall(r"alertname:? ?(\w+)", said)) == {"StoreFillsUp", "AnswersNotRecorded", "KeysTakenAway"}, said


def rules_of(prometheus):
    return {rule["name"]: rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}


def test_every_rule_has_a_test_and_a_page():
    names = re.findall(r"- alert: (\w+)", (MONITORING / "alerts.yml").read_text())
    tested = set(re.findall(r"alertname: (\w+)", (MONITORING / "alerts_test.yml").read_text()))
    pages = re.findall(r"^### (\w+)$", (env.REPO / "docs/operations.md").read_text(), re.MULTILINE)
    runbooks = re.findall(r"runbook: docs/operations.md#(\w+)", (MONITORING / "alerts.yml").read_text())
    assert len(names) > 10 and set(names) == tested
    assert [name for name in names if name not in pages] == []
    assert runbooks == [name.lower() for name in names]


def test_prometheus_evaluates_every_rule(prometheus):
    rules = env.until(lambda: {name: rule for name, rule in rules_of(prometheus).items() if rule["health"] != "unknown"}
                      if all(rule["health"] != "unknown" for rule in rules_of(prometheus).values()) else None,
                      "rules are evaluated")
    assert len(rules) > 10 and {rule["health"] for rule in rules.values()} == {"ok"}


def test_alert_that_fires(prometheus, failing, host, expect_log):
    expect_log(10)
    env.until(lambda: prometheus.query('idempotency_store_calls_total{result="full"}'), "a first scrape")
    failing.control.fail("claim", "full")
    assert Api(failing.address, host, "/cgi").post("/pay", key="k1").problem == (503, "store-unavailable")
    env.until(lambda: rules_of(prometheus)["StoreFull"]["state"] == "firing", "the alert fires")
    alert, = [alert for alert in prometheus.ask("alerts")["alerts"] if alert["labels"]["alertname"] == "StoreFull"]
    assert alert["labels"]["instance"] == "%s:%d" % failing.address
    assert f"{failing.root}/store has no room left" in alert["annotations"]["summary"]
    assert rules_of(prometheus)["KeysTakenAway"]["state"] == "inactive"


# ---- the dashboard -------------------------------------------------------------------------------------------------

def test_dashboard_is_whole():
    assert DASHBOARD["uid"] and DASHBOARD["schemaVersion"] >= 30 and len(PANELS) > 15
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identities) == len(set(identities))
    names = {"$" + variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names - {"$datasource"} == set(VARIABLES) - {"$__rate_interval"}
    for panel in PANELS:
        assert panel["title"] and panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@pytest.mark.parametrize("number", range(len(QUERIES)), ids=str)
def test_dashboard_query(scraped, number):
    """As Grafana asks: over a range of time. There are values, unless it divides by what has not happened."""
    expression = filled(QUERIES[number])
    found = scraped.query(expression)
    assert found, expression
    values = [value for _, value in found]
    assert MAY_BE_NO_NUMBER.search(expression) or all(value >= 0 for value in values)
    assert any(value == value for value in values), f"{expression} gives no number"
    now = time.time()
    ranged = scraped.ask("query_range", query=expression, start=now - 5, end=now, step="1")
    assert ranged["resultType"] == "matrix" and ranged["result"]


def test_dashboard_variables(prometheus):
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
            assert all(one.get(label) for one, _ in prometheus.query(series))


def test_dashboard_shows_every_series(prometheus):
    found = prometheus.query('{__name__=~"idempotency_.*"}')
    series = {re.sub("_(bucket|sum|count)$", "", one["__name__"]) for one, _ in found}
    assert {name for name in series if not any(name in query for query in QUERIES)} == set()
