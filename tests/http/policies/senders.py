# SPDX-License-Identifier: Apache-2.0
"""
What services send: their payloads and headers, with what they change from one attempt to the next.

A row of SENDERS is one sender: its policy, and send(url, event, attempt), which gives headers and body. Event says
which event it is, whether its body was tampered with, and whether the sender can sign. What is expected where a
duplicate is no duplicate stands in the row, too.
"""
import json
import time
from collections import namedtuple
from urllib.parse import urlencode

from receiver import SECRET, base64_of, digest, twilio_text

Event = namedtuple("Event", "number amount signed", defaults=(1, 100, True))
# kept: which of the application's failures a retry gets again. forged: what somebody gets who repeats a delivery that
# he cannot sign: 422, or 200 where the answer carries nothing. keyless: the answer to a request without its key.
Sender = namedtuple("Sender", "policy send kept forged keyless changed", defaults=((), 422, (400, "key-missing"), 422))


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def sign(event, message, algorithm="sha256"):
    return digest(message, algorithm) if event.signed else bytes(32)


def github(url, event, attempt):
    body = compact({"action": "opened", "issue": {"number": 1347, "title": f"worth {event.amount}"},
                    "repository": {"id": 1296269, "full_name": "octocat/Hello-World"}, "sender": {"login": "octocat"}})
    return [("X-GitHub-Delivery", f"72d3162e-cc78-11e3-81ab-4c9367dc{event.number:04d}"), ("X-GitHub-Event", "issues"),
            ("X-GitHub-Hook-ID", "292430182"), ("User-Agent", f"GitHub-Hookshot/044aad{attempt}"),
            ("X-Hub-Signature-256", "sha256=" + sign(event, body).hex()), ("Content-Type", "application/json")], body


def shopify(url, event, attempt):
    body = compact({"id": 820982911946154508, "email": "jon@example.com", "total_price": f"{event.amount}.00",
                    "line_items": [{"id": 866550311766439020, "quantity": 1}]})
    return [("X-Shopify-Topic", "orders/create"), ("X-Shopify-Shop-Domain", "tests.myshopify.com"),
            ("X-Shopify-API-Version", "2026-07"), ("X-Shopify-Triggered-At", "2026-11-30T18:00:00.123456789Z"),
            ("X-Shopify-Webhook-Id", f"b54557e4-bdd9-4b37-8a5f-bf7d70bc{event.number:04d}"),
            ("X-Shopify-Event-Id", "98880550-7158-44d4-b7cd-2c97c8a091b5"), ("User-Agent", "Shopify-Captain-Hook"),
            ("X-Shopify-Hmac-Sha256", base64_of(sign(event, body))), ("Content-Type", "application/json")], body


def webhook_of(prefix):
    def send(url, event, attempt):
        name, time = f"msg_2KWPBgLlAfxdpx2AI54pPJ85f{event.number:03d}", 1674087231 + 300 * attempt
        body = compact({"type": "invoice.paid", "timestamp": "2022-11-03T20:26:10.344522Z",
                        "data": {"id": "in_1", "amount": event.amount}})
        signature = base64_of(sign(event, f"{name}.{time}.".encode() + body))
        return [(f"{prefix}-id", name), (f"{prefix}-timestamp", str(time)), (f"{prefix}-signature", f"v1,{signature}"),
                ("User-Agent", "Svix-Webhooks/1.62"), ("Content-Type", "application/json")], body
    return send


def twilio(url, event, attempt):
    body = urlencode({"AccountSid": "AC0", "MessageSid": "SM1", "From": "+15550001111", "To": "+15552223333",
                      "Body": f"pay {event.amount}"}).encode()
    signature = base64_of(sign(event, twilio_text(url, body).encode(), "sha1"))
    return [("I-Twilio-Idempotency-Token", f"7f64a2f0-29a1-4b9c-93f4-0b6d1cfd{event.number:04d}"),
            ("X-Twilio-Signature", signature), ("User-Agent", "TwilioProxy/1.1"),
            ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")], body


def bearer(event):
    return ("Authorization", "Bearer " + ("good" if event.signed else "stolen"))


def cloudevents(url, event, attempt):
    return [("ce-specversion", "1.0"), ("ce-type", "com.example.order.paid"), ("ce-source", "/shops/7"),
            ("ce-id", f"A234-1234-{event.number}"), ("ce-time", "2018-04-05T17:31:00Z"), bearer(event),
            ("ce-traceparent", f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{attempt}-01"),
            ("Content-Type", "application/json; charset=utf-8")], compact({"order": 7, "amount": event.amount})


def uuidv7(number):
    """A UUID of version 7 that was made in this hour: the same one for each attempt."""
    hour = f"{int(time.time() // 3600 * 3600e3):012x}"
    return f"{hour[:8]}-{hour[8:]}-774b-bcce-b302099a{number:04d}"


def api_of(field, key, *changing):
    """A client of an API: the same call in each attempt, but for what names the attempt itself."""
    def send(url, event, attempt):
        body = compact({"amount": {"currency_code": "USD", "value": f"{event.amount}.00"}, "final_capture": True})
        name = key(event.number) if callable(key) else key % event.number
        return [(field, name), bearer(event), ("Content-Type", "application/json"),
                *[(name, f"attempt-{attempt}") for name in changing]], body
    return send


UUID = "123e4567-e89b-42d3-a456-42665544%04d"
CODES_5XX = (500, 502, 504)
SENDERS = [
    Sender("github-webhooks", github),
    Sender("shopify-webhooks", shopify),
    Sender("standard-webhooks", webhook_of("webhook"), forged=200),
    Sender("standard-webhooks", webhook_of("svix"), forged=200),
    Sender("twilio-webhooks", twilio),
    Sender("cloudevents", cloudevents),
    Sender("paypal-api", api_of("PayPal-Request-Id", UUID, "PayPal-Client-Metadata-Id"), kept=(400, 422, *CODES_5XX),
           keyless=(200, None)),
    Sender("open-banking", kept=(400, *CODES_5XX),
           send=api_of("x-idempotency-key", "FRESCO.21302.GFX.%d", "x-fapi-interaction-id", "x-jws-signature")),
    Sender("stripe-api", api_of("Idempotency-Key", "stripe-node-retry-" + UUID, "X-Stripe-Client-Telemetry"),
           kept=(402, *CODES_5XX), forged=400, keyless=(200, None), changed=400),
    Sender("idempotency-draft", api_of("Idempotency-Key", f'"{UUID}"'), kept=(400, *CODES_5XX)),
    # Credentials are in the scope: another client has keys of its own, and is asked by the application.
    Sender("acp", api_of("Idempotency-Key", UUID, "Request-Id", "Signature", "Timestamp"), kept=(400, 409), forged=401),
    Sender("iceberg-rest", api_of("Idempotency-Key", uuidv7), kept=(400, 409), keyless=(200, None)),
]
assert SECRET
