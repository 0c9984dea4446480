"""Re-queue payments, operations and checks whose message was lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from paybridge.core.clock import Clock
from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import (
    find_late_charge_command,
    process_payment_command,
    run_operation_command,
)
from paybridge.payments.store.late_charge_checks import OverdueCheck, lock_overdue
from paybridge.payments.store.open_operations import OpenOperation, lock_stalled_operations
from paybridge.payments.store.stalled import StalledPayment, lock_stalled

SWEEP_ROWS_MAX = 500


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


def sweep_late_charge_checks(
    database: Database, clock: Clock, ids: Ids, overdue_after_seconds: float
) -> list[OverdueCheck]:
    """Write a command for every check for a late charge that is overdue for so long; return the checks.

    At most SWEEP_ROWS_MAX are taken at a time. Raises DatabaseUnavailable.
    """
    now = clock.now()
    with database.transaction() as transaction:
        overdue = lock_overdue(transaction, overdue_after_seconds, SWEEP_ROWS_MAX)
        commands = [
            find_late_charge_command(ids.new(), check.payment_id, check.merchant_id, check.correlation_id, now)
            for check in overdue
        ]
        outbox.add(transaction, commands)
    return overdue


def _next_attempt(ids: Ids, payment: StalledPayment, now: datetime) -> Event:
    number = payment.attempts + 1
    return process_payment_command(ids.new(), payment.id, payment.merchant_id, payment.correlation_id, now, number)
