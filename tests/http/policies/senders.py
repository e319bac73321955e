# SPDX-License-Identifier: Apache-2.0
"""
What services send: their payloads and headers, with what they change from one attempt to the next.

A row of SENDERS is one sender: its policy, and send(url, event, attempt), which gives headers and body. Event says
which event it is (None: it has no name), whether its body was tampered with, and whether the sender can sign. What is
expected where a duplicate is no duplicate stands in the row, too.
"""
import json
import time
from collections import namedtuple
from urllib.parse import urlencode

from receiver import adyen_text, base64_of, digest, ecdsa_key, openssl, twilio_text

Event = namedtuple("Event", "number amount signed", defaults=(1, 100, True))
# kept: which of the application's failures a retry gets again. forged: what somebody gets who repeats a delivery that
# he cannot sign: 422, or 200 where the answer carries nothing. keyless: the answer to a request without its key.
# changed: the answer to another body under the same key; 200 where that is another event.
Sender = namedtuple("Sender", "policy send kept forged keyless changed", defaults=((), 422, (400, "key-missing"), 422))


def compact(value):
    """JSON without blanks; members that are None are left out."""
    if isinstance(value, dict):
        value = {name: one for name, one in value.items() if one is not None}
    return json.dumps(value, separators=(",", ":")).encode()


def named(event, text):
    """The event's name, None if it has none: a header without a value is not sent."""
    return None if event.number is None else text % event.number


def sign(event, message, algorithm="sha256"):
    return digest(message, algorithm) if event.signed else bytes(32)


def github(url, event, attempt):
    body = compact({"action": "opened", "issue": {"number": 1347, "title": f"worth {event.amount}"},
                    "repository": {"id": 1296269, "full_name": "octocat/Hello-World"}, "sender": {"login": "octocat"}})
    return [("X-GitHub-Delivery", named(event, "72d3162e-cc78-11e3-81ab-4c9367dc%04d")), ("X-GitHub-Event", "issues"),
            ("X-GitHub-Hook-ID", "292430182"), ("User-Agent", f"GitHub-Hookshot/044aad{attempt}"),
            ("X-Hub-Signature-256", "sha256=" + sign(event, body).hex()), ("Content-Type", "application/json")], body


def shopify(url, event, attempt):
    body = compact({"id": 820982911946154508, "email": "jon@example.com", "total_price": f"{event.amount}.00",
                    "line_items": [{"id": 866550311766439020, "quantity": 1}]})
    return [("X-Shopify-Topic", "orders/create"), ("X-Shopify-Shop-Domain", "tests.myshopify.com"),
            ("X-Shopify-API-Version", "2026-07"), ("X-Shopify-Triggered-At", "2026-11-30T18:00:00.123456789Z"),
            ("X-Shopify-Webhook-Id", named(event, "b54557e4-bdd9-4b37-8a5f-bf7d70bc%04d")),
            ("X-Shopify-Event-Id", "98880550-7158-44d4-b7cd-2c97c8a091b5"), ("User-Agent", "Shopify-Captain-Hook"),
            ("X-Shopify-Hmac-Sha256", base64_of(sign(event, body))), ("Content-Type", "application/json")], body


