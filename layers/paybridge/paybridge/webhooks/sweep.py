"""Re-queue stalled deliveries, and outcome events that never became a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.store.stalled import LostEvent, StalledDelivery, lock_lost_events, lock_stalled_deliveries

SWEEP_ROWS_MAX = 500
# Several runs look at the same window, so this limits one run and not what can be found.
ROUNDS_MAX = 20
# Lost events are searched for at these ages beside the usual one, instead of among a whole day's events every minute:
# a message that was dead-lettered after hours is found a few hours later.
LATER_AGES = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
# How much of the past one run searches. Runs a minute apart overlap, so some of them may fail.
WINDOW = timedelta(minutes=5)

Swept = StalledDelivery | LostEvent


@dataclass(frozen=True, slots=True)
class SweptWebhooks:
    """The stalled deliveries and the lost events that were re-queued."""

    deliveries: list[StalledDelivery]
    events: list[LostEvent]


def sweep_webhooks(database: Database, clock: Clock, ids: Ids, stalled_after_seconds: float) -> SweptWebhooks:
    """Write a command for every stalled delivery and every lost event.

    This is the safety net of the webhooks' queues, as `sweep_stalled` is that of payments. A delivery exists once for
    each event and receiver and records its attempts, so a superfluous command does no harm. Raises DatabaseUnavailable.
    """
    now = clock.now()
    after = timedelta(seconds=stalled_after_seconds)
    with database.transaction() as transaction:
        stalled = lock_stalled_deliveries(transaction, now - after, SWEEP_ROWS_MAX)
        commands = [
            deliver_webhook(
                ids.new(), delivery, now, {"delivery_id": str(delivery.id)}, subject_id=delivery.endpoint_id
            )
            for delivery in stalled
        ]
        outbox.add(transaction, commands)
    ages = (after, *LATER_AGES)
    lost = [event for age in ages for event in _requeue_lost(database, ids, now, now - age, now - after)]
    return SweptWebhooks(stalled, lost)


def _requeue_lost(
    database: Database, ids: Ids, now: datetime, newest: datetime, published_before: datetime
) -> list[LostEvent]:
    """Re-queue the lost events of one window, some hundred in a transaction. No later run searches this window."""
    lost: list[LostEvent] = []
    for _ in range(ROUNDS_MAX):
        with database.transaction() as transaction:
            found = lock_lost_events(transaction, newest - WINDOW, newest, published_before, SWEEP_ROWS_MAX)
            commands = [deliver_webhook(ids.new(), event, now, {"event_id": str(event.id)}) for event in found]
            outbox.add(transaction, commands)
        lost += found
        if len(found) < SWEEP_ROWS_MAX:
            break
    return lost
