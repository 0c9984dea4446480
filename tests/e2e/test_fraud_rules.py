"""Fraud rules on the whole stack: from the API through relay and consumer to webhooks, and never to the gateway."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.stack.seed import OPERATOR_API_KEY
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant, eventually

pytestmark = pytest.mark.e2e

# Only these customers are screened: other tests share the merchant.
CUSTOMER, SUSPECT = f"e2e-{uuid.uuid4()}", f"e2e-{uuid.uuid4()}"
RULES = [
    {"id": "suspect", "action": "review", "score": 30, "when": {"customer_in": [SUSPECT]}},
    {
        "id": "often",
        "action": "block",
        "score": 60,
        "when": {
            "customer_in": [CUSTOMER],
            "velocity": {"per": "customer", "window_seconds": 600, "count_gte": 3},
        },
    },
]


def send(stack: Stack, merchant: Merchant, method: str, path: str, members: Any, **headers: str) -> httpx.Response:
    sent = {"X-API-Key": merchant.api_key, **headers}
    return merchant.client.request(method, f"{stack.urls.api}/api/v1/{path}", json=members, headers=sent)


@pytest.fixture(scope="module", autouse=True)
def rules(stack: Stack, other: Merchant) -> Iterator[None]:
    assert send(stack, other, "PUT", "fraud-rules", {"rules": RULES}).status_code == 200
    yield
    assert send(stack, other, "PUT", "fraud-rules", {"rules": []}).status_code == 200


def test_payments_beyond_a_limit_are_blocked_and_not_charged(stack: Stack, other: Merchant) -> None:
    paid = [other.pay(customer=CUSTOMER, webhook_url=f"{stack.urls.sink}/ok/fraud") for _ in range(8)]
    payments = [other.settled(payment_id) for payment_id in paid]
    ends = [(payment["status"], payment["failure_code"]) for payment in payments]
    assert sorted(ends, key=str) == [("failed", "fraud_blocked")] * 5 + [("succeeded", None)] * 3
    for payment in payments:
        is_blocked = payment["failure_code"] == "fraud_blocked"
        assert len(live.charges(stack.urls.gateway, payment["payment_id"])) == (0 if is_blocked else 1)
        assert payment["screening"]["decision"] == ("block" if is_blocked else "allow")
        assert live.webhook(stack.urls.sink, payment["payment_id"])["body"]["type"] == f"payment.{payment['status']}"


@pytest.mark.parametrize(("action", "status"), [("approve", "succeeded"), ("reject", "failed")])
def test_a_review_waits_for_its_answer(stack: Stack, other: Merchant, action: str, status: str) -> None:
    payment_id = other.pay(customer=SUSPECT, webhook_url=f"{stack.urls.sink}/ok/fraud")
    eventually(lambda: other.get(payment_id)["status"] == "review", "the payment waits for a review")
    assert live.webhook(stack.urls.sink, payment_id)["body"]["type"] == "payment.review"
    operator = Merchant(stack.urls.api, OPERATOR_API_KEY, other.client)
    waiting = send(stack, operator, "GET", "ops/reviews", None).json()["data"]
    assert payment_id in [payment["payment_id"] for payment in waiting]
    assert live.charges(stack.urls.gateway, payment_id) == []
    answered = send(
        stack, operator, "POST", f"payments/{payment_id}/{action}", {"note": "e2e"}, **{"Idempotency-Key": payment_id}
    )
    assert answered.status_code == 202
    assert other.settled(payment_id)["status"] == status
    assert len(live.charges(stack.urls.gateway, payment_id)) == (1 if status == "succeeded" else 0)
    entries = [entry["type"] for entry in other.timeline(payment_id)]
    steps = [type_ for type_ in entries if not type_.startswith(("event.", "webhook."))]
    done = {"approve": "review.approved", "reject": "review.rejected"}[action]
    assert steps[:4] == ["payment.created", "screening.decided", "payment.review", done]


def test_rules_are_tried_on_past_payments(stack: Stack, other: Merchant) -> None:
    members = {"rules": RULES, "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    answer = send(stack, other, "POST", "fraud-rules/dry-run", members)
    assert answer.status_code in {200, 202}

    def look() -> Any:
        dry_run = other.client.get(
            f"{stack.urls.api}{answer.headers['location']}", headers={"X-API-Key": other.api_key}
        ).json()
        return dry_run if dry_run["state"] == "finished" else None

    dry_run = eventually(look, "the dry run is finished")
    assert (dry_run["checked"], dry_run["progress"]) == (dry_run["total"], 1.0)
    assert (dry_run["rules"]["often"], dry_run["rules"]["suspect"]) == (5, 2)