def webhook_of(prefix):
    def send(url, event, attempt):
        name, time = named(event, "msg_2KWPBgLlAfxdpx2AI54pPJ85f%03d"), 1674087231 + 300 * attempt
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
    return [("I-Twilio-Idempotency-Token", named(event, "7f64a2f0-29a1-4b9c-93f4-0b6d1cfd%04d")),
            ("X-Twilio-Signature", signature), ("User-Agent", "TwilioProxy/1.1"),
            ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")], body


def bearer(event):
    return ("Authorization", "Bearer " + ("good" if event.signed else "stolen"))


def cloudevents(url, event, attempt):
    return [("ce-specversion", "1.0"), ("ce-type", "com.example.order.paid"), ("ce-source", "/shops/7"),
            ("ce-id", named(event, "A234-1234-%d")), ("ce-time", "2018-04-05T17:31:00Z"), bearer(event),
            ("ce-traceparent", f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{attempt}-01"),
            ("Content-Type", "application/json; charset=utf-8")], compact({"order": 7, "amount": event.amount})


def uuidv7():
    """UUIDs of version 7 that were made in this hour: the same ones for each attempt."""
    hour = f"{int(time.time() // 3600 * 3600e3):012x}"
    return f"{hour[:8]}-{hour[8:]}-774b-bcce-b302099a%04d"


def api_of(field, key, *changing, respelled=False):
    """A client of an API: the same call in each attempt, but for what names the attempt itself, and perhaps blanks."""
    def send(url, event, attempt):
        body = compact({"amount": {"currency_code": "USD", "value": f"{event.amount}.00"}, "final_capture": True})
        name = named(event, key() if callable(key) else key)
        body = json.dumps(json.loads(body), indent=attempt).encode() if respelled else body
        return [(field, name), bearer(event), ("Content-Type", "application/json"),
                *[(name, f"attempt-{attempt}") for name in changing]], body
    return send


# ---- keys in bodies ------------------------------------------------------------------------------------------------

JSON, FORM = ("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")


def structured(url, event, attempt):
    """CloudEvents in structured mode; another spelling of the same values each time."""
    told = {"specversion": "1.0", "type": "com.example.order.paid", "source": "/shops/7", "id": named(event, "B234-%d"),
            "traceparent": f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{attempt}-01",
            "data": {"amount": event.amount}}
    body = json.dumps(json.loads(compact(told)), indent=attempt, sort_keys=attempt > 1).encode()
    return [("Content-Type", "application/cloudevents+json; charset=utf-8"), bearer(event)], body


def stripe(url, event, attempt):
    time = 1492774577 + 3600 * attempt
    body = compact({"id": named(event, "evt_1MqqbKLt4dXK03v5qaIbi%03d"), "object": "event", "api_version": "2026-09-30",
                    "created": 1492774570, "livemode": True, "pending_webhooks": 3 - attempt, "type": "invoice.paid",
                    "data": {"object": {"id": "in_1", "object": "invoice", "amount_paid": event.amount}}})
    signature = sign(event, f"{time}.".encode() + body).hex()
    return [("Stripe-Signature", f"t={time},v1={signature}"), ("Content-Type", "application/json; charset=utf-8"),
            ("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")], body


def slack_headers(event, attempt, body):
    time = 1531420618 + 60 * attempt
    signature = "v0=" + sign(event, f"v0:{time}:".encode() + body).hex()
    retry = [("X-Slack-Retry-Num", str(attempt - 1)), ("X-Slack-Retry-Reason", "http_timeout")] if attempt > 1 else []
    return [("X-Slack-Request-Timestamp", str(time)), ("X-Slack-Signature", signature), *retry]


def slack_event(url, event, attempt):
    body = compact({"token": "z", "team_id": "T123ABC456", "api_app_id": "A123ABC456", "type": "event_callback",
                    "event": {"type": "message", "channel": "C123ABC456", "text": f"pay {event.amount}"},
                    "event_id": named(event, "Ev123ABC%03d"), "event_time": 1234567890})
    return [*slack_headers(event, attempt, body), JSON], body


def slack_command(url, event, attempt):
    """A proxy on the way sends the same bytes once more."""
    trigger = {} if event.number is None else {"trigger_id": f"13345224609.738474920.8088930838d88f{event.number:03d}"}
    body = urlencode({"team_id": "T0001", "command": "/pay", "text": event.amount, **trigger}).encode()
    return [*slack_headers(event, 1, body), FORM], body


def slack_button(url, event, attempt):
    payload = {"type": "block_actions", "trigger_id": f"12321423423.333649436676.{event.number}",
               "actions": [{"action_id": "pay", "value": str(event.amount)}]}
    body = urlencode({"payload": compact(payload)}).encode()
    return [*slack_headers(event, 1, body), FORM], body


def square(url, event, attempt):
    body = compact({"merchant_id": "6SSW7HV8K2ST5", "type": "payment.updated", "created_at": "2020-02-06T21:27:34.308Z",
                    "event_id": named(event, "6a8f5f28-54a1-4eb0-a98a-3111513f%04d"),
                    "data": {"type": "payment", "object": {"payment": {"amount_money": {"amount": event.amount}}}}})
    retry = [("square-retry-number", str(attempt - 1)), ("square-retry-reason", "http_timeout")] if attempt > 1 else []
    return [("x-square-hmacsha256-signature", base64_of(sign(event, url.encode() + body))), JSON, *retry,
            ("square-initial-delivery-timestamp", "2020-02-06T21:27:40Z"), ("square-environment", "Production")], body


def adyen(url, event, attempt):
    item = {"pspReference": named(event, "7914073381%06d"), "eventCode": "AUTHORISATION", "success": "true",
            "merchantAccountCode": "TestMerchant", "merchantReference": "order 7", "amount": {"currency": "EUR",
            "value": event.amount}, "eventDate": f"2026-11-30T18:00:0{attempt}+01:00", "paymentMethod": "visa"}
    signature = sign(event, adyen_text({"pspReference": "", **item}).encode() if item["pspReference"] else b"")
    item["additionalData"] = {"hmacSignature": base64_of(signature), "expiryDate": f"0{attempt}/2030"}
    if event.number is None:
        del item["pspReference"]
    return [JSON, ("Authorization", "Basic YWR5ZW46c2VjcmV0")], compact(
        {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]})


def sendgrid(url, event, attempt, kinds=("delivered", "open")):
    told = [{"email": "a@example.com", "event": kind, "url": f"/{event.amount}"} for kind in kinds]
    if event.number is not None:
        told = [{**one, "sg_event_id": f"rWVYmVk9bWFil1ZRz{n}{event.number}"} for n, one in enumerate(told)]
    body = compact(told)
    time = str(1715600000 + 600 * attempt)
    signed = openssl("dgst", "-sha256", "-sign", f"{ecdsa_key().name}/key", given=time.encode() + body).stdout
    return [("X-Twilio-Email-Event-Webhook-Signature", base64_of(signed if event.signed else b"forged")), JSON,
            ("X-Twilio-Email-Event-Webhook-Timestamp", time), ("User-Agent", "SendGrid Event API")], body


def json_api(*place, key, **more):
    """An API whose key is in the JSON, at that place; other blanks each time."""
    def send(url, event, attempt):
        told = {"source_id": "cnon:card-nonce-ok", "amount_money": {"amount": event.amount, "currency": "EUR"}, **more}
        inner = told
        for name in place[:-1]:
            inner = inner.setdefault(name, {})
        if event.number is not None:
            inner[place[-1]] = key % event.number
        return [bearer(event), JSON], json.dumps(told, indent=attempt).encode()
    return send


def aws(url, event, attempt):
    date = f"20261130T18000{attempt}Z"
    token = {} if event.number is None else {"ClientToken": f"550e8400-e29b-41d4-a716-44665544{event.number:04d}"}
    body = urlencode({"Action": "RunInstances", "Version": "2016-11-15", "MinCount": event.amount, **token}).encode()
    signature = sign(event, date.encode() + body).hex()
    return [("X-Amz-Date", date), FORM, ("amz-sdk-request", f"attempt={attempt}; max=3"), ("Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/us-east-1/ec2/aws4_request, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}")], body


def mcp(url, event, attempt):
    body = compact({"jsonrpc": "2.0", "id": event.number, "method": "tools/call", "params": {"name": "pay",
                    "arguments": {"amount": event.amount}, "_meta": {"progressToken": attempt}}})
    return [bearer(event), JSON, ("Mcp-Session-Id", "1868a90c"), ("MCP-Protocol-Version", "2025-06-18"),
            ("Accept", "application/json, text/event-stream")], body


# ---- the rows ------------------------------------------------------------------------------------------------------

UUID = "123e4567-e89b-42d3-a456-42665544%04d"
PASSES, CODES_5XX = (200, None), (500, 502, 504)
RPC = {"jsonrpc": "2.0", "method": "pay"}
SENDERS = [
    Sender("github-webhooks", github),
    Sender("shopify-webhooks", shopify),
    Sender("standard-webhooks", webhook_of("webhook"), forged=200),
    Sender("standard-webhooks", webhook_of("svix"), forged=200),
    Sender("twilio-webhooks", twilio),
    Sender("cloudevents", cloudevents),
    Sender("cloudevents", structured),
    Sender("stripe-webhooks", stripe, forged=200),
    Sender("slack-events", slack_event, forged=200, keyless=PASSES),
    Sender("slack-interactions", slack_command, keyless=PASSES),
    # The signature is the key: another body has another one, and so has a forger.
    Sender("slack-interactions", slack_button, forged=401, keyless=PASSES, changed=200),
    Sender("square-webhooks", square),
    # The signature of the item is in the scope.
    Sender("adyen-webhooks", adyen, forged=401, changed=200),
    Sender("sendgrid-webhooks", sendgrid, forged=200),
    Sender("paypal-api", api_of("PayPal-Request-Id", UUID, "PayPal-Client-Metadata-Id"), (400, *CODES_5XX),
           keyless=PASSES),
    Sender("open-banking", kept=(400, *CODES_5XX),
           send=api_of("x-idempotency-key", "FRESCO.21302.GFX.%d", "x-fapi-interaction-id", "x-jws-signature")),
    Sender("stripe-api", api_of("Idempotency-Key", "stripe-node-retry-" + UUID, "X-Stripe-Client-Telemetry"),
           kept=CODES_5XX, forged=400, keyless=PASSES, changed=400),
    Sender("idempotency-draft", api_of("Idempotency-Key", f'"{UUID}"'), kept=(400, *CODES_5XX)),
    # Credentials are in the scope: another client has keys of its own, and is asked by the application.
    Sender("acp", api_of("Idempotency-Key", UUID, "Request-Id", "Signature", "Timestamp", respelled=True), (400,), 401),
    Sender("iceberg-rest", api_of("Idempotency-Key", uuidv7), kept=(400,), keyless=PASSES),
    Sender("square-api", json_api("idempotency_key", key=UUID), (400, *CODES_5XX), 400, PASSES, 400),
    Sender("google-aip-155", json_api("requestId", key=UUID), (400, *CODES_5XX), keyless=PASSES),
    Sender("aws-client-token", aws, (400, *CODES_5XX), 200, PASSES, 400),
    Sender("graphql", json_api("variables", "input", "clientMutationId", key="m-%d", query="mutation Pay {…}"),
           (400, *CODES_5XX), keyless=PASSES),
    Sender("graphql", api_of("Idempotency-Key", UUID), (400, *CODES_5XX), keyless=PASSES),
    Sender("json-rpc", json_api("id", key=UUID, **RPC), (400, *CODES_5XX), keyless=PASSES),
    Sender("mcp", mcp, (400, *CODES_5XX), keyless=PASSES),
]
