# SPDX-License-Identifier: Apache-2.0
"""
A form of an application that knows nothing of keys, from the page to the answer. The filter puts a key in, the guard
takes it out of the body, and a second click is the same operation. The application sees the same request as without any
of it.
"""
import hashlib
import re
from urllib.parse import quote, urlencode

import pytest

pytestmark = pytest.mark.mpm_independent
STORES = ["lmdb", "socache:shmcb"]
CONFIG = """
<LocationMatch "^/[a-z]+/shop">
    IdempotencyKey header:Idempotency-Key form:idempotency_key
    IdempotencyKeyFormat uuid
    IdempotencyConcurrent wait
    SetOutputFilter IDEMPOTENCY_FORM
    SetInputFilter IDEMPOTENCY_FORM
</LocationMatch>
"""
PAGE = '<form method="post" action="order"><input name="item"></form>'
KEY = re.compile(rb'<input type="hidden" name="idempotency_key" value="([^"]+)" autocomplete="off">')
HTML = "header=Content-Type:+text/html"


def form_of(api, path="/shop/page"):
    """The key of a form that was rendered just now."""
    answer = api.get(f"{path}?status=200&{HTML}&body={quote(PAGE)}")
    assert KEY.sub(b"", answer.body) == PAGE.encode()
    return KEY.search(answer.body).group(1).decode()


def encoded(fields, multipart):
    """Body and header fields as a browser sends them; its boundary is a new one each time."""
    if not multipart:
        return urlencode(fields).encode(), [("Content-Type", "application/x-www-form-urlencoded")]
    boundary = "----WebKitFormBoundary" + hashlib.sha256(repr(multipart).encode()).hexdigest()[:16]
    parts = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                    for name, value in fields.items())
    return f"{parts}--{boundary}--\r\n".encode(), [("Content-Type", f"multipart/form-data; boundary={boundary}")]


@pytest.mark.parametrize("kind", ["cgi", "fpm", "proxy"])
@pytest.mark.parametrize("multipart", [False, True])
def test_two_clicks_are_one_order(api, origin, kind, multipart):
    site = api.at("/" + kind)
    fields = {"idempotency_key": form_of(api.at("/cgi")), "item": "book & pen"}
    requests = [encoded(fields, multipart and number) for number in (1, 2)]
    origin.clear()
    with origin.hold("/shop/order") as held:
        first = site.post_async("/shop/order?echo=1", body=requests[0][0], headers=requests[0][1])
        held.wait_until_entered()
        second = site.post_async("/shop/order?echo=1", body=requests[1][0], headers=requests[1][1])
        assert not held.entered()
    answers = [first.last_result(), second.last_result()]
    assert [answer.replayed for answer in answers] == [False, True]
    assert answers[0].recorded == answers[1].recorded
    assert origin.executions("/shop/order") == 1
    seen = answers[0].json
    without, _ = encoded({"item": fields["item"]}, multipart and 1)
    if multipart and kind == "fpm":
        assert seen["sent"]["CONTENT_LENGTH"] == str(len(without))  # PHP has read the parts itself
    else:
        assert (seen["length"], seen["sha256"]) == (len(without), hashlib.sha256(without).hexdigest())
    assert not any("idempotency_key" in value for value in seen["sent"].values())


def test_a_new_page_is_a_new_order(api, origin):
    site, answers = api.at("/cgi"), []
    for _ in range(2):
        body, headers = encoded({"idempotency_key": form_of(site), "item": "book"}, False)
        answers.append(site.post("/shop/order", body=body, headers=headers))
    assert [answer.replayed for answer in answers] == [False, False]
    assert origin.executions("/shop/order") == 2


def test_a_used_form_with_other_words(api, origin):
    """Who goes back to the used page and changes it is told; nothing runs under the used key."""
    site, key = api.at("/cgi"), form_of(api.at("/cgi"))
    answers = []
    for item in ("book", "pen"):
        body, headers = encoded({"idempotency_key": key, "item": item}, False)
        answers.append(site.post("/shop/order", body=body, headers=headers))
    assert [answer.problem for answer in answers] == [(201, None), (422, "key-reused")]
    assert origin.executions("/shop/order") == 1


def test_a_form_that_answers_a_form(api, origin):
    """The page that a click leads to has a form, too: both clicks get one key, and it is submitted once."""
    site = api.at("/cgi")
    body, headers = encoded({"idempotency_key": form_of(site), "item": "book"}, False)
    step = f"/shop/order?status=200&{HTML}&body={quote(PAGE)}"
    keys = {KEY.search(site.post(step, body=body, headers=headers).body).group(1).decode() for _ in range(2)}
    assert len(keys) == 1
    for _ in range(2):
        body, headers = encoded({"idempotency_key": min(keys), "item": "book"}, False)
        assert site.post("/shop/confirm", body=body, headers=headers).status == 201
    assert (origin.executions("/shop/order"), origin.executions("/shop/confirm")) == (1, 1)
