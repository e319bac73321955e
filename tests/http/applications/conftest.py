# SPDX-License-Identifier: Apache-2.0
"""
Fixtures of the applications: each test runs behind the application's policy, and again with the module off.

A test of the guard "form" runs where IDEMPOTENCY_FORM adds keys to all pages, and they are the only source of keys.

A module of tests says NAME and SITE. NAME is the application's policy, its path, and the fixture that runs it; SITE
configures its folder.
"""
import pytest

import browsing
import env
from clicks import Clicks
from corpus import CORPUS
from httpd import Httpd

# The policy's ten seconds are for people; a busy machine may need longer between two steps of a test.
GUARD = """
<Location /{name}>
    Include {repo}/conf/policies/{name}.conf
    <If "true">
        IdempotencyTTL 5min
    </If>
</Location>
"""
KEYED = """
<Location /{name}>
    IdempotencyEngine On
    IdempotencyKey form:idempotency_key
    IdempotencyConcurrent wait
    SetOutputFilter IDEMPOTENCY_FORM
    SetInputFilter IDEMPOTENCY_FORM
</Location>
""" + CORPUS
GUARDS = {"on": GUARD, "off": "", "form": KEYED}


@pytest.fixture(scope="module", params=["on", "off"])
def guard(request):
    return request.param


@pytest.fixture(scope="module")
def httpd(request, stage, store, guard):
    module = request.module
    request.getfixturevalue(module.NAME)
    policy = GUARDS[guard].replace("{name}", module.NAME).replace("{repo}", str(env.REPO))
    server = Httpd(stage, module.SITE + policy, store)
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def driver():
    with browsing.chromium("none") as driver:
        yield driver


@pytest.fixture
def clicks(request, driver, httpd, stage, origin, guard):
    base = "http://{}:{}/{}".format(*httpd.address, request.module.NAME)
    clicks = Clicks(driver, base, origin, httpd, guard != "off")
    yield clicks
    clicks.close()
