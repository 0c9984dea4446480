"""Wait for the database before a batch, so that an outage of seconds is over before the batch is tried."""

from __future__ import annotations

import time
from datetime import datetime

from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.retry import backoff_seconds
from paybridge.database import health
from paybridge.database.database import Database

PAUSE_SECONDS_MIN = 0.2
PAUSE_SECONDS_MAX = 2.0


def await_database(database: Database, patience_seconds: float) -> datetime:
    """Return the database's time as soon as it answers; raise DatabaseUnavailable without an answer in time.

    A batch that fails returns to its queue and is redelivered at once. Without this wait an outage would be a stream of
    failing batches.
    """
    give_up_at = time.monotonic() + patience_seconds
    failures = 0
    while True:
        try:
            return health.ping(database)
        except DatabaseUnavailable:
            failures += 1
            pause_seconds = backoff_seconds(failures, PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX)
            if time.monotonic() + pause_seconds > give_up_at:
                raise
            time.sleep(pause_seconds)
