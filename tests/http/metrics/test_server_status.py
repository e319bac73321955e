# SPDX-License-Identifier: Apache-2.0
"""mod_status shows what was counted, to people and to programs. (test_known_mix has the numbers.)"""
import pytest

import env
import metrics
import server_status
from client import Api
from metrics import Metrics
from server_status import ServerStatus, name_of

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
MODULES = server_status.MODULES
CONFIG = metrics.CONFIG + server_status.CONFIG


def test_report_has_every_number_of_the_metrics(httpd):
    wanted = {name_of(name) for name in Metrics(httpd).read() if not name.startswith(("build_info", "store_"))}
    report = ServerStatus(httpd).report()
    assert wanted == {name for name in report if not name.startswith("Store[")}
    assert {name for name in report if name.startswith("Store[")} == {
        "Store[0]" + name for name in ("Name State BreakersOpen BreakerOpenings CallsOk CallsRefused CallsFull "
                                       "CallsFailed Entries UsedBytes SizeBytes").split()}
    assert report["Store[0]Name"] == f"lmdb:{httpd.root}/store" and report["Store[0]State"] == "up"


def test_page_and_report_say_the_same(httpd, api):
    api.post("/pay", key="k1")
    Metrics(httpd).until('settlements_total{settlement="recorded"}', 1)
    report, (page, _) = ServerStatus(httpd).report(), ServerStatus(httpd).page()
    assert page["Guarded requests by what was done with them"]["executed"] == "1" == str(report["RequestsExecuted"])
    assert page["Executed requests by what was kept of them"]["recorded"] == "1" == str(report["SettlementsRecorded"])
    assert page[f"Store lmdb:{httpd.root}/store"]["entries"] == str(report["Store[0]Entries"])
    assert sum(map(len, page.values())) == len(report) - 1  # a store's name is its table's heading


def test_store_that_is_down(new_httpd, host, expect_log):
    expect_log(10, 22)
    server = new_httpd(CONFIG, "wrap:{root}/control,lmdb:{root}/store", MODULES).start()
    server.wait_until_attached()
    status = ServerStatus(server)
    server.control.fail("all", "down")
    env.until(lambda: Api(server.address, host).post("/pay", key="k1").status == 503 and
              status.report()["Store[0]State"] in ("partly down", "down"), "a child has found out")
    assert status.report()["Store[0]BreakersOpen"] >= 1 and status.report()["Store[0]CallsFailed"] >= 1


def test_names_of_stores_are_inert(new_httpd):
    """A name stands in the page as text, without its password; whatever it holds, the report has one line for it."""
    server = new_httpd(CONFIG, '"lmdb:{root}/<script>&\\""', MODULES).start()
    _, page = ServerStatus(server).page()
    assert "<script>" not in page and "Store lmdb:" in page and "&lt;script&gt;&amp;&quot;" in page
    assert ServerStatus(server).report()["Store[0]Name"] == f'lmdb:{server.root}/<script>&"'
