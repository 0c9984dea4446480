"""Clear the answers of old idempotency keys. The keys stay taken forever."""

from __future__ import annotations

from datetime import timedelta

from paybridge.core.clock import Clock
from paybridge.database.database import Database
from paybridge.payments.store import answers

ANSWER_KEPT = timedelta(hours=24)
# Small enough to be quick; a few batches clear what a day's peak leaves for each run.
BATCH_ROWS = 5_000
BATCHES_MAX = 20


def expire_answers(database: Database, clock: Clock) -> int:
    """Clear the answers older than ANSWER_KEPT and return how many. Raises DatabaseUnavailable."""
    before = clock.now() - ANSWER_KEPT
    expired = 0
    for _ in range(BATCHES_MAX):
        batch = answers.expire_answers(database, before, BATCH_ROWS)
        expired += batch
        if batch < BATCH_ROWS:
            break
    return expired
