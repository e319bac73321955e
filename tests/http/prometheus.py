# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus, which scrapes servers of the tests and evaluates the alert rules that are installed."""
import json
import os
import subprocess
import urllib.parse
import urllib.request

import env

MONITORING = env.REPO / "conf/monitoring"
CONFIG = """
global:
  scrape_interval: 250ms
  scrape_timeout: 250ms
  evaluation_interval: 250ms
rule_files: ["{rules}"]
scrape_configs:
  - job_name: idempotency
    metrics_path: /metrics
    static_configs: [{{targets: [{targets}]}}]
"""


def promtool(*arguments, given=None):
    """Its exit code, and what it said."""
    done = subprocess.run([env.program("promtool"), *map(str, arguments)], input=given, capture_output=True)
    return done.returncode, (done.stdout + done.stderr).decode()


class Prometheus:
    """Listens where the kernel wants it to; its own log says where that is."""

    def __init__(self, folder, *servers):
        folder.mkdir()
        targets = ", ".join('"%s:%d"' % server.address for server in servers)
        (folder / "prometheus.yml").write_text(CONFIG.format(rules=MONITORING / "alerts.yml", targets=targets))
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [env.program("prometheus"), f"--config.file={folder}/prometheus.yml",
                 f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:0", "--log.format=json"],
                stdout=log, stderr=log,
                env={**os.environ, "GOMAXPROCS": "1"}, preexec_fn=env.end_with_parent, start_new_session=True)
        try:
            self.address = env.until(self.listens, "Prometheus listens")
            env.until(self.is_ready, "Prometheus is ready")
            env.until(self.scrapes, "Prometheus has scraped")
        except BaseException:
            self.stop()
            raise

    def listens(self):
        assert self.process.poll() is None, self.log.read_text()
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return next((line["address"] for line in lines if line.get("msg") == "Listening on"), None)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=env.CLIENT_TIMEOUT):
                return True
        except urllib.error.HTTPError:
            return False

    def ask(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=env.CLIENT_TIMEOUT) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error

    def scrapes(self):
        targets = self.ask("targets")["activeTargets"]
        assert not [target["lastError"] for target in targets if target["health"] == "down"], targets
        return targets and all(target["health"] == "up" for target in targets)

    def query(self, expression, **parameters):
        """[(labels, value)]"""
        return [(one["metric"], float(one["value"][1]))
                for one in self.ask("query", query=expression, **parameters)["result"]]

    def stop(self):
        self.process.terminate()
        self.process.wait(env.CLIENT_TIMEOUT)
