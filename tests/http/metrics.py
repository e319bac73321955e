# SPDX-License-Identifier: Apache-2.0
"""Reads SetHandler idempotency-metrics as Prometheus would: with the parsers of its own Python client, and stricter
where they are not.
"""
import re

from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics

import env
from client import Api

CONFIG = """
<Location /metrics>
    SetHandler idempotency-metrics
</Location>
"""
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def assert_whole_histograms(families):
    """Buckets grow with their bounds, and the last one is all there is."""
    for family in (family for family in families if family.type == "histogram"):
        series, counts = {}, {}
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            kept = counts if sample.name.endswith("_count") else series if "le" in sample.labels else {}
            kept.setdefault(str(labels), []).append((float(sample.labels.get("le", 0)), sample.value))
        assert series.keys() == counts.keys()
        for name, buckets in series.items():
            bounds, values = zip(*buckets)
            assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf")
            assert list(values) == sorted(values) and values[-1] == counts[name][0][1]


def samples_of(page):
    """{'name{label="value"}': value} of a page, every series once."""
    body, strict = page.body.decode("ascii"), page["Content-Type"] == OPEN
    assert body.endswith("# EOF\n" if strict else "\n")
    families = list((openmetrics if strict else text).text_string_to_metric_families(body))
    announced = re.findall(r"^# (HELP|TYPE) (\S+)", body, re.MULTILINE)
    assert [name for what, name in announced if what == "HELP"] == [name for what, name in announced if what == "TYPE"]
    assert len(families) * 2 == len(announced) == len(set(announced))
    assert_whole_histograms(families)
    samples = {}
    for sample in (sample for family in families for sample in family.samples):
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        name = f"{sample.name}{{{labels}}}" if labels else sample.name
        assert name.startswith("idempotency_") and name not in samples
        samples[name] = sample.value
    return samples


class Metrics:
    """What one server has counted. Series are named without what they all begin with, and without their store."""

    def __init__(self, server):
        self.api = Api(server.address, "metrics.test", "")

    def page(self, accept=None):
        answer = self.api.get("/metrics", headers=[("Accept", accept)] if accept else [])
        assert answer.status == 200
        return answer

    def all(self):
        return samples_of(self.page())

    def read(self):
        short = {}
        for name, value in self.all().items():
            name = re.sub(r'store="[^"]*",?', "", name[len("idempotency_"):]).replace(",}", "}").replace("{}", "")
            short[name] = short.get(name, 0) + value
        return short

    def moved(self, since, *families):
        """What is more than it was, among the series whose names begin so."""
        return {name: value - since[name] for name, value in self.read().items()
                if name.startswith(families) and value != since[name]}

    def expect(self, since, families, expected):
        """A request is counted at its very end, when its client may already have the answer. So this waits until the
        expected number is counted, and returns everything.
        """
        env.until(lambda: sum(self.moved(since, *families).values()) >= sum(expected.values()),
                  f"{expected} is counted")
        assert self.moved(since, *families) == expected

    def until(self, name, value):
        env.until(lambda: self.read()[name] == value, f"{name} is {value}")
