"""Every magic payment method, through the API to its documented outcome. The gateway's log counts the charges."""

from __future__ import annotations

from typing import Any

import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant

pytestmark = pytest.mark.e2e

# Status, failure code and number of charges, as the README promises them.
OUTCOMES: dict[str, tuple[str, str | None, int]] = {
    "tok_success": ("succeeded", None, 1),
    "tok_decline": ("failed", "card_declined", 0),
    "tok_insufficient_funds": ("failed", "insufficient_funds", 0),
    "tok_fraud": ("failed", "fraud_blocked", 0),
    "tok_slow": ("succeeded", None, 1),
    "tok_flaky": ("succeeded", None, 1),
    "tok_timeout": ("failed", "gateway_timeout", 0),
    "tok_timeout_charged": ("succeeded", None, 1),
    "tok_error": ("failed", "gateway_error", 0),
    "tok_pending": ("succeeded", None, 1),
    "tok_partial": ("failed", "partial_approval", 1),
}
# Three tries of six seconds each, the pauses between them and the lookups.
SETTLED_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def payments(stack: Stack, demo: Merchant) -> dict[str, str]:
    """The id of a payment by each method, all processed at the same time."""
    return {
        method: demo.pay(payment_method=method, webhook_url=f"{stack.urls.sink}/ok/{method}") for method in OUTCOMES
    }


@pytest.mark.parametrize("method", OUTCOMES)
def test_ends_as_documented(stack: Stack, demo: Merchant, payments: dict[str, str], method: str) -> None:
    status, failure_code, charged = OUTCOMES[method]
    payment = demo.settled(payments[method], SETTLED_SECONDS_MAX)
    assert (payment["status"], payment["failure_code"]) == (status, failure_code)
    assert payment["amount_captured"] == ("100.50" if status == "succeeded" else "0.00")
    webhook = live.webhook(stack.urls.sink, payments[method])
    assert webhook["verified"] is True
    assert webhook["body"]["type"] == f"payment.{status}"
    assert webhook["body"]["data"]["failure_code"] == failure_code
    assert len(live.charges(stack.urls.gateway, payments[method])) == charged


def test_a_quick_answer_does_not_wait_for_a_slow_one(demo: Merchant, payments: dict[str, str]) -> None:
    ends = {method: settled_at(demo, payments[method]) for method in ("tok_success", "tok_slow")}
    assert ends["tok_success"] < ends["tok_slow"]


def settled_at(demo: Merchant, payment_id: str) -> Any:
    demo.settled(payment_id, SETTLED_SECONDS_MAX)
    return next(entry["at"] for entry in demo.timeline(payment_id) if entry["type"] == "payment.succeeded")
