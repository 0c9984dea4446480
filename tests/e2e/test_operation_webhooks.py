"""The webhooks of captures, cancellations and refunds, as a receiver gets them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from tests.support.event_schemas import check_body

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


def post(demo: Merchant, payment_id: str, action: str, **body: Any) -> dict[str, Any]:
    """Ask for an operation of a payment; return the answer."""
    answer = demo.client.post(
        f"{demo.api_url}/api/v1/payments/{payment_id}/{action}",
        json=body,
        headers={"X-API-Key": demo.api_key, "Idempotency-Key": str(uuid.uuid4())},
    )
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def webhooks(stack: Stack, payment_id: str, *types: str) -> list[dict[str, Any]]:
    """Wait until webhooks of these types have come, each as often as it is named; return the bodies of all."""

    def look() -> list[dict[str, Any]] | None:
        received = live.received(stack.urls.sink, payment_id)
        came = sorted(each["body"]["type"] for each in received)
        return received if came == sorted(types) else None

    received = live.eventually(look, f"the webhooks {types} of {payment_id}")
    assert all(each["verified"] for each in received)
    assert len({each["headers"]["webhook-id"] for each in received}) == len(received)
    bodies = [each["body"] for each in received]
    for body in bodies:
        check_body(body)
    check_sequences(bodies)
    return bodies


def check_sequences(bodies: list[dict[str, Any]]) -> None:
    """Assert that those of the payment, and those of each refund, rise in the order in which they happened."""
    by_subject: Mapping[str, list[tuple[str, int]]] = defaultdict(list)
    for body in bodies:
        subject = body["data"].get("refund_id", body["data"]["payment_id"])
        by_subject[subject].append((body["timestamp"], body["data"]["sequence"]))
    for events in by_subject.values():
        sequences = [sequence for _, sequence in sorted(events)]
        assert sequences == sorted(set(sequences))


def of_type(bodies: list[dict[str, Any]], type_: str) -> dict[str, Any]:
    [data] = [body["data"] for body in bodies if body["type"] == type_]
    return dict(data)


@pytest.fixture
def ok(stack: Stack) -> str:
    return f"{stack.urls.sink}/ok"


def test_a_capture_of_a_part(stack: Stack, demo: Merchant, ok: str) -> None:
    payment_id = demo.pay(webhook_url=ok, capture="manual")
    [held] = webhooks(stack, payment_id, "payment.requires_capture")
    assert (held["data"]["amount_capturable"], held["data"]["amount_captured"]) == ("100.50", "0.00")
    post(demo, payment_id, "capture", amount="40.00")
    bodies = webhooks(stack, payment_id, "payment.requires_capture", "payment.succeeded")
    captured = of_type(bodies, "payment.succeeded")
    assert (captured["amount_capturable"], captured["amount_captured"]) == ("0.00", "40.00")


def test_a_cancellation_of_authorized_money(stack: Stack, demo: Merchant, ok: str) -> None:
    payment_id = demo.pay(webhook_url=ok, capture="manual")
    webhooks(stack, payment_id, "payment.requires_capture")
    post(demo, payment_id, "cancel")
    bodies = webhooks(stack, payment_id, "payment.requires_capture", "payment.canceled")
    assert of_type(bodies, "payment.canceled")["failure_code"] is None


def test_two_refunds_of_one_payment(stack: Stack, demo: Merchant, ok: str) -> None:
    payment_id = demo.pay(webhook_url=ok)
    webhooks(stack, payment_id, "payment.succeeded")
    first = post(demo, payment_id, "refunds", amount="30.00", reason="returned")
    so_far = ["payment.succeeded", "refund.created", "refund.succeeded", "payment.partially_refunded"]
    bodies = webhooks(stack, payment_id, *so_far)
    assert of_type(bodies, "refund.created") == {**first, "sequence": 1}
    assert of_type(bodies, "refund.succeeded")["amount"] == "30.00"
    assert of_type(bodies, "payment.partially_refunded")["amount_refunded"] == "30.00"
    second = post(demo, payment_id, "refunds")
    bodies = webhooks(stack, payment_id, *so_far, "refund.created", "refund.succeeded", "payment.refunded")
    assert of_type(bodies, "payment.refunded")["amount_refunded"] == "100.50"
    # Each refund counts for itself, and tells its own amount.
    assert {
        (body["data"]["refund_id"], body["type"], body["data"]["sequence"], body["data"]["amount"])
        for body in bodies
        if body["type"].startswith("refund.")
    } == {
        (first["refund_id"], "refund.created", 1, "30.00"),
        (first["refund_id"], "refund.succeeded", 2, "30.00"),
        (second["refund_id"], "refund.created", 1, "70.50"),
        (second["refund_id"], "refund.succeeded", 2, "70.50"),
    }


def test_a_refund_that_the_gateway_declines(stack: Stack, demo: Merchant, ok: str) -> None:
    payment_id = demo.pay(webhook_url=ok, payment_method="tok_refund_declined")
    webhooks(stack, payment_id, "payment.succeeded")
    refund = post(demo, payment_id, "refunds", amount="30.00")
    bodies = webhooks(stack, payment_id, "payment.succeeded", "refund.created", "refund.failed")
    failed = of_type(bodies, "refund.failed")
    assert (failed["refund_id"], failed["status"], failed["sequence"]) == (refund["refund_id"], "failed", 2)
    assert failed["failure_code"]
    assert demo.get(payment_id)["amount_refunded"] == "0.00"


def test_what_is_given_back_of_a_failed_payment_is_no_refund(stack: Stack, demo: Merchant, ok: str) -> None:
    payment_id = demo.pay(webhook_url=ok, payment_method="tok_partial")

    def is_given_back() -> bool:
        return any(
            entry["type"] == "gateway.attempt_succeeded" and entry["details"]["operation"] == "refund"
            for entry in demo.timeline(payment_id)
        )

    live.eventually(is_given_back, "the partial approval is given back")
    [failed] = webhooks(stack, payment_id, "payment.failed")
    assert failed["data"]["failure_code"] == "partial_approval"


def test_a_refund_that_the_gateway_takes_back(stack: Stack, demo: Merchant, ok: str) -> None:
    payment_id = demo.pay(webhook_url=ok, payment_method="tok_refund_reversed")
    webhooks(stack, payment_id, "payment.succeeded")
    refund_id = post(demo, payment_id, "refunds")["refund_id"]
    types = ["payment.succeeded", "refund.created", "refund.succeeded", "payment.refunded"]
    bodies = webhooks(stack, payment_id, *types, "refund.failed", "payment.succeeded")
    failed = of_type(bodies, "refund.failed")
    assert (failed["refund_id"], failed["sequence"], failed["amount"]) == (refund_id, 3, "100.50")
    # By its sequence a receiver knows that the newest state is the last one.
    payments = [body["data"] for body in bodies if body["type"].startswith("payment.")]
    newest = max(payments, key=lambda data: int(data["sequence"]))
    assert (newest["status"], newest["amount_refunded"]) == ("succeeded", "0.00")
    timeline = [entry["type"] for entry in demo.timeline(payment_id)]
    steps = ["refund.created", "refund.succeeded", "payment.refunded", "gateway.refund_reversed", "refund.failed"]
    assert [type_ for type_ in timeline if type_ in steps] == steps
    reversal = next(entry for entry in demo.timeline(payment_id) if entry["type"] == "gateway.refund_reversed")
    assert reversal["details"]["refund_id"] == refund_id


def set_rules(merchant: Merchant, rules: list[dict[str, Any]]) -> None:
    answer = merchant.client.put(
        f"{merchant.api_url}/api/v1/fraud-rules", json={"rules": rules}, headers={"X-API-Key": merchant.api_key}
    )
    assert answer.status_code == httpx.codes.OK, answer.text


@pytest.fixture
def suspect(other: Merchant) -> Iterator[str]:
    """A customer whose payments the other merchant wants to see before they are charged."""
    customer = f"suspect-{uuid.uuid4()}"
    set_rules(other, [{"id": "suspects", "action": "review", "score": 40, "when": {"customer_in": [customer]}}])
    yield customer
    set_rules(other, [])


def test_a_payment_that_waits_for_a_review(stack: Stack, other: Merchant, ok: str, suspect: str) -> None:
    payment_id = other.pay(webhook_url=ok, customer=suspect)
    [held] = webhooks(stack, payment_id, "payment.review")
    assert held["data"]["screening"] == {"decision": "review", "score": 40, "rules": ["suspects"]}
    post(other, payment_id, "approve", note="Known to us.")
    webhooks(stack, payment_id, "payment.review", "payment.succeeded")
    entries = [entry for entry in other.timeline(payment_id) if not entry["type"].startswith(("event.", "webhook."))]
    assert [entry["type"] for entry in entries] == [
        "payment.created",
        "screening.decided",
        "payment.review",
        "review.approved",
        "payment.processing",
        "gateway.attempt_started",
        "gateway.attempt_succeeded",
        "payment.succeeded",
    ]
