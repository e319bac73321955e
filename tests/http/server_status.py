# SPDX-License-Identifier: Apache-2.0
"""Reads what mod_status shows of the module: the page for people, and the report for programs (?auto)."""
import html
import re

from client import Api

CONFIG = """
<Location /server-status>
    SetHandler server-status
</Location>
"""
MODULES = ["status"]


def name_of(series):
    """The report's name for a series of the metrics: requests_total{outcome="in-progress"} is RequestsInProgress."""
    groups = {"requests_total": "Requests", "settlements_total": "Settlements", "detected_requests_total": "Detected",
              "undecided_requests_total": "RequestsUndecided", "keeper_jobs_ended_total": "KeeperEnded"}
    family, label = re.fullmatch(r'(\w+)(?:{\w+="([^"]*)"})?', series).groups()
    if family not in groups:
        return "".join(word.capitalize() for word in family.split("_"))
    return groups[family] + "".join(word.capitalize() for word in (label or "").split("-"))


class ServerStatus:
    def __init__(self, server):
        self.api = Api(server.address, "status.test", "")

    def report(self):
        """{name without Idempotency: value}, each once; numbers as numbers."""
        answer = self.api.get("/server-status?auto")
        assert answer.status == 200 and answer["Content-Type"].startswith("text/plain")
        ours = [line for line in answer.body.decode("ascii").splitlines() if line.startswith("Idempotency")]
        lines = [line.split(": ", 1) for line in ours]
        names = [name[len("Idempotency"):] for name, _ in lines]
        assert len(names) == len(set(names))
        values = [value for _, value in lines]
        return {name: int(value) if value.isdigit() and not name.endswith("Slot") else value
                for name, value in zip(names, values)}

    def page(self):
        """{heading: {word: value}}, and the page as it came."""
        answer = self.api.get("/server-status")
        assert answer.status == 200 and answer["Content-Type"].startswith("text/html")
        section = answer.body.decode("latin-1").split("<h2>Idempotency</h2>")[1]
        tables = re.findall(r"<h3>(.*?)</h3>\n<table>\n(.*?)</table>", section, re.DOTALL)
        row = r'<tr><th scope="row" align="left">(.*?)</th><td align="right">(.*?)</td></tr>'
        return {html.unescape(heading): {word: html.unescape(value) for word, value in re.findall(row, rows)}
                for heading, rows in tables}, section
