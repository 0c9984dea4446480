"""Finds webhooks that nothing is on its way for any more, and sends them on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from paybridge.core.clock import Clock
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.webhooks.store.stuck import LostEvent, StuckDelivery, lock_lost_events, lock_stuck_deliveries

SWEEP_ROWS_MAX: Final = 500
# Several runs look at the same window, so that this bounds a run and not what can be found.
ROUNDS_MAX: Final = 20
# Events without a delivery are looked for at these ages beyond the usual one, and not among a whole day's events every
# minute: a message that was dead-lettered after hours is found a few hours later.
LATER_AGES: Final = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
# What is looked at each time; several runs, one a minute, look at the same events, so that some of them may fail.
WINDOW: Final = timedelta(minutes=5)

Swept = StuckDelivery | LostEvent


@dataclass(frozen=True, slots=True)
class SweptWebhooks:
    """What was sent on: deliveries that had been begun, and events that had none."""

    deliveries: list[StuckDelivery]
    events: list[LostEvent]


def sweep_webhooks(database: Database, clock: Clock, ids: Ids, stuck_after_seconds: float) -> SweptWebhooks:
    """Writes a command for every overdue delivery and for every outcome event that never became one.

    This is the net below the webhooks' queues, as `sweep_stalled` is that of the payments. A delivery is made once for
    each event and URL and knows what was tried, so a command too many does no harm. Raises DatabaseUnavailable.
    """
    now = clock.now()
    after = timedelta(seconds=stuck_after_seconds)
    with database.transaction() as transaction:
        stuck = lock_stuck_deliveries(transaction, now - after, SWEEP_ROWS_MAX)
        outbox.add(transaction, [_deliver(ids, one, now, {"delivery_id": str(one.id)}) for one in stuck])
    lost = [event for age in (after, *LATER_AGES) for event in _send_lost(database, ids, now, now - age, now - after)]
    return SweptWebhooks(stuck, lost)


def _send_lost(
    database: Database, ids: Ids, now: datetime, newest: datetime, published_before: datetime
) -> list[LostEvent]:
    """Sends on all lost events of one window, some hundred in a transaction: what it leaves is not looked at again."""
    lost: list[LostEvent] = []
    for _ in range(ROUNDS_MAX):
        with database.transaction() as transaction:
            found = lock_lost_events(transaction, newest - WINDOW, newest, published_before, SWEEP_ROWS_MAX)
            outbox.add(transaction, [_deliver(ids, one, now, {"event_id": str(one.id)}) for one in found])
        lost += found
        if len(found) < SWEEP_ROWS_MAX:
            break
    return lost


def _deliver(ids: Ids, about: Swept, now: datetime, data: dict[str, object]) -> Event:
    return Event(
        id=ids.new(),
        type=DELIVER_WEBHOOK,
        payment_id=about.payment_id,
        merchant_id=about.merchant_id,
        correlation_id=about.correlation_id,
        time=now,
        data=data,
    )
