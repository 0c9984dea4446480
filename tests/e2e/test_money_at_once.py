"""Requests about one payment's money that come at once, over HTTP: one of them wins, and the gateway agrees."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant

pytestmark = pytest.mark.e2e

REFUNDS = 50
CAPTURES = 20
ROUNDS = 3
TO_RETRY = {"idempotency_key_in_flight", "service_unavailable"}
RETRY_SECONDS_MAX = 60


def order(demo: Merchant, payment_id: str, command: str, body: dict[str, Any], key: str = "") -> httpx.Response:
    """Send the order, again under the same key while the answer asks for it.

    All of them wait for one row, on a busy machine some longer than the database lets them.
    """
    url = f"{demo.api_url}/api/v1/payments/{payment_id}/{command}"
    headers = {"X-API-Key": demo.api_key, "Idempotency-Key": key or str(uuid.uuid4())}
    ends_at = time.monotonic() + RETRY_SECONDS_MAX
    while True:
        answer = demo.client.post(url, json=body, headers=headers)
        if answer.json().get("code") not in TO_RETRY or time.monotonic() > ends_at:
            return answer
        time.sleep(float(answer.headers["Retry-After"]))


def status_at(demo: Merchant, payment_id: str, *statuses: str) -> dict[str, Any]:
    """The payment once it has one of the statuses."""

    def look() -> dict[str, Any] | None:
        payment: dict[str, Any] = demo.get(payment_id, {"Prefer": "wait=5"})
        return payment if payment["status"] in statuses else None

    return live.eventually(look, f"payment {payment_id} at {statuses}")


def done(stack: Stack, payment_id: str) -> list[tuple[str, int]]:
    answer = httpx.get(f"{stack.urls.gateway}/charges", params={"reference": payment_id}, trust_env=False, timeout=30)
    records = answer.raise_for_status().json()
    return [(each["kind"], each["amount_minor"]) for each in records if each["status"] == "succeeded"]


def test_of_fifty_refunds_of_most_of_the_money_one_is_made(stack: Stack, demo: Merchant) -> None:
    payments = [demo.pay(amount="100.00") for _ in range(ROUNDS)]
    for payment_id in payments:
        demo.settled(payment_id)
        with ThreadPoolExecutor(REFUNDS) as pool:
            answers = list(
                pool.map(lambda _, id_=payment_id: order(demo, id_, "refunds", {"amount": "60.00"}), range(REFUNDS))
            )
        codes = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
        assert codes == {(202, None): 1, (422, "amount_exceeds_refundable"): REFUNDS - 1}
    for payment_id in payments:
        assert status_at(demo, payment_id, "partially_refunded")["amount_refunded"] == "60.00"
        assert done(stack, payment_id) == [("charge", 10_000), ("refund", 6_000)]


def test_fifty_requests_with_one_key_are_one_refund(stack: Stack, demo: Merchant) -> None:
    payment_id = demo.pay(amount="100.00")
    demo.settled(payment_id)
    with ThreadPoolExecutor(REFUNDS) as pool:
        answers = list(
            pool.map(lambda _: order(demo, payment_id, "refunds", {"amount": "10.00"}, "the-one-key"), range(REFUNDS))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    status_at(demo, payment_id, "partially_refunded")
    assert done(stack, payment_id) == [("charge", 10_000), ("refund", 1_000)]


def test_of_twenty_captures_and_cancellations_one_is_done(stack: Stack, demo: Merchant) -> None:
    payments = [demo.pay(amount="100.00", capture="manual") for _ in range(ROUNDS)]
    for payment_id in payments:
        status_at(demo, payment_id, "requires_capture")
        with ThreadPoolExecutor(CAPTURES) as pool:
            answers = list(
                pool.map(lambda n, id_=payment_id: order(demo, id_, ("capture", "cancel")[n % 2], {}), range(CAPTURES))
            )
        [won] = [answer.json()["pending_operation"]["type"] for answer in answers if answer.status_code == 202]
        refused = {answer.json()["code"] for answer in answers if answer.status_code == 409}
        assert {answer.status_code for answer in answers} == {202, 409}
        # The gateway may have finished before the last of them came.
        assert refused <= {"operation_in_progress", "payment_not_capturable", "payment_not_cancelable"}
        status, kind = {"capture": ("succeeded", "capture"), "cancel": ("canceled", "void")}[won]
        status_at(demo, payment_id, status)
        assert done(stack, payment_id) == [("authorization", 10_000), (kind, 10_000)]
