# SPDX-License-Identifier: Apache-2.0
"""Whether two equal keys are the same key: by default host and authenticated user decide."""
import pytest

from checks import SIGN_IN, basic
from client import Api

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location /cgi/members>
""" + SIGN_IN + """</Location>
<Location /cgi/global>
    IdempotencyScope none
</Location>
<Location /cgi/tenants>
    IdempotencyScope host header:X-Tenant
</Location>
<Location /cgi/more>
    IdempotencyScope +method +path
</Location>
<Location /cgi/byexpr>
    IdempotencyScope "expr=%{HTTP:X-Tenant}"
</Location>
"""


@pytest.fixture
def sub(httpd, host):
    """The same test's requests to another name of the server."""
    return lambda prefix, suffix="": Api(httpd.address, prefix + host + suffix)


def test_other_user_is_another_operation(api, origin):
    alice, bob = api.with_headers(basic("alice")), api.with_headers(basic("bob"))
    first = alice.post("/members", key="k1", body=b"1")
    second = bob.post("/members", key="k1", body=b"2")
    assert (first.status, second.status) == (201, 201)
    assert origin.executions("/members") == 2
    assert alice.post("/members", key="k1", body=b"1").recorded == first.recorded
    assert bob.post("/members", key="k1", body=b"2").recorded == second.recorded
    assert origin.executions("/members") == 2


def test_other_user_runs_while_the_first_one_does(api, origin):
    with origin.hold("/members") as held:
        users = [api.with_headers(basic(user)).post_async("/members", key="k1") for user in ("alice", "bob")]
        held.wait_until_entered(2)
    assert [conn.result().status for conn in users] == [201, 201]


def test_other_host_is_another_operation(api, origin, sub):
    api.post("/pay", key="k1", body=b"1")
    assert sub("other.").post("/pay", key="k1", body=b"2").problem == (201, None)
    assert origin.executions("/pay") == 2


def test_case_and_port_of_the_host_do_not_matter(api, origin, sub, host):
    first = api.post("/pay", key="k1")
    for name in (host.upper(), host + ":8080"):
        assert Api(api.address, name).post("/pay", key="k1").recorded == first.recorded
    assert origin.executions("/pay") == 1


def test_default_scope_has_no_path(api):
    api.post("/pay", key="k1")
    assert api.post("/refund", key="k1").problem == (422, "key-reused")


def test_scope_with_path_and_method(api, origin):
    for method, path in (("POST", "/more/a"), ("PUT", "/more/a"), ("POST", "/more/b")):
        assert api.request(method, path, key="k1").problem == (201, None)
    assert api.post("/more/a", key="k1").replayed
    assert origin.executions() == 3


def test_scope_none_has_one_name_space(api, origin, sub, host):
    first = api.post("/global", key=host)
    assert sub("other.").post("/global", key=host).recorded == first.recorded
    assert origin.executions("/global") == 1


@pytest.mark.parametrize("path", ["/tenants", "/byexpr"])
def test_scope_by_header(api, origin, host, path):
    tenants = [api.with_headers(("X-Tenant", host + name)) for name in "ab"]
    answers = [tenant.post(path, key="k1", body=b"1") for tenant in tenants]
    assert answers[0].body != answers[1].body
    assert [tenant.post(path, key="k1", body=b"1").recorded for tenant in tenants] == [a.recorded for a in answers]
    assert origin.executions(path) == 2


def test_slots_are_not_confused_by_where_host_and_key_meet(api, origin, sub):
    """A host that ends as another's key begins."""
    sub("a.").post("/pay", key="bc")
    assert sub("a.", "b").post("/pay", key="c").problem == (201, None)
    assert origin.executions("/pay") == 2
