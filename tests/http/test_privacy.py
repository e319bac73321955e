# SPDX-License-Identifier: Apache-2.0
"""What the module keeps to itself: keys are in no log, metric, store, temporary file or answer; secrets are in no core
dump.

Logs are read at trace8 for the module alone: at trace4 httpd itself writes down the headers of each request.
"""
import contextlib
import hashlib
import hmac
import os
import re
import struct

import pytest

import env
import metrics
from checks import SIGN_IN, basic
from client import Api
from raw_store import RawStore
from secrets_of_tests import SEALS, SLOT, write_secret

STORES = ["lmdb"]
PAGE = os.sysconf("SC_PAGESIZE")
KEY = "key-that-nobody-else-may-see"
BODY = b"body-that-nobody-else-may-see" * 400  # beyond the prefetch, so that some of it is in a file
CONFIG = metrics.CONFIG + """
LogLevel idempotency:trace8
IdempotencyPrefetch 1K
IdempotencyKey header:Idempotency-Key query:once cookie:once env:ONCE
IdempotencyKeyLength 1 64
<Location /cgi/refused>
    IdempotencyKeyFormat uuid
</Location>
<Location /cgi/limited>
    IdempotencyMaxKeys 1 per 1h
</Location>
<Location /cgi/pages>
    ErrorDocument 422 default
</Location>
<Location /cgi/env>
    SetEnvIf X-Key "(.*)" ONCE=$1
</Location>
<Location /cgi/members>
""" + SIGN_IN + """</Location>
"""


@pytest.fixture
def server(new_httpd):
    server = new_httpd(CONFIG + "IdempotencySecret file:{root}/secret\n")
    write_secret(server, "old")
    return server.start()


@pytest.fixture
def api(server, host):
    return Api(server.address, host)


def everything(api, origin):
    """Each way a key can come, and each answer that can be given to it."""
    answers = [api.post("/pay", key=KEY, body=BODY), api.post("/pay", key=KEY, body=BODY),
               api.post("/pay", key=KEY, body=b"other"),
               api.post("/refused", key=KEY),
               api.post("/pay", headers=[f'Idempotency-Key: "{KEY}" {KEY}']),
               api.post("/pay", headers=[f"Idempotency-Key: {KEY},{KEY}"]),
               api.post("/pay", key=KEY + "x" * 64),
               api.post("/pay", headers=[f'Idempotency-Key: "esc\\"aped-{KEY}"']),
               api.post(f"/pay?once=%6bey-that-nobody-else-may-see-q"),
               api.post("/pay", headers=[f"Cookie: once={KEY}-c"]),
               api.post("/env", headers=[f"X-Key: {KEY}-e"]),
               api.post("/limited", key=KEY + "1"), api.post("/limited", key=KEY + "2")]
    for page in ("/pages", "/refused"):
        answers.append(api.post(page, key=KEY, body=b"page", headers=["Accept: text/html"]))
    with origin.hold("/slow") as held:
        first = api.post_async("/slow", key=KEY + "s")
        held.wait_until_entered()
        answers.append(api.post("/slow", key=KEY + "s"))
    answers.append(first.result())
    return answers


def test_key_is_in_no_log_store_or_answer(server, api, origin):
    answers = everything(api, origin)
    problems = {answer.problem[1] for answer in answers}
    assert problems == {None, "key-reused", "key-invalid", "too-many-keys", "in-progress"}
    for answer in answers:
        assert KEY.encode() not in answer.body and KEY not in str(answer.headers)
    log = [line for line in server.log.lines(0) if "IDEM" in line]
    assert any(re.search(r"IDEM001.*WON -> HOLDING", line) for line in log)  # it did speak at trace level
    assert not any(KEY in line or "nobody" in line for line in server.log.lines(0))
    raw = RawStore(server).bytes()
    assert len(RawStore(server).records()) >= 6
    assert KEY.encode() not in raw and b"body-that-nobody" not in raw


