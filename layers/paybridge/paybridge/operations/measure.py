"""Metrics only we can measure: outbox, stalled payments, dead letters, queue depths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from paybridge.core.clock import Clock
from paybridge.database.database import Database
from paybridge.dead_letters.store.counting import count_dead
from paybridge.operations.ports import QueueDepths
from paybridge.outbox.lag import count_outbox_due, relay_lag_seconds
from paybridge.payments.store.open_operations import OpenOperation, find_old
from paybridge.payments.store.stalled import count_stalled

# Above the threshold of every alarm, and counted within milliseconds.
COUNTED_MAX = 10_000
# Each one costs a look-up in the outbox every minute.
LOOKED_AT_MAX = 1_000
# With the default settings the gateway is asked for the last time after six minutes. A payment that is open for an hour
# needs attention, even if a message is in flight.
OLD_AFTER = timedelta(hours=1)
# The gateway is asked for a capture, a void or a refund each hour. After a day a person should ask its operator, and
# after a week also if the gateway says that it will decide later.
OPERATION_OLD_AFTER = timedelta(days=1)
PENDING_OLD_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """The state of the outbox, of payments, operations and dead letters. The counts stop at their limits."""

    outbox_age_seconds: float
    outbox_due: int
    stalled_payments: int
    dead_letters: int
    old_operations: list[OpenOperation]


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The depth of each queue, and the queues that the broker does not have."""

    depths: dict[str, int]
    missing: list[str]


def measure_database(database: Database, clock: Clock, stalled_after_seconds: float) -> DatabaseFigures:
    """Measure the age of the oldest due message, count what is due, stalled or dead, and find operations open for long.

    Raises DatabaseUnavailable.
    """
    now = clock.now()
    return DatabaseFigures(
        outbox_age_seconds=relay_lag_seconds(database),
        outbox_due=count_outbox_due(database, COUNTED_MAX),
        stalled_payments=count_stalled(
            database, now - timedelta(seconds=stalled_after_seconds), now - OLD_AFTER, LOOKED_AT_MAX
        ),
        dead_letters=count_dead(database, COUNTED_MAX),
        old_operations=find_old(database, now - OPERATION_OLD_AFTER, now - PENDING_OLD_AFTER, LOOKED_AT_MAX),
    )


async def measure_queues(queue_depths: QueueDepths, queues: Sequence[str]) -> QueueFigures:
    """Read the depths of the queues. Raises BrokerUnavailable."""
    depths = await queue_depths.read(queues)
    return QueueFigures(depths, [queue for queue in queues if queue not in depths])
