"""Many payments at once: all are accepted in the end, charged once and told of once, and nothing grows for it."""

from __future__ import annotations

import httpx
import pytest

from bench.flash_sale import hold, report
from bench.target import target_of
from local.stack.stack import Stack

pytestmark = pytest.mark.e2e

PAYMENTS = 500


def test_five_hundred_at_once_are_all_accepted_charged_once_and_told_once(stack: Stack) -> None:
    sale = hold(target_of(stack.settings), PAYMENTS, lambda _: None)
    sale.onlooker.close()
    accepted = {one.payment_id for one in sale.tally.accepted}
    assert len(accepted) == PAYMENTS
    assert sale.verdict.faults() == {}
    assert sale.verdict.statuses == {"succeeded": PAYMENTS}
    # More than the front lets in at once: some were refused, and told when to come again.
    assert set(sale.tally.statuses) <= {202, 409, 503}
    assert sale.tally.statuses[503] > 0
    assert sale.tally.silent_refusals == 0
    assert "lost, doubled or undelivered    none" in report(sale, PAYMENTS)


def test_the_judge_finds_what_is_lost_and_what_is_doubled(stack: Stack) -> None:
    """A judge that finds nothing wrong with anything would pass every sale."""
    target = target_of(stack.settings)
    sale = hold(target, 2, lambda _: None)
    first, second = (one.payment_id for one in sale.tally.accepted)
    again = {"reference": first, "amount_minor": 10050, "currency": "RUB", "payment_method": "tok_success"}
    headers = {"Idempotency-Key": f"again-{first}"}
    httpx.post(
        f"{target.gateway_url}/charges", json=again, headers=headers, trust_env=False, timeout=30
    ).raise_for_status()
    never = "00000000-0000-7000-8000-000000000000"
    verdict = sale.onlooker.judge({first, second, never})
    sale.onlooker.close()
    assert verdict.faults() == {"not found": [never], "charged twice": [first], "without webhook": [never]}
