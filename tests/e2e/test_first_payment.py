"""The seed's curl example and what follows from it, from the request to the verified webhook."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from contextlib import closing
from datetime import datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from local.servers import aws
from local.servers.broker_users import USERNAME
from local.stack import seed
from local.stack.seed import DEMO_API_KEY, DEMO_WEBHOOK_SECRET
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.payments import outbox_rows
from local.testkit.receiver import running_receiver
from local.testkit.servers import address_of
from paybridge.database.database import Database

pytestmark = pytest.mark.e2e

EXAMPLE = r"""curl -i -X POST http://localhost:8000/api/v1/payments \
-H "X-API-Key: secret-api-key" \
-H "Idempotency-Key: 5dce5a3e-4e6b-4c8b-9f40-9f38f9a4d111" \
-H "Content-Type: application/json" \
-d '{
"amount": "100.50",
"currency": "RUB",
"description": "Order #123",
"metadata": {"order_id": "123"},
"webhook_url": "https://example.com/webhook"
}'"""
BODY = EXAMPLE[EXAMPLE.index("{") : EXAMPLE.rindex("}") + 1]
STAGES = [
    "payment.created",
    "event.relayed",
    "payment.processing",
    "gateway.attempt_started",
    "gateway.attempt_succeeded",
    "payment.succeeded",
    "event.relayed",
    "webhook.scheduled",
    "webhook.attempt_delivered",
]


