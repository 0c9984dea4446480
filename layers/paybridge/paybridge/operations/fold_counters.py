"""Move what transactions have counted into the counters, so that reading them stays quick."""

from __future__ import annotations

from paybridge.database import counters
from paybridge.database.database import Database

# Small enough to be quick. Some batches move what a busy minute leaves, and what was left while the jobs were down.
BATCH_ROWS = 20_000
BATCHES_MAX = 20


def fold_counters(database: Database) -> int:
    """Move the rows and return how many. Raises DatabaseUnavailable and LockTimeout."""
    folded = 0
    for _ in range(BATCHES_MAX):
        batch = counters.fold(database, BATCH_ROWS)
        folded += batch
        if batch < BATCH_ROWS:
            break
    return folded
