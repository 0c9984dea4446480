"""Replays on the whole stack, while payments go on: nothing is delivered, notified or posted a second time."""

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

# Of no other test, so that its balance is that of the test.
CURRENCY = "GEL"


def ask(stack: Stack, method: str, path: str = "", **body: Any) -> dict[str, Any]:
    answer = httpx.request(
        method,
        f"{stack.urls.api}/api/v1/ops/replays{path}",
        json=body or None,
        headers={"X-API-Key": OPERATOR_API_KEY},
        trust_env=False,
        timeout=30,
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


def test_the_books_stay_as_they_are_and_only_the_ledger_hears_of_it(stack: Stack, demo: Merchant) -> None:
    order = {"payment_method": "tok_success", "webhook_url": f"{stack.urls.sink}/hooks", "currency": CURRENCY}
    payments = [paid(stack, demo, order) for _ in range(3)]
    refund_id = refund(demo, payments[0])
    live.eventually(lambda: mails_about(stack, refund_id), "the e-mail about the refund")
    live.eventually(lambda: len(webhooks(stack, payments[0])) == 4, "the webhooks about the refund")
    # Three payments of 100.50 less a refund of 30.00.
    at_balance(demo, "271.50")
    told = {payment_id: (webhooks(stack, payment_id), mails_about(stack, payment_id)) for payment_id in payments}
    booked = {payment_id: entries(demo, payment_id) for payment_id in payments}
    assert [len(each) for each in booked.values()] == [2, 1, 1]

    # From the first payment's event to that of the refund, which is the newest: it is of the range a microsecond later.
    times = sorted(time for payment_id in payments for time in published_at(demo, payment_id))
    begin_at, end_at = times[0], times[-1]
    just_after = end_at + timedelta(microseconds=1)
    counts = [
        finished(stack, ask(stack, "POST", consumer="ledger", dry_run=True, **between(first, last)))["would"]["send"]
        for first, last in (
            *((begin_at, end_at), (begin_at, just_after)),
            *((begin_at + timedelta(microseconds=1), just_after), (end_at, just_after)),
        )
    ]
    at_end = times.count(end_at)
    assert counts[1] - counts[0] == at_end == counts[3]
    assert counts[1] - counts[2] == times.count(begin_at)
    assert counts[1] >= len(times)

    for number in (1, 2):
        replay = ask(stack, "POST", consumer="ledger", rate_per_second=20, **between(begin_at, just_after))
        demo.pay(**order)
        assert finished(stack, replay)["sent"] == counts[1]
        # It comes after the replayed events in the queue.
        paid(stack, demo, order)
        at_balance(demo, f"{271.5 + number * 2 * 100.5:.2f}")
    assert {payment_id: entries(demo, payment_id) for payment_id in payments} == booked
    for payment_id in payments:
        assert (webhooks(stack, payment_id), mails_about(stack, payment_id)) == told[payment_id]


def between(begin_at: datetime, end_at: datetime) -> dict[str, str]:
    """The range of a replay."""
    return {"from": begin_at.isoformat(), "to": end_at.isoformat()}


def read(demo: Merchant, path: str, **query: str) -> list[dict[str, Any]]:
    answer = demo.client.get(f"{demo.api_url}/api/v1/{path}", params=query, headers={"X-API-Key": demo.api_key})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return found


def at_balance(demo: Merchant, available: str) -> None:
    """Wait until so much is available."""
    wanted = {"currency": CURRENCY, "pending": "0.00", "available": available, "reserved": "0.00"}
    live.eventually(lambda: wanted in read(demo, "balances"), f"the balance {wanted}")


def entries(demo: Merchant, payment_id: str) -> list[dict[str, Any]]:
    return read(demo, "ledger/entries", payment_id=payment_id)


def published_at(demo: Merchant, payment_id: str) -> list[datetime]:
    """When those events of a payment and its refunds happened that the ledger's queue gets."""
    events = read(demo, "events", payment_id=payment_id, limit="100")
    steps = ("payment.created", "payment.processing")
    return [datetime.fromisoformat(each["created_at"]) for each in events if each["type"] not in steps]


def paid(stack: Stack, demo: Merchant, order: dict[str, Any]) -> str:
    """The id of a payment that has succeeded, as its webhook says."""
    payment_id = demo.pay(**order)
    demo.settled(payment_id)
    live.webhook(stack.urls.sink, payment_id)
    return payment_id
