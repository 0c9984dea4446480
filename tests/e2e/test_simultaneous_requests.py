"""Many requests at once with one idempotency key: one payment."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant

pytestmark = pytest.mark.e2e

REQUESTS = 50
ORDER = {"amount": "12.34", "currency": "EUR", "payment_method": "tok_success"}


def post_at_once(demo: Merchant, keys: list[str]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(keys)) as pool:
        return list(pool.map(lambda key: demo.post(key, ORDER), keys))


def test_fifty_requests_with_one_key_make_one_payment(stack: Stack, demo: Merchant) -> None:
    answers = post_at_once(demo, [str(uuid.uuid4())] * REQUESTS)
    assert {answer.status_code for answer in answers} <= {202, 409}
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert len({answer.content for answer in accepted}) == 1
    assert Counter("idempotency-replayed" in answer.headers for answer in accepted)[False] == 1
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 409)
    payment_id = accepted[0].json()["payment_id"]
    assert demo.settled(payment_id)["status"] == "succeeded"
    assert len(live.charges(stack.urls.gateway, payment_id)) == 1


def test_fifty_requests_with_keys_of_their_own_make_fifty_payments(demo: Merchant) -> None:
    answers = post_at_once(demo, [str(uuid.uuid4()) for _ in range(REQUESTS)])
    assert {answer.status_code for answer in answers} == {202}
    ids = {answer.json()["payment_id"] for answer in answers}
    assert len(ids) == REQUESTS
    assert {demo.settled(payment_id)["status"] for payment_id in ids} == {"succeeded"}


def test_one_key_with_another_body_is_refused(demo: Merchant) -> None:
    key = str(uuid.uuid4())
    assert demo.post(key, ORDER).status_code == 202
    assert demo.post(key, {**ORDER, "amount": "12.35"}).status_code == 422


def test_one_key_of_two_merchants_makes_two_payments(demo: Merchant, other: Merchant) -> None:
    key = str(uuid.uuid4())
    ids = [merchant.post(key, ORDER).json()["payment_id"] for merchant in (demo, other)]
    assert ids[0] != ids[1]
