# SPDX-License-Identifier: Apache-2.0
"""What a request and a backend's answer may look like, from the ordinary to the broken: a function of a seed.

A case is one request and the answer that its backend gives. Most are well formed in most places, so that they get far;
some bytes of some are then changed at random.
"""
import dataclasses
import random

METHODS = ["POST"] * 12 + ["PUT", "PATCH", "DELETE"] * 2 + ["GET", "HEAD", "OPTIONS", "PROPFIND", "post", "TRACE"]
CONTROL = [
    "no-store", "ttl=600", "ttl=0", "ttl=99999999999999999999", "no-store, ttl=500", "ttl", ",", "ttl=\"7\"",
    "x=\"a,no-store\""
]
TYPES = [
    "application/json", "text/plain; charset=utf-8", "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=\"b b\"", "multipart/form-data", "application/x-www-form-urlencoded", "",
    "a/b; boundary=", "multipart/mixed;boundary=b;boundary=c"
]
QUERIES = ["", "?", "?a=1&b=2", "?b=2&a=1", "?a=1&a=2&&=", "?%41=%00", "?a=%zz#x", "?" + "a&" * 300, "?key=k%d"]
ACCEPTS = ["*/*", "text/html", "text/html;q=0.5, application/json", "application/problem+json", ";q=", "text/html;q=9"]
STATUSES = [
    "200 OK", "201 Created", "204 No Content", "304 Not Modified", "302 Found", "400 Bad Request", "401 Unauthorized",
    "409 Conflict", "429 Slow", "500 Oh", "503 No", "599 X", "100 Continue", "103 Early", "999 Z", "20 A", "200"
]
FIELDS = [
    b"Set-Cookie: a=1", b"Set-Cookie: b=2; Path=/", b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=9",
    b"Upgrade: h2c", b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Server: other", b"Idempotent-Replayed: no",
    b"Idempotency-Error: key-reused", b"X-Same: 1", b"X-Same: 2", b"X-Empty:", b"Trailer: X-Late", b"Vary: Accept",
    b"ETag: \"e\"", b"Access-Control-Allow-Origin: *", b"X-Bytes: \xff\xfe\x01", b"X-Fold: a\r\n b", b": none",
    b"X-CR: a\rb", b"Content-Encoding: gzip", b"Content-Range: bytes 0-1/9", b"WWW-Authenticate: Basic",
    b"Authentication-Info: x", b"Last-Modified: never", b"X-Long: " + b"y" * 600
]


@dataclasses.dataclass
class Case:
    number: int
    request: bytes
    answer: bytes
    pieces: list       # sizes of the request's pieces
    cut: bool          # the client sends no more than the pieces, and leaves
    also: bytes        # what is sent as the retry: the same, or something with the same key


def keys(rng, number):
    good = f'"k{number}"'.encode()
    return rng.choice([good] * 14 + [
        f"k{number}".encode(), good + b";a=1", good + b" ; b",
        b'"k%d' % number,
        b'"\\"k%d\\\\"' % number, good + b", " + good, b"", b'""', b'"' + b"k" * 256 + b'"',
        b'"k\x80%d"' % number, b"*", b":azAZ=:", b"?1", b" \t" + good + b" \t",
        b"k%d\x7f" % number
    ])


def head(rng, number, framing):
    target = f"/peer/{number}{rng.choice(QUERIES)}".replace("%d", str(number)).encode()
    if rng.random() < 0.03:
        target = b"http://fuzz.test" + target
    lines = [
        rng.choice(METHODS).encode() + b" " + target +
        rng.choice([b" HTTP/1.1"] * 15 + [b" HTTP/1.0", b" HTTP/1.1 ", b" HTTP/2.0"])
    ]
    fields = [b"Host: fuzz.test", b"Connection: close", b"X-Case: %d" % number, *framing]
    if rng.random() < 0.95:
        fields.append(b"Idempotency-Key: " + keys(rng, number))
    for chance, field in ((0.02,
                           b"Idempotency-Key: " + keys(rng, number)), (0.3, b"Accept: " + rng.choice(ACCEPTS).encode()),
                          (0.5, b"Content-Type: " + rng.choice(TYPES).encode()), (0.3, b"Cookie: PHPSESSID=s; a=b"),
                          (0.05, b"Cookie: ;=;x"), (0.2, b"Authorization: Basic eDp5"), (0.1, b"Expect: 100-continue"),
                          (0.05, b"Range: bytes=0-1"), (0.05, b"If-None-Match: \"e\""),
                          (0.05, b"If-Modified-Since: now"), (0.05, b"TE: trailers"), (0.03, b"Expect: 200-ok"),
                          (0.05, b"Idempotency-Control: no-store"), (0.05, b"Idempotent-Replayed: true"),
                          (0.03, b"Upgrade: websocket"), (0.02, b"X-Many: 1\r\n" * 90 + b"X-Many: 2"),
                          (0.05, b"Accept-Encoding: gzip"), (0.05, b"Origin: http://o.test")):
        if rng.random() < chance:
            fields.append(field)
    if rng.random() < 0.3:
        rng.shuffle(fields)
    return b"\r\n".join(lines + fields + [b"", b""])


