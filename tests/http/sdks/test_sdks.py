# SPDX-License-Identifier: Apache-2.0
"""
Official SDKs, as their makers ship them, against an API behind the module and a proxy that loses answers. They send
again in their own ways, and each operation is executed once.

The SDKs come from npm, into build/sdks, as package-lock.json says. They speak TLS to the hosts that they know;
redirect.cjs brings them to the proxy, which has a certificate for all of them.
"""
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading

import pytest

import env
from httpd import Httpd
from lossy import Lossy

pytestmark = [pytest.mark.mpm_independent, pytest.mark.long]
STORES = ["lmdb"]
HERE, FOLDER = env.REPO / "tests/http/sdks", env.REPO / "build/sdks"
HOSTS = """api.stripe.com api.openai.com connect.squareup.com connect.squareupsandbox.com api.svix.com api.eu.svix.com
api-m.sandbox.paypal.com checkout-test.adyen.com""".split()
# SDK: policy, place, and what happens to its attempts. Each sends again after what is listed, and after no more.
SDKS = {
    "stripe": ("stripe-api", "/v1/payment_intents", ["lose", "504", "cut"]),
    "openai": ("stripe-api", "/v1/chat/completions", ["lose", "504", "lose"]),
    "svix": ("idempotency-draft", "/api/v1/app/app_1/msg", ["lose", "504"]),
    "paypal": ("paypal-api", "/v2/checkout/orders", ["504", "504"]),
    "square": ("square-api", "/v2/payments", ["504", "504"]),
    "adyen": ("idempotency-draft", "/v72/payments", ["lose", "cut", "504"]),
}
PLACE = """
<Location "{place}">
    Include {repo}/conf/policies/{policy}.conf
</Location>
"""


class Api(http.server.BaseHTTPRequestHandler):
    """Answers what any of the SDKs takes for a success, and counts."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = os.urandom(8).hex()
        said = {"access_token": "good", "token_type": "Bearer", "expires_in": 3600} if "oauth2" in self.path else {
            "id": name, "pspReference": name, "payment": {"id": name}, "object": "any", "choices": [],
            "status": "CREATED", "eventType": "invoice.paid", "payload": {}, "timestamp": "2026-11-30T18:00:00Z",
            "resultCode": "Authorised"}
        self.server.executed.append((self.path, name))
        body = json.dumps(said).encode()
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def mock():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads, server.executed = True, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def httpd(stage, store, mock):
    places = "".join(PLACE.format(place=place, policy=policy, repo=env.REPO) for policy, place, _ in SDKS.values())
    proxied = f"IdempotencyEngine Off\nProxyPass / http://127.0.0.1:{mock.server_port}/\n"
    server = Httpd(stage, proxied + places, store)
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def installed():
    """The folder of the SDKs. What npm says if it reaches nobody is the reason for skipping."""
    lock = (HERE / "package-lock.json").read_bytes()
    there = FOLDER / "node_modules" / ".of-this-lock"
    if not there.exists() or there.read_bytes() != lock:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, FOLDER)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=600)
        except FileNotFoundError:
            pytest.skip("the SDKs are not here: npm is not installed")
        if done.returncode and re.search("ENOTFOUND|ECONN|ETIMEDOUT|EAI_AGAIN|network", done.stderr):
            pytest.skip(f"the SDKs are not here: npm cannot be reached: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
        there.write_bytes(lock)
    return FOLDER


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sdks.test",
                    "-addext", f"subjectAltName={names}", "-keyout", folder / "key", "-out", folder / "cert"],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context, folder / "cert"


@pytest.fixture
def operate(mock, installed, certificate):
    """operate(sdk, server): one operation with that SDK. What it printed, and what was executed for it."""
    def operate(sdk, server):
        _, place, fates = SDKS[sdk]
        mock.executed.clear()
        with Lossy(server.address, fates, only=f"POST {place}", tls=certificate[0]) as proxy:
            environment = {**os.environ, "SDK_FOLDER": str(installed), "SDK_PORT": str(proxy.server_address[1]),
                           "NODE_EXTRA_CA_CERTS": str(certificate[1])}
            done = subprocess.run(["node", "--require", HERE / "redirect.cjs", HERE / "pay.mjs", sdk], env=environment,
                                  capture_output=True, text=True, timeout=env.CLIENT_TIMEOUT)
        assert done.returncode == 0, done.stderr
        assert len(proxy.attempts) == len(fates) + 1, [head for _, head in proxy.attempts]
        return done.stdout.strip(), [name for path, name in mock.executed if path.partition("?")[0] == place]
    return operate


@pytest.mark.parametrize("sdk", SDKS)
def test_sdk_sends_again_and_is_executed_once(sdk, httpd, operate):
    printed, executed = operate(sdk, httpd)
    assert executed == [printed]


def test_without_the_module_each_attempt_is_an_execution(new_httpd, mock, operate):
    server = new_httpd(f"IdempotencyEngine Off\nProxyPass / http://127.0.0.1:{mock.server_port}/\n").start()
    assert len(operate("stripe", server)[1]) == 4
