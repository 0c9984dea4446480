"""A merchant's day in figures, from payments over the whole stack, and a capture that comes late."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack.seed import STAFF_API_KEYS
from local.stack.stack import Stack
from local.testkit.live import Merchant, eventually, merchant, webhook

pytestmark = pytest.mark.e2e

SECONDS_MAX = 90


@contextmanager
def new_shop(stack: Stack) -> Iterator[Merchant]:
    """A merchant whose days nothing else changes."""
    with httpx.Client(base_url=f"{stack.urls.api}/api/v1/ops", timeout=20, trust_env=False) as client:
        client.headers["X-API-Key"] = STAFF_API_KEYS["admin"]
        created = client.post("/merchants", json={"name": "Shop"}, headers={"Idempotency-Key": str(uuid.uuid4())})
        merchant_id = created.raise_for_status().json()["merchant_id"]
        key = client.post(
            "/api-keys",
            json={"role": "merchant", "merchant_id": merchant_id},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
    with merchant(stack, key.raise_for_status().json()["api_key"]) as one:
        yield one


@pytest.fixture
def payments(stack: Stack) -> Iterator[Payments]:
    """Payments and a webhook of one day, which takes another merchant if midnight has come between them."""
    while True:
        with new_shop(stack) as shop:
            made = Payments.made(stack, shop)
            if made.began_on_one_day(stack):
                yield made
                return


@dataclass(frozen=True, slots=True)
class Payments:
    """A payment that succeeds, one that fails and one that is authorized, of a merchant that has no others."""

    shop: Merchant
    paid: str
    failed: str
    held: str

    @classmethod
    def made(cls, stack: Stack, shop: Merchant) -> Payments:
        return cls(
            shop,
            paid=shop.pay(webhook_url=f"{stack.urls.sink}/ok/analytics-{uuid.uuid4()}"),
            failed=shop.pay(payment_method="tok_decline"),
            held=shop.pay(capture="manual", amount="40.00"),
        )

    def began_on_one_day(self, stack: Stack) -> bool:
        moments = [self.shop.get(payment_id)["created_at"] for payment_id in (self.paid, self.failed, self.held)]
        moments.append(webhook(stack.urls.sink, self.paid)["received_at"])
        return len({moment[:10] for moment in moments}) == 1


def updated(stack: Stack, shop: Merchant, wanted: dict[str, Any]) -> dict[str, Any]:
    """The merchant's only day once it has these figures. The function wakes every minute, and here at once."""
    invoke = f"http://127.0.0.1:{stack.settings.lambda_port}/2015-03-31/functions/LongJobsFunction/invocations"

    def look() -> dict[str, Any] | None:
        # At its concurrency limit it refuses, and what runs already does the work.
        httpx.post(invoke, content=b"{}", timeout=120, trust_env=False)
        days = days_of(shop).json()["data"]
        return days[0] if days and {name: days[0][name] for name in wanted} == wanted else None

    return eventually(look, f"figures {wanted}", SECONDS_MAX)


def days_of(shop: Merchant, accept: str = "application/json") -> httpx.Response:
    headers = {"X-API-Key": shop.api_key, "Accept": accept}
    answer = shop.client.get(f"{shop.api_url}/api/v1/analytics/daily", headers=headers)
    return answer.raise_for_status()


def test_a_day_counts_what_happened_and_changes_with_a_late_capture(stack: Stack, payments: Payments) -> None:
    shop = payments.shop
    counted = {"payments": 3, "succeeded": 1, "failed": 1, "authorized": 1, "open": 0, "webhooks_delivered": 1}
    day = updated(stack, shop, counted)
    assert (day["amount"], day["volume"], day["refunded"]) == ("241.00", "100.50", "0.00")
    assert (day["failure_rate"], day["webhook_success_rate"]) == (0.333333, 1.0)
    assert 0 <= day["processing_p50_seconds"] <= day["processing_p95_seconds"]

    captured = shop.client.post(
        f"{shop.api_url}/api/v1/payments/{payments.held}/capture",
        headers={"X-API-Key": shop.api_key, "Idempotency-Key": str(uuid.uuid4())},
        json={"amount": "15.00"},
    )
    captured.raise_for_status()
    day = updated(stack, shop, {"payments": 3, "succeeded": 2, "authorized": 0, "volume": "115.50"})
    (row,) = csv.DictReader(io.StringIO(days_of(shop, "text/csv").text, newline=""))
    assert (row["day"], row["volume"], row["succeeded"]) == (day["day"], "115.50", "2")