def test_metrics_are_about_nobody(server, api, origin):
    """Neither a key, nor whose it is, nor what it is for: numbers, the module's own words, and the stores' names."""
    api.with_headers(basic("alice")).post("/members", key=KEY, body=BODY)
    everything(api, origin)
    reader = metrics.Metrics(server)
    env.until(lambda: reader.read()['requests_total{outcome="in-progress"}'], "the last refusal is counted")
    for kind in (metrics.TEXT, metrics.OPEN):
        page = reader.page(kind).body.decode()
        assert page.count(f'store="lmdb:{server.root}/store"') > 20
        for secret in ("nobody", "alice", api.host, "127.0.0.1", "members", "/pay", "/cgi",
                       SLOT.split(": ")[1].strip()):
            assert secret not in page
        words = set(re.findall(r'(?<!store)="([^"]*)"', page))
        assert all(re.fullmatch(r"[a-z0-9.+ -]+|\+Inf", word) for word in words), words


def test_key_is_not_stored_without_a_secret_either(new_httpd, host, origin):
    server = new_httpd(CONFIG).start()
    everything(Api(server.address, host), origin)
    raw = RawStore(server).bytes()
    assert len(RawStore(server).records()) >= 6 and KEY.encode() not in raw
    assert BODY[:29] not in raw  # a request's body never is; what is kept of it is a digest


def spools(server):
    """What the children's temporary files hold, which have no name any more."""
    found = []
    for path in (f"/proc/{child}/fd/{fd}" for child in server.children() for fd in os.listdir(f"/proc/{child}/fd")):
        with contextlib.suppress(OSError):  # closed meanwhile
            if "idempotency-body" in os.readlink(path):
                found.append(open(path, "rb").read())
    return found


def test_key_is_in_no_temporary_file(server, api, origin):
    with origin.hold("/pay") as held:
        first = api.post_async("/pay", key=KEY, body=BODY)
        held.wait_until_entered()
        files = spools(server)
        assert os.listdir(server.root / "tmp") == []  # nobody finds one by its name
    assert first.result().status == 201
    assert len(files) == 1 and BODY.endswith(files[0]) and len(files[0]) == len(BODY) - 1024
    assert KEY.encode() not in files[0]
    env.until(lambda: not spools(server), "the file is gone")


# ---- core dumps ------------------------------------------------------------------------------------------------------


def mappings(process):
    """(from, to, flags) of all that a core dump of the process may hold."""
    with open(f"/proc/{process}/smaps") as smaps:
        for line in smaps:
            if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) (.)", line):
                place = int(match[1], 16), int(match[2], 16), match[3]
            elif line.startswith("VmFlags:") and place[2] == "r":
                yield place[0], place[1], line.split()[1:]


def memory(process, dumped):
    """What is, or is not, dumped of the process: the pages that are there."""
    pages = bytearray()
    with open(f"/proc/{process}/mem", "rb", buffering=0) as mem, open(f"/proc/{process}/pagemap", "rb",
                                                                      buffering=0) as there:
        for start, end, flags in mappings(process):
            if ("dd" not in flags) == dumped and "io" not in flags:
                there.seek(start // PAGE * 8)
                for number, (entry,) in enumerate(struct.iter_unpack("Q", there.read((end - start) // PAGE * 8))):
                    if entry >> 62:  # present, or swapped out
                        mem.seek(start + number * PAGE)
                        pages += mem.read(PAGE)
    return bytes(pages)


def hkdf(secret, label):
    extracted = hmac.new(bytes(32), secret.split(": ")[1].strip().encode(), hashlib.sha256).digest()
    return hmac.new(extracted, b"mod_idempotency " + label + b"\x01", hashlib.sha256).digest()


@pytest.mark.memory
@pytest.mark.skipif(not env.ROOT, reason="only root may read the memory of a server that has changed its user")
def test_secrets_are_in_no_core_dump(server, api):
    assert api.post("/pay", key=KEY, body=BODY).status == 201
    assert api.post("/pay", key=KEY, body=BODY).replayed
    keys = [hkdf(SLOT, b"slot 1"), hkdf(SLOT, b"fingerprint 1"), hkdf(SEALS["old"], b"seal 1")]
    texts = [SLOT.split(": ")[1].strip().encode(), SEALS["old"].split(": ")[1].strip().encode()]
    for process in [server.process.pid, *server.children()]:
        dumped, kept_out = memory(process, True), memory(process, False)
        assert len(dumped) > 1 << 20
        assert [key in kept_out for key in keys] == [True] * 3
        assert [secret in dumped for secret in keys + texts] == [False] * 5
        assert [text in kept_out for text in texts] == [False] * 2
