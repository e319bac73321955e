# SPDX-License-Identifier: Apache-2.0
"""
The application behind a policy. It checks its caller as that service's documentation says, works once for each call
that reaches it, and fails when a test tells it to. Each answer is one that no other call gets.

Paths are /NAME-OF-THE-POLICY. A sender's secret is SECRET everywhere. APIs ask for a bearer token that begins with
"good".
"""
import base64
import functools
import hmac
import http.server
import json
import os
import subprocess
import tempfile
import threading
from urllib.parse import parse_qsl, urlsplit

SECRET = b"whsec of the tests"
DIES = 0  # told instead of a status: the application works, and ends without an answer


def digest(message, algorithm="sha256"):
    return hmac.new(SECRET, message, algorithm).digest()


def base64_of(data):
    return base64.b64encode(data).decode()


def twilio_text(url, body):
    """What Twilio signs: the URL, and each name with its value in the order of names."""
    return url + "".join(name + value for name, value in sorted(parse_qsl(body.decode(), keep_blank_values=True)))


def of_github(call):
    return call["X-Hub-Signature-256"] == "sha256=" + digest(call.body).hex()


def of_shopify(call):
    return call["X-Shopify-Hmac-Sha256"] == base64_of(digest(call.body))


def of_standard_webhooks(call):
    name = call["webhook-id"] or call["svix-id"]
    time = call["webhook-timestamp"] or call["svix-timestamp"]
    signature = call["webhook-signature"] or call["svix-signature"] or ""
    return f"v1,{base64_of(digest(f'{name}.{time}.'.encode() + call.body))}" in signature.split(" ")


def of_twilio(call):
    return call["X-Twilio-Signature"] == base64_of(digest(twilio_text(call.url, call.body).encode(), "sha1"))


def of_stripe(call):
    fields = dict(part.split("=", 1) for part in (call["Stripe-Signature"] or "t=,v1=").split(","))
    return fields["v1"] == digest(f"{fields['t']}.".encode() + call.body).hex()


def of_slack(call):
    signed = f"v0:{call['X-Slack-Request-Timestamp']}:".encode() + call.body
    return call["X-Slack-Signature"] == "v0=" + digest(signed).hex()


def of_square(call):
    return call["x-square-hmacsha256-signature"] == base64_of(digest(call.url.encode() + call.body))


def adyen_text(item):
    """What Adyen signs of an item."""
    amount = item["amount"]
    words = [item["pspReference"], item.get("originalReference", ""), item["merchantAccountCode"],
             item["merchantReference"], str(amount["value"]), amount["currency"], item["eventCode"], item["success"]]
    return ":".join(words)


def of_adyen(call):
    items = [entry["NotificationRequestItem"] for entry in json.loads(call.body)["notificationItems"]]
    return all(item["additionalData"]["hmacSignature"] == base64_of(digest(adyen_text(item).encode()))
               for item in items)


@functools.cache
def ecdsa_key():
    """A folder with SendGrid's key pair; it is gone with the process."""
    folder = tempfile.TemporaryDirectory(prefix="idem-ecdsa-")
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", f"{folder.name}/key")
    openssl("ec", "-in", f"{folder.name}/key", "-pubout", "-out", f"{folder.name}/public")
    return folder


def openssl(*words, given=b""):
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=False)


def of_sendgrid(call):
    signed = (call["X-Twilio-Email-Event-Webhook-Timestamp"] or "").encode() + call.body
    with tempfile.NamedTemporaryFile(prefix="idem-ecdsa-") as signature:
        signature.write(base64.b64decode(call["X-Twilio-Email-Event-Webhook-Signature"] or ""))
        signature.flush()
        return openssl("dgst", "-sha256", "-verify", f"{ecdsa_key().name}/public", "-signature", signature.name,
                       given=signed).returncode == 0


def of_aws(call):
    signed = (call["X-Amz-Date"] or "").encode() + call.body
    return (call["Authorization"] or "").endswith("Signature=" + digest(signed).hex())


def with_a_token(call):
    return (call["Authorization"] or "").startswith("Bearer good")


CHECKS = {"github-webhooks": of_github, "shopify-webhooks": of_shopify, "standard-webhooks": of_standard_webhooks,
          "twilio-webhooks": of_twilio, "cloudevents": with_a_token, "paypal-api": with_a_token,
          "open-banking": with_a_token, "stripe-api": with_a_token, "idempotency-draft": with_a_token,
          "acp": with_a_token, "iceberg-rest": with_a_token, "stripe-webhooks": of_stripe, "slack-events": of_slack,
          "slack-interactions": of_slack, "square-webhooks": of_square, "adyen-webhooks": of_adyen,
          "sendgrid-webhooks": of_sendgrid, "square-api": with_a_token, "google-aip-155": with_a_token,
          "aws-client-token": of_aws, "graphql": with_a_token, "json-rpc": with_a_token, "mcp": with_a_token}


class Call:
    def __init__(self, handler):
        self.headers, self.path = handler.headers, urlsplit(handler.path).path
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.url = f"https://{self['X-Forwarded-Host']}{handler.path}"
        self.policy = self.path.split("/")[1]

    def __getitem__(self, name):
        return self.headers.get(name)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def decide(self, call):
        if not CHECKS[call.policy](call):
            return 401, {"error": "who are you?"}
        with self.server.lock:
            status = self.server.told.pop(0) if self.server.told else 200
            if status < 300:  # a call that it dies in was worked on as well
                self.server.worked.append(call)
        return status, {"work": os.urandom(8).hex()}

    def do_POST(self):
        status, told = self.decide(Call(self))
        if status == DIES:
            self.close_connection = True
            return
        self.answer(status, json.dumps(told).encode())

    def do_GET(self):
        self.answer(200, b'{"defaults":{},"overrides":{}}')

    def answer(self, status, body):
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PATCH = do_DELETE = do_POST

    def log_message(self, *_):
        pass


class Receiver(http.server.ThreadingHTTPServer):
    """told: statuses that the next calls are answered with; worked: the calls that were worked on."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock, self.told, self.worked = threading.Lock(), [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def forget(self):
        with self.lock:
            self.told, self.worked = [], []

    def close(self):
        self.shutdown()
        self.server_close()
