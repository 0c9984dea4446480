"""The database is stopped and started while payments are posted: nothing accepted is lost, nothing is made twice."""

from __future__ import annotations

import time
import uuid

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.receiver import running_receiver
from tests.support.faults import assert_each_is_charged_once_and_notified, database_away

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

BEFORE, DURING = 10, 5
# Longer than a queue goes on returning messages at a return a second: its delivery limit is three.
OUTAGE_SECONDS = 10


def order_to(url: str) -> dict[str, str]:
    return {"amount": "9.99", "currency": "EUR", "webhook_url": url}


def posted_until_accepted(demo: Merchant, key: str, order: dict[str, str]) -> httpx.Response:
    def look() -> httpx.Response | None:
        answer = demo.post(key, order)
        return answer if answer.status_code == 202 else None

    return live.eventually(look, "accepted again")


def test_answers_are_honest_and_every_accepted_payment_settles(
    stack: Stack, demo: Merchant, slow_gateway: None
) -> None:
    order = order_to(f"{stack.urls.sink}/ok/database")
    answers = {}
    for key in [str(uuid.uuid4()) for _ in range(BEFORE)]:
        answers[key] = demo.post(key, order)
    with database_away(stack):
        for key in [str(uuid.uuid4()) for _ in range(DURING)]:
            answers[key] = demo.post(key, order)
    assert {answer.status_code for answer in answers.values()} == {202, 503}
    for answer in answers.values():
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
    made = {}
    for key, first in answers.items():
        again = posted_until_accepted(demo, key, order)
        assert first.status_code == 503 or again.content == first.content
        made[key] = again.json()["payment_id"]
    assert len(set(made.values())) == BEFORE + DURING
    assert_each_is_charged_once_and_notified(stack, demo, made.values(), 45)


def test_an_outage_longer_than_the_queues_patience_loses_no_webhook(stack: Stack, demo: Merchant) -> None:
    with running_receiver(hanging=True) as receiver:
        first = demo.pay(webhook_url=receiver.url)
        live.eventually(lambda: receiver.requests, "the first webhook")
        payment_ids = [demo.pay(webhook_url=f"{stack.urls.sink}/ok/outage") for _ in range(BEFORE)]
        for payment_id in payment_ids:
            demo.settled(payment_id)
        with database_away(stack):
            receiver.open.set()
            outage_ends = time.monotonic() + OUTAGE_SECONDS
            while time.monotonic() < outage_ends:
                assert demo.post(str(uuid.uuid4()), order_to(receiver.url)).status_code == 503
                time.sleep(0.5)
        assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 45)

        def delivered() -> bool:
            kinds = [entry["type"] for entry in demo.timeline(first)]
            return "webhook.attempt_delivered" in kinds

        live.eventually(delivered, "the first webhook is on record as delivered")
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
