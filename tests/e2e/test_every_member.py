"""Every member of a request comes back wherever a payment is shown: a place that forgets one cannot pass."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from api.routes.refunds.schemas import RefundRequest
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from paybridge.intake.payment_request import PaymentDetails, PaymentRequest

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


def full_order(sink: str) -> dict[str, Any]:
    """Return an order with every member, each with a value that no other payment has, but for `capture`."""
    return {
        "amount": "31.07",
        "currency": "CHF",
        "capture": "automatic",
        "description": "Заказ “№ 7”\n\u0001 🧾",
        "metadata": {"order_id": "7", "ключ": "значение"},
        "webhook_url": f"{sink}/ok/every%2Dmember?b=2&a=1",
        "customer": f"customer-{uuid.uuid4()}",
        "payment_method": "tok_success",
    }


def missing(order: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """Return the members of the order that are absent or differ."""
    return {name: value for name, value in order.items() if shown.get(name, ...) != value}


def test_the_order_has_every_member_that_the_api_takes() -> None:
    assert full_order("").keys() == PaymentRequest.model_fields.keys()
    assert PaymentDetails.model_fields.keys() < PaymentRequest.model_fields.keys()


async def test_every_member_comes_back_from_read_list_events_and_webhook(stack: Stack, demo: Merchant) -> None:
    order = full_order(stack.urls.sink)
    async with live.tapped(stack.urls.amqp) as messages:
        accepted = demo.post(str(uuid.uuid4()), order)
        assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
        payment_id = accepted.json()["payment_id"]
        received = await live.eventually_async(lambda: live.received(stack.urls.sink, payment_id), "the webhook")
    events = [
        event for event in map(json.loads, (message.body for message in messages)) if event["subject"] == payment_id
    ]
    listed = demo.client.get(
        f"{demo.api_url}/api/v1/payments",
        params={"customer": order["customer"]},
        headers={"X-API-Key": demo.api_key},
    ).json()["data"]
    [webhook] = received

    places = {
        "the answer": accepted.json(),
        "the payment": demo.get(payment_id),
        "the list": listed[0],
        "the event that creates": events[0]["data"],
        "the event that settles": events[-1]["data"],
        "the webhook": webhook["body"]["data"],
    }
    assert [event["type"] for event in events] == ["payment.created", "payment.succeeded"]
    assert {place: missing(order, shown) for place, shown in places.items()} == {place: {} for place in places}


async def test_every_member_of_a_refund_comes_back_from_read_lists_events_and_webhook(
    stack: Stack, demo: Merchant
) -> None:
    payment_id = demo.pay(webhook_url=f"{stack.urls.sink}/ok")
    demo.settled(payment_id)
    order = {"amount": "31.07", "reason": "Возврат “№ 7”\n🧾", "metadata": {"return_id": "7", "ключ": "значение"}}
    assert order.keys() == RefundRequest.model_fields.keys()
    key = {"X-API-Key": demo.api_key}

    def read(path: str) -> Any:
        return demo.client.get(f"{demo.api_url}/api/v1/{path}", headers=key).raise_for_status().json()

    def outcome() -> dict[str, Any] | None:
        received = live.received(stack.urls.sink, payment_id)
        return next((each["body"] for each in received if each["body"]["type"] == "refund.succeeded"), None)

    async with live.tapped(stack.urls.amqp) as messages:
        accepted = demo.client.post(
            f"{demo.api_url}/api/v1/payments/{payment_id}/refunds",
            json=order,
            headers={**key, "Idempotency-Key": str(uuid.uuid4())},
        )
        assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
        refund_id = accepted.json()["refund_id"]
        webhook = await live.eventually_async(outcome, "the webhook of the refund")
    events = [
        event for event in map(json.loads, (message.body for message in messages)) if event["subject"] == refund_id
    ]
    places = {
        "the answer": accepted.json(),
        "the refund": read(f"refunds/{refund_id}"),
        "the list": next(each for each in read("refunds?limit=100")["data"] if each["refund_id"] == refund_id),
        "the payment's list": read(f"payments/{payment_id}/refunds")["data"][0],
        "the event that creates": events[0]["data"],
        "the event that settles": events[-1]["data"],
        "the webhook": webhook["data"],
    }
    assert [(event["type"], event["subjecttype"], event["paymentid"]) for event in events] == [
        ("refund.created", "refund", payment_id),
        ("refund.succeeded", "refund", payment_id),
    ]
    assert {place: missing(order, shown) for place, shown in places.items()} == {place: {} for place in places}
