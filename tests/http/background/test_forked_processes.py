# SPDX-License-Identifier: Apache-2.0
"""Requests in processes that httpd did not start. The child would hold their keys, and it lives on when its fork is
killed. mpm_itk is refused at start. Any other forked process answers that it cannot, keeps no key, and touches nothing
of the child's.
"""
import pytest

import env
from client import Api

pytestmark = [
    pytest.mark.mpm,
    pytest.mark.skipif(env.MPM != "prefork", reason="a process of several threads is not forked to serve requests")
]
FORK_MODULE = env.MODULE.parent / "mod_idem_fork.so"
CONFIG = f"""
LoadModule idem_fork_module "{FORK_MODULE}"
<Location /forks>
    SetHandler idem-fork
</Location>
<Location /cgi/bypass>
    IdempotencyStoreFailure bypass
</Location>
<Location /cgi/detect>
    IdempotencyEngine DetectionOnly
</Location>
<Location /metrics>
    SetHandler idempotency-metrics
</Location>
"""
ITK = f"LoadModule mpm_itk_module {env.apxs('LIBEXECDIR')}/mpm_itk.so\n"
FORKED = [("X-Fork", "1")]


# ---- known at start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config", ["", "<Location />\nIdempotencyEngine Off\n</Location>\n", "IdempotencyStore redis://127.0.0.1:1\n"],
    ids=["on", "off, which a .htaccess may change", "a store that hosts share"])
def test_mpm_itk_is_refused(new_httpd, config):
    server = new_httpd(ITK + config)
    with pytest.raises(AssertionError):
        server.start()
    assert "IDEM170" in server.said() and "mpm_itk serves each request in a process of its own" in server.said()


def test_configtest_says_so_too(new_httpd):
    code, said = new_httpd(ITK).check_config()
    assert code != 0 and "IDEM170" in said


# ---- known when it happens -------------------------------------------------------------------------------------------

def test_process_for_each_connection(new_httpd, host, origin, expect_log):
    expect_log(171)
    server = new_httpd(CONFIG + "IdemForkConnections On\n").start()
    api = Api(server.address, host)
    for _ in range(3):
        assert api.post("/pay", key="k1").problem == (503, "store-unavailable")
    assert api.post("/pay").status == 201
    assert origin.executions("/pay") == 1
    assert server.log.count("IDEM171") == 1


def test_process_for_a_request_keeps_no_key(httpd, api, origin, expect_log):
    expect_log(171)
    assert api.post("/pay", key="k1", headers=FORKED).problem == (503, "store-unavailable")
    assert origin.executions("/pay") == 0
    first = api.post("/pay", key="k1")
    assert first.problem == (201, None) and not first.replayed
    assert api.post("/pay", key="k1", headers=FORKED).problem == (503, "store-unavailable")
    assert api.post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_settings_for_a_store_that_is_away_hold_there_too(httpd, api, origin, expect_log):
    expect_log(50)
    assert api.post("/bypass", key="k1", headers=FORKED).problem == (201, None)
    assert api.post("/detect", key="k1", headers=FORKED).problem == (201, None)
    first = api.post("/bypass", key="k1")
    assert first.problem == (201, None) and not first.replayed
    assert origin.executions("/bypass") == 2
    assert origin.executions("/detect") == 1
    assert api.at("/metrics").request("GET", "", headers=FORKED).status == 200


def test_no_process_comes_so_far_that_it_could_leave_a_key_behind(new_httpd, host, origin, expect_log):
    """Killed in its handler, it would: in-progress for as long as the child lives."""
    expect_log(171)
    server = new_httpd(CONFIG).start()
    api = Api(server.address, host)
    with origin.hold("/pay") as held:
        assert api.post("/pay", key="k1", headers=FORKED).problem == (503, "store-unavailable")
        assert not held.entered()
    assert api.post("/pay", key="k1").problem == (201, None)


# ---- a handler's fork ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, ends", [("/work", 2), ("/work?copy=return", 3)],
                         ids=["that ends by exit()", "that returns"])
def test_fork_of_a_handler(httpd, api, path, ends):
    """The process that claimed answers, once; what its fork makes of the request goes nowhere, but for a line in the
    access log.
    """
    api = api.at("/forks")
    first = api.post(path, key="k1")
    assert first.problem == (201, None) and not first.replayed
    assert first.body.startswith(b"owner ")
    again = api.post(path, key="k1")
    assert again.replayed and again.recorded == first.recorded
    rows = httpd.outcomes(api, ends)
    assert [row[2:4] for row in rows if row[3] != "-" or row[2] == "replayed"] == [["executed", "recorded"],
                                                                                   ["replayed", "-"]]
