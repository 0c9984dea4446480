"""Bring the figures of days up to date.

The work is done in slices, each one transaction. A slice takes the next events of one merchant, or the next webhook
deliveries that have ended, over into the projections and moves the cursor, or it computes days that have changed.
Wherever a process dies, the next run goes on from the cursors. Two runs at once are safe: each cursor and each day is
held by one of them, and the other passes by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from paybridge.analytics.close_months import close_months
from paybridge.analytics.ports import AnalyticsServices
from paybridge.analytics.store import aggregates, cursors, projection
from paybridge.analytics.store.projection import ReadEvents
from paybridge.core.errors import LockTimeout
from paybridge.outbox import event_log

SLICE_EVENTS = 5_000
SLICE_DELIVERIES = 5_000
# Days and payments that are computed in one transaction, which takes about a second at the most.
SLICE_DAYS = 200
SLICE_PAYMENTS = 200_000
MERCHANTS_PAGE = 500


@dataclass(slots=True)
class Updated:
    """What a run has done. `is_up_to_date`: nothing is left but what others hold, and days that rest.

    `late_days` are days of closed months about which something came, and which did not change. `deleted` are the rows
    of closed months that were deleted.
    """

    events: int = 0
    deliveries: int = 0
    days: int = 0
    late_days: int = 0
    deleted: int = 0
    is_up_to_date: bool = False


def update_analytics(
    services: AnalyticsServices, seconds_max: float, monotonic: Callable[[], float] = time.monotonic
) -> Updated:
    """Do slices until everything is up to date or the seconds are over. Raises DatabaseUnavailable.

    A third of the time at least is for computing, so that figures appear while a long history is still being read.
    """
    began_at = monotonic()
    updated = Updated()

    def is_left(share: float) -> bool:
        return monotonic() - began_at < seconds_max * share

    has_read = _read_events(services, updated, lambda: is_left(1 / 2))
    has_read = _read_deliveries(services, updated, lambda: is_left(2 / 3)) and has_read
    updated.is_up_to_date = _compute(services, updated, lambda: is_left(1)) and has_read
    updated.deleted = close_months(services, lambda: is_left(1))
    return updated


def _read_events(services: AnalyticsServices, updated: Updated, has_time: Callable[[], bool]) -> bool:
    """Take over the events of all merchants; return whether that was all of them."""
    for merchant_id in _merchants_with_news(services):
        while True:
            if not has_time():
                return False
            with suppress(LockTimeout):
                read = _take_over_events(services, merchant_id)
                updated.events += read.events
                updated.late_days += read.late
                if read.events == SLICE_EVENTS:
                    continue
            break
    return True


def _merchants_with_news(services: AnalyticsServices) -> Iterator[UUID]:
    after = UUID(int=0)
    while found := event_log.merchants_with_events(services.database, after, MERCHANTS_PAGE):
        yield from event_log.merchants_with_news(services.database, cursors.positions(services.database, found))
        after = found[-1]


def _take_over_events(services: AnalyticsServices, merchant_id: UUID) -> ReadEvents:
    with services.database.transaction() as transaction:
        position = cursors.lock(transaction, merchant_id)
        if position is None:
            return ReadEvents(event_log.START, 0, 0)
        read = projection.take_over_events(transaction, merchant_id, position, SLICE_EVENTS)
        cursors.save(transaction, merchant_id, read.end, read.events)
    return read


def _read_deliveries(services: AnalyticsServices, updated: Updated, has_time: Callable[[], bool]) -> bool:
    """Take over the deliveries that have ended; return whether that was all of them."""
    count = SLICE_DELIVERIES
    while count == SLICE_DELIVERIES:
        if not has_time():
            return False
        count = 0
        with suppress(LockTimeout):
            count = _take_over_deliveries(services, updated)
        updated.deliveries += count
    return True


def _take_over_deliveries(services: AnalyticsServices, updated: Updated) -> int:
    with services.database.transaction() as transaction:
        position = cursors.lock_deliveries(transaction)
        if position is None:
            return 0
        ended = services.deliveries.next_after(transaction, position, SLICE_DELIVERIES)
        if ended:
            updated.late_days += projection.take_over_deliveries(transaction, ended)
            cursors.save_deliveries(transaction, ended[-1])
    return len(ended)


def _compute(services: AnalyticsServices, updated: Updated, has_time: Callable[[], bool]) -> bool:
    """Compute the days that have changed; return whether those were all that are not held or at rest."""
    while has_time():
        with services.database.transaction() as transaction:
            keys = aggregates.lock_dirty(transaction, SLICE_DAYS, SLICE_PAYMENTS)
            if not keys:
                return True
            aggregates.compute(transaction, keys)
        updated.days += len(keys)
    return False
