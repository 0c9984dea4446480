"""Measures what an operator has to know and nobody else can tell him: the outbox, payments and queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from paybridge.core.clock import Clock
from paybridge.database.database import Database
from paybridge.operations.ports import QueueDepths
from paybridge.outbox.lag import count_outbox_due, relay_lag_seconds
from paybridge.payments.store.stalled import count_stalled

# More than any alarm waits for, and still some milliseconds of counting.
COUNTED_MAX: Final = 10_000
# Each takes a look into the outbox, every minute.
LOOKED_AT_MAX: Final = 1_000
# With the default settings a gateway is asked for the last time after six minutes. A payment that is open for an hour
# is one that a merchant asks about, even if something is on its way for it.
OLD_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """What the database tells; the counts stop at their bounds."""

    outbox_age_seconds: float
    outbox_due: int
    stuck_payments: int


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How many messages wait in each queue, and which queues the broker does not have."""

    depths: dict[str, int]
    missing: list[str]


def measure_database(database: Database, clock: Clock, stuck_after_seconds: float) -> DatabaseFigures:
    """How long the oldest due message waits, how many do, and how many payments do not settle.

    Raises DatabaseUnavailable.
    """
    now = clock.now()
    return DatabaseFigures(
        outbox_age_seconds=relay_lag_seconds(database),
        outbox_due=count_outbox_due(database, COUNTED_MAX),
        stuck_payments=count_stalled(
            database, now - timedelta(seconds=stuck_after_seconds), now - OLD_AFTER, LOOKED_AT_MAX
        ),
    )


async def measure_queues(queue_depths: QueueDepths, queues: Sequence[str]) -> QueueFigures:
    """How much waits in the queues. Raises BrokerUnavailable."""
    depths = await queue_depths.read(queues)
    return QueueFigures(depths, [queue for queue in queues if queue not in depths])
