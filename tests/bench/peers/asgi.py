# SPDX-License-Identifier: Apache-2.0
"""
Starlette behind a small ASGI middleware that keeps answers in memory. Started by peers.py, by uvicorn.

One process and one thread: between two awaits nobody else runs, and a dictionary is store enough.
"""
import hashlib
import itertools

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

FIELDS = {"Location": "/orders/4711", "X-Request-Id": "6f1a4bb2-7d0e-4c55-9c0b-3b6c3a1d9a10",
          "Cache-Control": "no-store"}
RUNS = itertools.count(1)


async def answer(request):
    await request.body()
    head = '{"run":"%010d","filling":"' % next(RUNS)
    return Response(head + "x" * (250 - len(head) - 2) + '"}', 201, FIELDS, "application/json")


class Idempotent:
    """For /on: the first answer to a key is kept, and sent again."""

    def __init__(self, inner):
        self.inner, self.records = inner, {}

    async def __call__(self, scope, receive, send):
        key = scope["type"] == "http" and dict(scope["headers"]).get(b"idempotency-key")
        if not key or not scope["path"].startswith("/on"):
            return await self.inner(scope, receive, send)
        body = await whole(receive)
        told = b"\n".join((scope["method"].encode(), scope["raw_path"], scope["query_string"], body))
        fingerprint = hashlib.sha256(told).digest()
        record = self.records.get(key)
        if record is None:
            return await self.first(key, fingerprint, body, (scope, send))
        if record[0] != fingerprint or not record[1]:
            return await Response(status_code=422 if record[1] else 409)(scope, receive, send)
        for message in record[1]:
            await send(message)

    async def first(self, key, fingerprint, body, how):
        scope, send = how
        messages = []
        self.records[key] = (fingerprint, None)

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message):
            messages.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.records[key] = (fingerprint, messages)
            await send(message)

        await self.inner(scope, again, keep)


async def whole(receive):
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


app = Idempotent(Starlette(routes=[Route(path, answer, methods=["POST"]) for path in ("/no", "/on")]))