def body(rng):
    """Sizes on both sides of what is kept in memory (1K) and in a file (8K)."""
    size = rng.choice([0, 1, 10, 100, 1023, 1024, 1025, 5000, 8191, 8192, 8193, 20000])
    if rng.random() < 0.2:
        return rng.choice([
            b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n", b"--b b\r\n\r\n--b b--", b"--",
            b"\r\n--b", b"a=1&b=2", b"\0" * 10
        ])
    return rng.randbytes(size)


def chunked(rng, data):
    out, at = b"", 0
    while at < len(data):
        step = rng.choice([1, 7, 1000, len(data)])
        piece = data[at:at + step]
        out += b"%x%s\r\n%s\r\n" % (len(piece), rng.choice([b"", b"", b";ext=1"]), piece)
        at += step if len(data) < 3000 else max(step, 1000)
    return out + b"0\r\n" + rng.choice([b"", b"", b"X-Late: 1\r\n"]) + b"\r\n"


def message(rng, start, data, kinds):
    """A whole message whose length is told in one of several ways, not all of them true. start makes its head of a list
    of fields.
    """
    kind = rng.choice(kinds)
    if kind == "chunked":
        return start([b"Transfer-Encoding: chunked"]) + chunked(rng, data)
    fields = {
        "length": [b"Content-Length: %d" % len(data)],
        "short": [b"Content-Length: %d" % (len(data) + 5)],
        "none": [],
        "both": [b"Content-Length: %d" % len(data), b"Transfer-Encoding: chunked"],
        "bad": [b"Content-Length: 0x5"],
        "twice": [b"Content-Length: %d" % len(data)] * 2,
        "torn": [b"Transfer-Encoding: chunked"]
    }[kind]
    return start(fields) + (chunked(rng, data)[:-3] if kind == "torn" else data)


def answer(rng):
    def start(fields):
        fields = fields + [rng.choice(FIELDS) for _ in range(rng.choice([0, 1, 2, 3, 12]))]
        fields.append(b"Content-Type: " + rng.choice(TYPES).encode())
        if rng.random() < 0.15:
            fields.append(b"Idempotency-Control: " + rng.choice(CONTROL).encode())
        status = rng.choice(STATUSES[:2] * 6 + STATUSES).encode()
        return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", b""])

    return message(rng, start, body(rng),
                   ["length"] * 8 + ["chunked"] * 4 + ["none", "none", "short", "torn", "both", "bad"])


def changed(rng, data):
    """A few bytes of it otherwise."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(4)
        if what == 0:
            data[at:at + 1] = rng.choice([b"\0", b"\r", b"\n", b"\r\n", b" ", b",", b"\"", b"\xff", rng.randbytes(1)])
        elif what == 1:
            del data[at:at + rng.choice([1, 2, 20])]
        elif what == 2:
            data[at:at] = rng.choice([rng.randbytes(3), b"\r\n", b"A" * 300])
        else:
            data[at:at] = data[:at][-20:]
    return bytes(data)


def case(seed, number):
    rng = random.Random(f"{seed}:{number}")
    data = body(rng)

    def build(content):
        return message(rng, lambda framing: head(rng, number, framing), content,
                       ["length"] * 8 + ["chunked"] * 4 + ["none", "short", "torn", "both", "bad", "twice"])
    request = build(data)
    if rng.random() < 0.25:
        request = changed(rng, request)
    reply = answer(rng)
    if rng.random() < 0.2:
        reply = changed(rng, reply)
    also = rng.choice([request, request, request, build(data), build(body(rng)), changed(rng, request)])
    sizes = [len(request)] if rng.random() < 0.8 else [rng.randrange(1, 400) for _ in range(5)]
    cut = rng.random() < 0.07
    return Case(number, request, reply, sizes, cut, also)
