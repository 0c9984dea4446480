"""Every magic method of captures and refunds, through the API to its documented outcome.

The gateway's own log counts what happened to the money.
"""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant

pytestmark = pytest.mark.e2e

# Three tries of six seconds each, the pauses between them and the look-ups.
SETTLED_SECONDS_MAX = 90
# The job that sweeps runs once a minute, and an expired authorization may wait for it.
SWEPT_SECONDS_MAX = 150


class Money:
    """A payment of 100.50 and what is done to it."""

    def __init__(self, stack: Stack, merchant: Merchant, method: str, capture: str = "automatic") -> None:
        self.stack = stack
        self.merchant = merchant
        self.id = merchant.pay(payment_method=method, capture=capture)

    def payment(self) -> dict[str, Any]:
        found: dict[str, Any] = self.merchant.get(self.id)
        return found

    def is_at(self, *statuses: str, seconds_max: float = SETTLED_SECONDS_MAX) -> dict[str, Any]:
        """The payment once it has one of the statuses."""

        def look() -> dict[str, Any] | None:
            found = self.payment()
            return found if found["status"] in statuses else None

        return live.eventually(look, f"payment {self.id} at {statuses}", seconds_max)

    def command(self, name: str, **body: Any) -> dict[str, Any]:
        answer = self.merchant.client.post(
            f"{self.merchant.api_url}/api/v1/payments/{self.id}/{name}",
            json=body,
            headers={"X-API-Key": self.merchant.api_key, "Idempotency-Key": str(uuid.uuid4())},
        )
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def refund_at(self, refund_id: str, *statuses: str) -> dict[str, Any]:
        """The refund once it has one of the statuses."""

        def look() -> dict[str, Any] | None:
            answer = self.merchant.client.get(
                f"{self.merchant.api_url}/api/v1/refunds/{refund_id}",
                headers={"X-API-Key": self.merchant.api_key, "Prefer": "wait=5"},
            )
            found: dict[str, Any] = answer.raise_for_status().json()
            return found if found["status"] in statuses else None

        return live.eventually(look, f"refund {refund_id} at {statuses}", SETTLED_SECONDS_MAX)

    def done(self) -> list[tuple[str, int]]:
        """What the gateway's log says was done, oldest first."""
        answer = httpx.get(
            f"{self.stack.urls.gateway}/charges", params={"reference": self.id}, trust_env=False, timeout=30
        )
        records = answer.raise_for_status().json()
        return [(each["kind"], each["amount_minor"]) for each in records if each["status"] == "succeeded"]

    def does(self, *expected: tuple[str, int]) -> None:
        """The log holds exactly this in the end."""
        live.eventually(lambda: self.done() == list(expected), f"{expected} at the gateway", SETTLED_SECONDS_MAX)


class TestCaptures:
    def test_a_part_is_captured_and_the_rest_released(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_success", "manual")
        assert money.is_at("requires_capture")["amount_capturable"] == "100.50"
        assert money.command("capture", amount="60.00")["pending_operation"]["amount"] == "60.00"
        captured = money.is_at("succeeded")
        assert (captured["amount_captured"], captured["amount_capturable"]) == ("60.00", "0.00")
        assert money.done() == [("authorization", 10050), ("capture", 6000)]

    def test_a_declined_capture_fails_the_payment_and_releases_the_hold(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_capture_declined", "manual")
        money.is_at("requires_capture")
        money.command("capture")
        assert money.is_at("failed")["failure_code"] == "capture_declined"
        money.does(("authorization", 10050), ("void", 10050))

    def test_a_hold_that_expires_is_canceled(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_authorization_expires", "manual")
        money.is_at("requires_capture", "canceled")
        canceled = money.is_at("canceled", seconds_max=SWEPT_SECONDS_MAX)
        assert canceled["failure_code"] == "authorization_expired"
        assert money.done() == [("authorization", 10050)]

    def test_a_canceled_hold_is_released(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_success", "manual")
        money.is_at("requires_capture")
        money.command("cancel")
        money.is_at("canceled")
        assert money.done() == [("authorization", 10050), ("void", 10050)]

    def test_a_hold_of_a_part_is_released(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_partial", "manual")
        assert money.is_at("failed")["failure_code"] == "partial_approval"
        money.does(("authorization", 8040), ("void", 8040))

    def test_a_hold_that_is_decided_later_can_be_captured(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_pending", "manual")
        money.is_at("requires_capture")
        money.command("capture")
        assert money.is_at("succeeded")["amount_captured"] == "100.50"
        assert money.done() == [("authorization", 10050), ("capture", 10050)]


class TestRefunds:
    @pytest.mark.parametrize(
        ("method", "status", "failure_code", "is_refunded"),
        [
            ("tok_success", "succeeded", None, True),
            ("tok_refund_declined", "failed", "refund_declined", False),
            ("tok_refund_timeout", "failed", "gateway_timeout", False),
            ("tok_refund_timeout_done", "succeeded", None, True),
        ],
    )
    def test_ends_as_documented(
        self, stack: Stack, demo: Merchant, method: str, status: str, failure_code: str | None, is_refunded: bool
    ) -> None:
        money = Money(stack, demo, method)
        money.is_at("succeeded")
        refund = money.refund_at(money.command("refunds", amount="30.00")["refund_id"], "succeeded", "failed")
        assert (refund["status"], refund["failure_code"]) == (status, failure_code)
        payment = money.is_at("partially_refunded" if is_refunded else "succeeded")
        assert payment["amount_refunded"] == ("30.00" if is_refunded else "0.00")
        assert money.done() == [("charge", 10050), *([("refund", 3000)] if is_refunded else [])]

    def test_a_refund_that_is_taken_back_fails_after_it_succeeded(self, stack: Stack, demo: Merchant) -> None:
        money = Money(stack, demo, "tok_refund_reversed")
        money.is_at("succeeded")
        refund_id = money.command("refunds")["refund_id"]
        money.refund_at(refund_id, "succeeded", "failed")
        money.refund_at(refund_id, "failed")
        payment = money.is_at("succeeded")
        assert payment["amount_refunded"] == "0.00"
        assert money.done() == [("charge", 10050), ("refund", 10050), ("refund_reversal", 10050)]
        types = [entry["type"] for entry in demo.timeline(money.id)]
        assert types.index("payment.refunded") < len(types) - 1 - types[::-1].index("payment.succeeded")
