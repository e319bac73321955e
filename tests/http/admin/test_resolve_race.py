# SPDX-License-Identifier: Apache-2.0
"""An administrator resolves an unknown outcome while a request takes it over: the token decides, for one of them."""
import subprocess

import pytest

import ctl
from checks import kill_while_it_runs

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb"]
ROUNDS = 12
CONFIG = """
<Location /cgi/again>
    IdempotencyInterrupted retry
</Location>
"""


@pytest.fixture
def unknown(httpd, api, origin, host):
    """The lines of an export of an unknown outcome, and its slot."""
    idemctl = ctl.of_server(httpd)
    kill_while_it_runs(httpd, api, origin, "/again")
    slot = idemctl.json("find", "--key", "k1", "--scope", f"host={host}")[0]["slot"]
    return idemctl("export", "--prefix", slot).out, slot


def test_one_of_the_two_wins(httpd, api, origin, unknown):
    (lines, slot), winners = unknown, set()
    idemctl = ctl.of_server(httpd)
    for number in range(ROUNDS):
        assert idemctl("forget", slot).code == ctl.OK
        assert idemctl("import", stdin=lines).code == ctl.OK
        assert idemctl.json("show", slot)[0]["state"] == "unknown"
        ran = origin.executions("/again")
        command = idemctl.command("resolve", slot, "--as", "done")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as resolving:
            if number % 3 == 0:
                resolving.wait()
            answer = api.post("/again", key="k1", body=b"1")
            said = resolving.communicate()[1]
        now = idemctl.json("show", slot)[0]["state"]
        if resolving.returncode == ctl.OK:
            assert answer.status == 409 and origin.executions("/again") == ran and now == "tombstone"
        else:
            assert resolving.returncode == ctl.REFUSED and said, said
            assert answer.status == 201 and origin.executions("/again") == ran + 1 and now == "record"
        winners.add(resolving.returncode)
    assert ctl.OK in winners
