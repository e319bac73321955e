"""Keys from other places than the header, and requests that name their target or their cookies in unusual ways."""
import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
IdempotencyKey header:Idempotency-Key query:key cookie:once
"""


@pytest.mark.parametrize("one, other", [
    ("?key=a+b", "?key=a%20b"),
    ("?key=%61bc", "?key=abc"),
    ("?k%65y=abc", "?key=abc"),
    ("?key=abc", "?key=abc&key=other"),  # the first one counts
])
def test_one_key_in_two_queries(api, origin, one, other):
    assert api.post("/pay" + one).status == 201
    assert api.post("/pay" + other).problem == (422, "key-reused")  # the same key; but the query's octets are others
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("one, other", [
    ("?key=abc", "?key=abcd"),
    ("?key=abc", "?key=ABC"),
    ("?key=a%2Bb", "?key=a+b"),
    ("?key=one&key=two", "?key=two&key=one"),
])
def test_two_keys_in_two_queries(api, origin, one, other):
    assert [api.post("/pay" + query).status for query in (one, other)] == [201, 201]
    assert origin.executions("/pay") == 2


@pytest.mark.parametrize("query", ["?key=a%00b", "?key=%00", "?key=a%zzb", "?key=a%", "?key=a%0Ab", "?key=%C3%A9"])
def test_what_cannot_be_a_key(api, origin, query):
    assert api.post("/pay" + query).problem == (400, "key-invalid")
    assert origin.executions() == 0


@pytest.mark.parametrize("query", ["", "?key=", "?key", "?Key=abc", "?xkey=abc", "?&&"])
def test_no_key_in_the_query(api, origin, query):
    assert [api.post("/pay" + query).problem for _ in range(2)] == [(201, None)] * 2
    assert origin.executions("/pay") == 2


def test_sources_are_tried_in_order(api, origin):
    """The header comes first; an empty query value and an absent cookie are no keys."""
    assert api.post("/pay?key=q1", key="h1").status == 201
    assert api.post("/pay?key=q2", key="h1").problem == (422, "key-reused")
    assert api.post("/pay?key=", headers=["Cookie: x=1; once=c1"]).status == 201
    assert api.post("/pay?key=", headers=["Cookie: x=1; once=c1"]).replayed
    assert origin.executions("/pay") == 2


def test_empty_header_hides_no_other_source(api, origin):
    assert api.post("/pay?key=q1", headers=["Idempotency-Key:"]).problem == (400, "key-invalid")
    assert origin.executions() == 0


def test_absolute_form_names_the_same_target(api, origin):
    """A client may send the whole URL in the request line (RFC 9112, 3.2.2): same path, same query."""
    assert api.post("/pay?a=1", key="k1").status == 201
    whole = f"POST http://{api.host}/cgi/pay?a=1 HTTP/1.1\r\nHost: {api.host}\r\nIdempotency-Key: k1\r\nContent-Length: 0\r\n\r\n"
    conn = api.connect()
    conn.send(whole.encode())
    assert conn.last_result().replayed
    assert origin.executions("/pay") == 1


@pytest.mark.parametrize("one, other, same", [
    ("PHPSESSID=1; JSESSIONID=2", "JSESSIONID=2; PHPSESSID=1", True),
    ("PHPSESSID=1;x=1", "x=2;  PHPSESSID=1", True),
    ("PHPSESSID=1; PHPSESSID=2", "PHPSESSID=2; PHPSESSID=1", False),
    ("PHPSESSID=1", "JSESSIONID=1", False),
    ("PHPSESSID=", "JSESSIONID=", False),
    ("PHPSESSID=12", "PHPSESSID=1; JSESSIONID=2", False),
    ("xPHPSESSID=1", "xPHPSESSID=2", False),
])
def test_cookies_as_credentials(api, origin, one, other, same):
    assert api.post("/pay", key="k1", headers=[("Cookie", one)]).status == 201
    answer = api.post("/pay", key="k1", headers=[("Cookie", other)])
    assert answer.replayed if same else answer.problem == (422, "key-reused")
    assert origin.executions("/pay") == 1
