"""An audit of a busy stack finds nothing of what is healthy, and what is taken away."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from local.stack.seed import OPERATOR_API_KEY
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.servers import address_of
from paybridge.database.database import Database, Statement

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

METHODS = (
    "tok_success",
    "tok_decline",
    "tok_insufficient_funds",
    "tok_flaky",
    "tok_timeout_charged",
    "tok_partial",
    "tok_refund_declined",
)
_LOSE = Statement("DELETE FROM webhook_deliveries WHERE event_id = :id::uuid")


def audited(stack: Stack, begin_at: datetime, **query: Any) -> list[dict[str, Any]]:
    """The gaps of an audit from this time on."""
    gaps: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    end_at = datetime.now(UTC)
    while True:
        answer = httpx.get(
            f"{stack.urls.api}/api/v1/ops/outbox/audit",
            params={"from": begin_at.isoformat(), "to": end_at.isoformat(), **query, **cursor},
            headers={"X-API-Key": OPERATOR_API_KEY},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        gaps += answer.json()["gaps"]
        if answer.json()["complete"]:
            return gaps
        cursor = {"cursor": answer.json()["next_cursor"]}


def about(gaps: list[dict[str, Any]], ids: set[str]) -> list[dict[str, Any]]:
    """Those about these payments and refunds. Other tests break what is theirs."""
    return [gap for gap in gaps if gap["subject"]["id"] in ids]


def test_a_busy_stack_is_healthy_and_a_lost_webhook_is_found(stack: Stack, demo: Merchant) -> None:
    begin_at = datetime.now(UTC)
    hooks = f"{stack.urls.sink}/hooks"
    ids: set[str] = set()
    for number in range(36):
        ids.add(demo.pay(payment_method=METHODS[number % len(METHODS)], webhook_url=hooks))
        if number % 12 == 11:
            # In the middle of all that is under way.
            assert about(audited(stack, begin_at), ids) == []
    refunded = demo.pay(payment_method="tok_success", webhook_url=hooks)
    demo.settled(refunded)
    answer = demo.client.post(
        f"{demo.api_url}/api/v1/payments/{refunded}/refunds",
        json={"amount": "30.00"},
        headers={"X-API-Key": demo.api_key, "Idempotency-Key": str(uuid.uuid4())},
    )
    for payment_id in ids:
        demo.settled(payment_id)
    ids |= {refunded, answer.json()["refund_id"]}
    live.eventually(lambda: len(live.received(stack.urls.sink, refunded)) == 4, "the webhooks of the refund")
    # Without any grace, once all that is theirs has come to its end.
    live.eventually(lambda: about(audited(stack, begin_at, grace_seconds=0), ids) == [], "no gap")

    lost = live.received(stack.urls.sink, refunded)[0]["headers"]["webhook-id"]
    with closing(Database(address_of(stack.urls.postgres))) as database:
        database.run(_LOSE, id=lost)
    (gap,) = about(audited(stack, begin_at, grace_seconds=0), ids)
    assert (gap["kind"], gap["event_id"], gap["consumer"]) == ("webhook_missing", lost, "webhooks")
