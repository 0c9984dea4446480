"""Finds payments that nothing is on its way for any more, and sends them on."""

from __future__ import annotations

from datetime import datetime, timedelta

from paybridge.core.clock import Clock
from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import process_payment_command
from paybridge.payments.store.stuck import StuckPayment, lock_stuck

SWEEP_ROWS_MAX = 500


def sweep_stuck(database: Database, clock: Clock, ids: Ids, stuck_after_seconds: float) -> list[StuckPayment]:
    """Writes a command for every payment that has been `pending` or `processing` for too long, and returns these.

    This is the net below the queues: a message that was dead-lettered, purged or lost with its broker leaves the
    payment behind. What the command makes happen is decided by the attempts on record, so one too many does no harm.
    Raises DatabaseUnavailable.
    """
    now = clock.now()
    with database.transaction() as transaction:
        stuck = lock_stuck(transaction, now, timedelta(seconds=stuck_after_seconds), SWEEP_ROWS_MAX)
        outbox.add(transaction, [_send_on(ids, payment, now) for payment in stuck])
    return stuck


def _send_on(ids: Ids, payment: StuckPayment, now: datetime) -> Event:
    return process_payment_command(
        ids.new(), payment.id, payment.merchant_id, payment.correlation_id, now, payment.attempts + 1
    )
