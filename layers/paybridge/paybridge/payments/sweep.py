"""Re-queue payments and operations whose message was lost, and send the checks of those that have ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from paybridge.core.clock import Clock
from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import (
    find_late_change_command,
    process_payment_command,
    run_operation_command,
)
from paybridge.payments.domain.operation import OperationRef
from paybridge.payments.store import late_checks
from paybridge.payments.store.open_operations import OpenOperation, lock_stalled_operations
from paybridge.payments.store.stalled import StalledPayment, lock_stalled

SWEEP_ROWS_MAX = 500
# Every refund is asked about several times in its first weeks, so there are more of these than of what stalls.
CHECKS_MAX = 20_000


def sweep_stalled(database: Database, clock: Clock, ids: Ids, stalled_after_seconds: float) -> list[StalledPayment]:
    """Write a command for every payment that stalled for longer than `stalled_after_seconds`; return the payments.

    This is the net below the queues: a message that was dead-lettered, purged or lost with its broker leaves its
    payment open. The recorded attempts decide what a command does, so a superfluous one is harmless. At most
    SWEEP_ROWS_MAX payments are taken at a time. Raises DatabaseUnavailable.
    """
    now = clock.now()
    with database.transaction() as transaction:
        stalled = lock_stalled(transaction, now, timedelta(seconds=stalled_after_seconds), SWEEP_ROWS_MAX)
        outbox.add(transaction, [_next_attempt(ids, payment, now) for payment in stalled])
    return stalled


def sweep_stalled_operations(
    database: Database, clock: Clock, ids: Ids, stalled_after_seconds: float
) -> list[OpenOperation]:
    """Write a command for every capture, void and refund that stalled for so long; return the operations.

    At most SWEEP_ROWS_MAX are taken at a time. Raises DatabaseUnavailable.
    """
    now = clock.now()
    with database.transaction() as transaction:
        before = now - timedelta(seconds=stalled_after_seconds)
        stalled = lock_stalled_operations(transaction, before, SWEEP_ROWS_MAX)
        outbox.add(transaction, [run_operation_command(ids.new(), each, now, each.number + 1) for each in stalled])
    return stalled


def send_late_checks(database: Database, clock: Clock, ids: Ids) -> list[OperationRef]:
    """Write a command for every check that is due of an operation that has ended; return the operations.

    One whose message is lost is due again soon. At most CHECKS_MAX are sent at a time, in batches. Raises
    DatabaseUnavailable.
    """
    sent: list[OperationRef] = []
    while len(sent) < CHECKS_MAX:
        with database.transaction() as transaction:
            batch = late_checks.send_due(transaction, SWEEP_ROWS_MAX)
            now = clock.now()
            outbox.add(transaction, [find_late_change_command(ids.new(), each, now) for each in batch])
        sent += batch
        if len(batch) < SWEEP_ROWS_MAX:
            break
    return sent


def _next_attempt(ids: Ids, payment: StalledPayment, now: datetime) -> Event:
    number = payment.attempts + 1
    return process_payment_command(ids.new(), payment.id, payment.merchant_id, payment.correlation_id, now, number)