def send_example(api_port: int) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send the example with another port and return status, headers in lower case and body of the answer."""
    if shutil.which("curl") is None:
        headers = {"X-API-Key": DEMO_API_KEY, "Idempotency-Key": "5dce5a3e-4e6b-4c8b-9f40-9f38f9a4d111"}
        headers["Content-Type"] = "application/json"
        url = f"http://localhost:{api_port}/api/v1/payments"
        answer = httpx.post(url, content=BODY.encode(), headers=headers, trust_env=False, timeout=40)
        return answer.status_code, dict(answer.headers), answer.json()
    command = EXAMPLE.replace(":8000", f":{api_port}").replace("curl -i", "curl -s --noproxy '*' -i", 1)
    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True).stdout
    head, _, body = output.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


def test_the_example_is_accepted_and_settles(stack: Stack, demo: Merchant) -> None:
    status, headers, answer = send_example(stack.settings.api_port)
    assert status == 202
    assert answer["status"] == "pending"
    assert headers["location"] == f"/api/v1/payments/{answer['payment_id']}"
    assert headers["content-type"] == "application/json"
    again_status, again_headers, again = send_example(stack.settings.api_port)
    assert (again_status, again) == (202, answer)
    assert again_headers["idempotency-replayed"] == "true"

    payment = demo.get(answer["payment_id"], {"Prefer": "wait=20"})
    assert payment["status"] == "succeeded"
    assert (payment["amount"], payment["currency"], payment["description"]) == ("100.50", "RUB", "Order #123")
    assert payment["metadata"] == {"order_id": "123"}
    assert payment["created_at"] == answer["created_at"]
    (charge,) = live.charges(stack.urls.gateway, answer["payment_id"])
    assert (charge["amount_minor"], charge["currency"]) == (10050, "RUB")


def test_a_payment_belongs_to_its_merchant(demo: Merchant, other: Merchant) -> None:
    payment_id = demo.pay()
    url = f"{other.api_url}/api/v1/payments/{payment_id}"
    for address in (url, f"{url}/events"):
        assert other.client.get(address, headers={"X-API-Key": other.api_key}).status_code == 404
    listed = other.client.get(f"{other.api_url}/api/v1/payments", headers={"X-API-Key": other.api_key})
    assert payment_id not in listed.text


def test_the_timeline_tells_every_stage_in_order(stack: Stack, demo: Merchant) -> None:
    payment_id = demo.pay(webhook_url=f"{stack.urls.sink}/ok/timeline")
    demo.settled(payment_id)
    assert live.webhook(stack.urls.sink, payment_id)["verified"] is True

    def complete() -> list[dict[str, Any]] | None:
        entries = demo.timeline(payment_id)
        return entries if entries[-1]["type"] == STAGES[-1] else None

    entries = live.eventually(complete, "webhook.attempt_delivered in the timeline")
    assert [entry["type"] for entry in entries] == STAGES
    moments = [datetime.fromisoformat(entry["at"]) for entry in entries]
    assert moments == sorted(moments)


def test_the_webhook_is_signed_and_its_events_are_in_order(demo: Merchant) -> None:
    with running_receiver() as receiver:
        payment_id = demo.pay(webhook_url=f"{receiver.url}/any", metadata={"order_id": "7"})
        payment = demo.settled(payment_id)
        request = live.eventually(lambda: receiver.requests, "a webhook")[0]
    content = Webhook(DEMO_WEBHOOK_SECRET).verify(request.body, request.headers)
    assert content == json.loads(request.body)
    assert content["type"] == "payment.succeeded"
    assert request.headers["content-type"] == "application/json"
    events = [entry for entry in demo.timeline(payment_id) if entry["type"].startswith("payment.")]
    assert [entry["sequence"] for entry in events] == [1, 2, 3]
    assert request.headers["webhook-id"] == events[2]["details"]["event_id"]
    charge = {"operation_id": payment_id, "type": "charge", "amount": payment["amount"], "taken_back": False}
    assert content["data"] == {**payment, "operation": charge, "sequence": 3}


async def test_one_correlation_id_from_the_request_to_the_webhook(stack: Stack, demo: Merchant) -> None:
    correlation_id = f"e2e-{uuid.uuid4()}"
    order = {"amount": "1.00", "currency": "EUR", "payment_method": "tok_success"}
    async with live.tapped(stack.urls.amqp) as messages:
        with running_receiver() as receiver:
            order["webhook_url"] = receiver.url
            answer = demo.post(correlation_id, order, {"X-Correlation-Id": correlation_id})
            assert answer.headers["x-correlation-id"] == correlation_id
            request = await live.eventually_async(lambda: receiver.requests, "a webhook")
        payment_id = answer.json()["payment_id"]
        ours = [message for message in messages if json.loads(message.body)["subject"] == payment_id]
    assert request[0].headers["x-correlation-id"] == correlation_id
    assert [message.type for message in ours] == ["payment.created", "payment.succeeded"]
    for message in ours:
        body = json.loads(message.body)
        assert (message.correlation_id, body["correlationid"]) == (correlation_id, correlation_id)
        assert (message.message_id, message.content_type) == (body["id"], "application/cloudevents+json")
    assert request[0].headers["webhook-id"] == ours[1].message_id
    with closing(Database(address_of(stack.urls.postgres))) as database:
        rows = outbox_rows(database, uuid.UUID(payment_id))
    assert [row["type"] for row in rows] == ["payment.created", "payment.processing", "payment.succeeded"]
    assert {row["correlation_id"] for row in rows} == {correlation_id}
    for function in ("Api", "Consumer", "Webhooks"):
        log = stack.settings.logs_dir / f"{function}Function.log"
        await live.eventually_async(lambda log=log: correlation_id in log.read_text(), f"the id in {log.name}")


def test_no_log_holds_a_secret_or_a_card_number(stack: Stack, demo: Merchant) -> None:
    card = "4242424242424242"
    order = {"amount": "1.00", "currency": "EUR", "payment_method": "tok_success", "customer": card}
    order |= {"description": f"card {card}", "webhook_url": f"{stack.urls.sink}/ok/{card}?card={card}"}
    demo.post(card, {**order, "metadata": {"card": card}}, {"X-Correlation-Id": card, "X-Request-Id": card})
    demo.post(str(uuid.uuid4()), {**order, "amount": card, card: card})
    demo.client.get(f"{demo.api_url}/api/v1/payments/{card}?card={card}", headers={"X-API-Key": card})
    marker = demo.pay(description=card, webhook_url=f"{stack.urls.sink}/ok/{card}")
    live.webhook(stack.urls.sink, marker)
    log = stack.settings.logs_dir / "WebhooksFunction.log"
    live.eventually(lambda: marker in log.read_text(), "the delivery in the log")
    assert live.leaks(stack.settings.logs_dir) == []


def test_the_functions_have_a_user_of_the_broker_with_no_more_rights_than_on_aws(stack: Stack) -> None:
    def names() -> set[str]:
        url = f"{stack.urls.management}/api/connections"
        found = httpx.get(url, trust_env=False, timeout=20).raise_for_status().json()
        return {connection["user"] for connection in found if connection.get("user")}

    # Relay and mappings are always connected. Management shows it some seconds later.
    assert live.eventually(names, "connections to the broker") == {USERNAME}


def test_the_secret_of_the_administrator_is_not_that_of_the_functions(stack: Stack) -> None:
    secrets = aws.client(stack.settings, "secretsmanager")

    def username(parameter: str) -> str:
        arn = seed.parameter(stack.settings, f"/paybridge/dev/broker/{parameter}")
        return str(json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])["username"])

    assert (username("secret-id"), username("admin-secret-id")) == (USERNAME, "guest")
