"""A replay on the whole stack, while payments go on: nothing is delivered and no contact is notified a second time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.stack.seed import OPERATOR_API_KEY
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from tests.e2e.test_notifications import mails_about, refund

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


def ask(stack: Stack, method: str, path: str = "", **body: Any) -> dict[str, Any]:
    answer = httpx.request(
        method,
        f"{stack.urls.api}/api/v1/ops/replays{path}",
        json=body or None,
        headers={"X-API-Key": OPERATOR_API_KEY},
        trust_env=False,
    )
    assert answer.status_code in (httpx.codes.OK, httpx.codes.ACCEPTED), answer.text
    found: dict[str, Any] = answer.json()
    return found


def finished(stack: Stack, replay: dict[str, Any]) -> dict[str, Any]:
    return live.eventually(
        lambda: (found := ask(stack, "GET", f"/{replay['replay_id']}"))["state"] == "finished" and found,
        "the end of the replay",
    )


def webhooks(stack: Stack, payment_id: str) -> list[str]:
    """The ids of the webhooks about a payment, in their order."""
    return [each["headers"]["webhook-id"] for each in live.received(stack.urls.sink, payment_id)]


def test_consumers_do_nothing_about_what_they_know(stack: Stack, demo: Merchant) -> None:
    begin_at = datetime.now(UTC) - timedelta(seconds=2)
    order = {"payment_method": "tok_success", "webhook_url": f"{stack.urls.sink}/hooks"}
    payments = [demo.pay(**order) for _ in range(3)]
    for payment_id in payments:
        demo.settled(payment_id)
        live.webhook(stack.urls.sink, payment_id)
    refund_id = refund(demo, payments[0])
    live.eventually(lambda: mails_about(stack, refund_id), "the e-mail about the refund")
    # Of the payment: succeeded and partially_refunded. Of the refund: created and succeeded.
    live.eventually(lambda: len(webhooks(stack, payments[0])) == 4, "the webhooks about the refund")
    before = {payment_id: webhooks(stack, payment_id) for payment_id in payments}
    wanted = {"from": begin_at.isoformat(), "rate_per_second": 20}
    for consumer in ("webhooks", "notifications"):
        dry = finished(stack, ask(stack, "POST", consumer=consumer, dry_run=True, **wanted))
        assert dry["would"]["send"] >= 6
        replay = ask(stack, "POST", consumer=consumer, **wanted)
        meanwhile = demo.pay(**order)
        assert finished(stack, replay)["sent"] >= 6
        demo.settled(meanwhile)
    # What comes after the replayed events in both queues shows that the consumers have had them.
    last = refund(demo, paid(stack, demo, order))
    live.eventually(lambda: mails_about(stack, last), "an e-mail after the replay")
    assert len(mails_about(stack, refund_id)) == 1
    assert {payment_id: webhooks(stack, payment_id) for payment_id in payments} == before


def paid(stack: Stack, demo: Merchant, order: dict[str, Any]) -> str:
    """The id of a payment that has succeeded, as its webhook says."""
    payment_id = demo.pay(**order)
    demo.settled(payment_id)
    live.webhook(stack.urls.sink, payment_id)
    return payment_id
