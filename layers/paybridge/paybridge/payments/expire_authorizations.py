"""Release authorizations that were not captured in time."""

from __future__ import annotations

from datetime import timedelta

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Database
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.operation import OperationRef
from paybridge.payments.store import expired_authorizations

# A batch, and how many of them a job does at a time.
BATCH_ROWS = 500
BATCHES_MAX = 20
# How long a release that the gateway declined is left to a person before it is tried again.
DECLINED_WAIT = timedelta(days=1)


def expire_authorizations(database: Database, clock: Clock, ids: Ids) -> list[OperationRef]:
    """Begin to release every authorization whose time to capture has passed; return the operations.

    The payment is canceled once the gateway has released it, so a capture that the gateway made before is never lost. A
    payment that a capture or a cancellation holds is left to that, and one that the gateway did not release waits for
    DECLINED_WAIT. Raises DatabaseUnavailable and LockTimeout.
    """
    released: list[OperationRef] = []
    for _ in range(BATCHES_MAX):
        batch = _expire_batch(database, clock, ids)
        released += batch
        if len(batch) < BATCH_ROWS:
            break
    return released


def _expire_batch(database: Database, clock: Clock, ids: Ids) -> list[OperationRef]:
    now = clock.now()
    with database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        expired = expired_authorizations.lock(transaction, now, now - DECLINED_WAIT, BATCH_ROWS)
        if not expired:
            return []
        voids = [(each.payment_id, ids.new()) for each in expired]
        operations = expired_authorizations.release(transaction, voids, now)
        outbox.add(transaction, [run_operation_command(ids.new(), each, now) for each in operations])
    return operations
