"""Read events, and wait for the next ones."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from paybridge.core.errors import InvalidInput
from paybridge.core.events import PUBLIC_TYPES
from paybridge.database.database import Database
from paybridge.feed import store
from paybridge.feed.domain import START, FeedEvent, FeedFilters, FeedPage, Position
from paybridge.payments.wait import WaitedFor, Waiter

# With filters the feed is read in windows, so that one request never reads a merchant's whole history.
WINDOW_EVENTS = 500
WINDOWS_MAX = 20


def read_event(database: Database, merchant_id: UUID | None, event_id: UUID) -> FeedEvent | None:
    """Return the merchant's event, None if the merchant has no such event. Raises DatabaseUnavailable.

    Without a merchant it is the event of any.
    """
    return store.find(database, merchant_id, event_id, PUBLIC_TYPES)


def position_after(database: Database, merchant_id: UUID | None, event_id: UUID | None) -> Position:
    """Return where the feed goes on after the event, the start without one.

    Raises InvalidInput (`cursor_invalid`) if the merchant has no such event, and DatabaseUnavailable.
    """
    if event_id is None:
        return START
    found = store.find_position(database, merchant_id, event_id)
    if found is None:
        raise cursor_invalid()
    return found


def end_of_feed(database: Database) -> Position:
    """Return the position from which the feed goes on with what is new. Raises DatabaseUnavailable."""
    return store.find_end(database)


def cursor_invalid() -> InvalidInput:
    """Return the error for a cursor that is not an event of this feed."""
    detail = "There is no such event in this feed. Send the event_id of the last event that you read, or none."
    return InvalidInput("cursor_invalid", detail, "after")


def read_page(
    database: Database, merchant_id: UUID | None, filters: FeedFilters, after: Position, limit: int
) -> FeedPage:
    """Return the merchant's events that match, oldest first, at most `limit` after the position.

    Without a merchant they are the events of all. If only few match, a page may have fewer than `limit` events, or
    none, although more may follow. Raises DatabaseUnavailable.
    """
    size = max(limit + 1, WINDOW_EVENTS) if _is_narrow(filters) else limit + 1
    events: list[FeedEvent] = []
    end = after
    for _ in range(WINDOWS_MAX):
        window = store.scan(database, merchant_id, filters, end, size)
        for position, event in window:
            if event is not None and len(events) == limit:
                return FeedPage(end, events, has_more=True)
            end = position
            if event is not None:
                events.append(event)
        if len(window) < size:
            return FeedPage(end, events)
    return FeedPage(end, events, has_more=True)


async def wait_for_events(
    waiter: Waiter,
    merchant_id: UUID | None,
    filters: FeedFilters,
    *,
    after: Position,
    limit: int,
    wait_seconds: float,
) -> WaitedFor[FeedPage]:
    """Return the next page once it has an event, or an empty one after `wait_seconds`; see `Waiter.until`."""
    return await waiter.until(
        lambda page: bool(page.events), reader(waiter.database, merchant_id, filters, after, limit), wait_seconds
    )


def reader(
    database: Database, merchant_id: UUID | None, filters: FeedFilters, after: Position, limit: int
) -> Callable[[], FeedPage]:
    """Return a function that reads the next page, and goes on after it when it is called again."""
    end = after

    def read() -> FeedPage:
        nonlocal end
        page = read_page(database, merchant_id, filters, end, limit)
        end = page.end
        return page

    return read


def _is_narrow(filters: FeedFilters) -> bool:
    return filters.types != PUBLIC_TYPES or filters.created_from is not None or filters.created_to is not None
