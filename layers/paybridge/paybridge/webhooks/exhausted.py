"""Tell the payment's history that a webhook was given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from paybridge.core.ids import Ids
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.webhooks.attempts import DeliveryAttempt
from paybridge.webhooks.domain.webhook_events import webhook_exhausted
from paybridge.webhooks.store import payments


def record_exhausted(transaction: Transaction, ids: Ids, attempts: Sequence[DeliveryAttempt], now: datetime) -> None:
    """Add a `webhook.exhausted` fact for each delivery whose last attempt this was.

    A delivery about no payment, or about one that no longer exists, as after a restore, has no history to tell.
    """
    payment_ids = [attempt.delivery.payment_id for attempt in attempts if attempt.delivery.payment_id is not None]
    if not payment_ids:
        return
    sequences = payments.take_sequences(transaction, Counter(payment_ids))
    facts = []
    for attempt in attempts:
        delivery = attempt.delivery
        if delivery.payment_id is None or delivery.payment_id not in sequences:
            continue
        sequence = sequences[delivery.payment_id]
        sequences[delivery.payment_id] -= 1
        data = {
            "delivery_id": str(delivery.id),
            "event_id": str(delivery.event_id),
            "event_type": delivery.event_type,
            "url": delivery.url,
            "attempts": attempt.number,
        }
        facts.append(webhook_exhausted(ids.new(), delivery, now, data, sequence))
    outbox.add(transaction, facts)
