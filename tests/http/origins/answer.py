# SPDX-License-Identifier: Apache-2.0
"""What an origin does when it is run, for the CGI script and the HTTP backend; origin.php says the same in PHP.

It writes one line to the ledger, reads its request to the end, and waits at the gate if a test holds its path. Then it
answers as the query tells it: status= (0 for none), reason=, header=Name: value (repeatable, in order), body=, or size=
and seed= for bytes that look random; echo=1 sends the request's body back. By default each execution answers something
no other one does.

With parts=N the body leaves in N pieces. Before piece I the origin waits at the gate PATH.I, behind the last one at
PATH.N. When it has run to its end, it enters PATH.end in the ledger.

The script is started for each request of thousands of tests. urllib, json and hashlib are three quarters of its start,
so the little that is needed of the first two stands here, and hashlib is imported by a request that needs it.
"""
import fcntl
import os
from _json import encode_basestring_ascii as quoted


def unescaped(piece):
    """What stands behind a percent sign."""
    try:
        return bytes((int(piece[:2], 16),)) + piece[2:]
    except ValueError:
        return b"%" + piece


def decoded(word):
    first, *rest = word.replace("+", " ").encode(errors="surrogateescape").split(b"%")
    return (first + b"".join(map(unescaped, rest))).decode(errors="replace")


def asked_of(query):
    """[(name, value)], in order."""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return [(decoded(name), decoded(value)) for name, _, value in pairs]


def as_json(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(name)}: {as_json(member)}" for name, member in value.items()) + "}"
    return quoted(value) if isinstance(value, str) else str(value)


def binary(seed, size):
    """The same bytes for the same seed in every language: blocks of SHA-256 over "seed:number"."""
    import hashlib
    blocks = (hashlib.sha256(b"%s:%d" % (seed.encode(), n)).digest() for n in range((size + 31) // 32))
    return b"".join(blocks)[:size]


def enter_in_ledger(stage, request):
    line = as_json(request).encode() + b"\n"
    ledger = os.open(f"{stage}/ledger", os.O_WRONLY | os.O_APPEND)
    os.write(ledger, line)
    os.close(ledger)


def pass_gate(stage, path):
    """A gate is a lock the test holds, and a pipe that tells the test who came."""
    name = path.strip("/").replace("/", "_") or "_"
    gate = f"{stage}/gates/{name}"
    try:
        with open(gate, "rb") as lock, open(f"{gate}.entered", "rb+", buffering=0) as entered:
            entered.write(b"x")
            fcntl.flock(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        pass  # nobody holds this path


def digest_of(chunks):
    import hashlib
    digest, length = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        length += len(chunk)
    return digest.hexdigest(), length


def execute(stage, request, sent, chunks):
    """request: kind, method, path, query and IDEMPOTENCY_*; sent: name to value. Returns status, reason, fields, body.
    """
    request.update(id=os.urandom(8).hex(), pid=os.getpid())
    enter_in_ledger(stage, request)
    asked = asked_of(request["query"])
    told = dict(asked)
    digest, length = digest_of(chunks) if "echo" in told else ("", sum(map(len, chunks)))
    pass_gate(stage, request["path"])
    fields = [tuple(value.split(": ", 1)) for name, value in asked if name == "header"]
    if "size" in told:
        body = binary(told.get("seed", ""), int(told["size"]))
    elif "body" in told:
        body = told["body"].encode()
    else:
        body = as_json({"execution": request["id"]}).encode()
    if "echo" in told:
        body = as_json({**request, "length": length, "sha256": digest, "sent": sent}).encode()
    if body and not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("Content-Type", "application/octet-stream" if "size" in told else "application/json"))
    return int(told.get("status", 201)), told.get("reason", ""), fields, body


def pieces(stage, request, body):
    """The body as it is to be written, piece by piece, once the head has left."""
    told = dict(asked_of(request["query"]))
    count = int(told.get("parts", 0))
    if not count:
        yield body
        return
    size = -(-len(body) // count)
    for number in range(count):
        pass_gate(stage, f"{request['path']}.{number}")
        yield body[number * size:(number + 1) * size]
    pass_gate(stage, f"{request['path']}.{count}")
    enter_in_ledger(stage, {**request, "path": request["path"] + ".end"})
