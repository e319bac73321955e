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
    assert wanted == {name for name in report if not name.startswith(("Store[", "Repeated["))}
    assert {name for name in report if name.startswith("Store[")} == {
        "Store[0]" + name for name in ("Name State BreakersOpen BreakerOpenings CallsOk CallsRefused CallsFull "
                                       "CallsFailed Entries UsedBytes SizeBytes").split()}
    assert report["Store[0]Name"] == f"lmdb:{httpd.root}/store" and report["Store[0]State"] == "up"


def test_page_and_report_say_the_same(httpd, api):
    api.post("/pay", key="k1")
    Metrics(httpd).until('settlements_total{settlement="recorded"}', 1)
    report, (page, _) = ServerStatus(httpd).report(), ServerStatus(httpd).page()
    assert page["Guarded requests by outcome"]["executed"] == "1" == str(report["RequestsExecuted"])
    assert page["Executed requests by settlement"]["recorded"] == "1" == str(report["SettlementsRecorded"])
    assert page[f"Store lmdb:{httpd.root}/store"]["entries"] == str(report["Store[0]Entries"])
    named = sum(name.endswith(("]Name", "]Slot")) for name in report)  # what stands in a table's heading
    assert sum(map(len, page.values())) == len(report) - named


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


def test_keys_that_are_sent_again_and_again(new_httpd, host, expect_log):
    """The most hammered ones first, by what their clients got. A graceful restart forgets none of it."""
    expect_log(62)
    server = new_httpd(CONFIG, "lmdb", MODULES).start()
    api, counted = Api(server.address, host, "/proxy"), Metrics(server)
    for number in range(7):
        for again in range(number + 1):
            assert api.post("/pay", key=f"k{number}", body=b"1").replayed == (again > 0)
    assert [api.post("/pay", key="k2", body=b"2").status for _ in range(9)] == [422] * 9
    counted.until('requests_total{outcome="key-reused"}', 9)
    counted.until('requests_total{outcome="replayed"}', 21)
    slots = {row[-1] for row in server.outcomes(api, 37)}

    def repeated():
        report = ServerStatus(server).report()
        names = [f"Repeated[{number}]" for number in range(5)]
        return [(report[name + "Replayed"], report[name + "Refused"]) for name in names], report
    rows, report = repeated()
    assert rows == [(2, 9), (6, 0), (5, 0), (4, 0), (3, 0)] and "Repeated[5]Slot" not in report
    assert report["Repeated[0]Slot"] in slots and report["Repeated[0]Last"].endswith("Z")
    server.graceful()
    assert repeated()[0] == rows
