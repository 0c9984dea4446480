"""What the feed shows: events by type, in pages that end at a position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.event_patterns import is_pattern, matches
from paybridge.core.events import PUBLIC_TYPES
from paybridge.core.times import format_time
from paybridge.payments.domain.payment import Payment, Status, is_settled


class Position(NamedTuple):
    """A place in the feed: the number of an event's transaction, and its id."""

    xid: int
    event_id: UUID

    def __str__(self) -> str:
        """Return the position as text, which `parse_position` reads."""
        return f"{self.xid}:{self.event_id}"


START = Position(0, UUID(int=0))


def parse_position(text: str) -> Position:
    """Return the position that `str` made the text of. Raises ValueError."""
    xid, _, event_id = text.partition(":")
    return Position(int(xid), UUID(event_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFilters:
    """The events to show. `created_from` is inclusive, `created_to` exclusive; None matches any."""

    types: tuple[str, ...] = PUBLIC_TYPES
    payment_id: UUID | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event of the feed. `sequence` counts the events of its subject."""

    position: Position
    type: str
    created_at: datetime
    subject_type: str
    subject_id: UUID
    sequence: int
    data: Mapping[str, Any]

    @property
    def id(self) -> UUID:
        """Return the event's id."""
        return self.position.event_id


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events, oldest first. `end` is how far the feed was read, and with `has_more` more may follow at once."""

    end: Position
    events: list[FeedEvent] = field(default_factory=list)
    has_more: bool = False

    def first(self, count: int) -> FeedPage:
        """Return the page that ends with its event number `count`, or the page itself if it has no more."""
        if count >= len(self.events):
            return self
        return FeedPage(self.events[count - 1].position, self.events[:count], has_more=True)


def matching_types(patterns: str) -> tuple[str, ...]:
    """Return the types that one of the patterns chooses, which commas separate; none if one of them is no pattern."""
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    if not all(map(is_pattern, wanted)):
        return ()
    return tuple(type_ for type_ in PUBLIC_TYPES if matches(wanted, type_))


def event_view(event: FeedEvent) -> dict[str, Any]:
    """Return the event as answers and streams show it, JSON-ready."""
    return {
        "event_id": str(event.id),
        "type": event.type,
        "created_at": format_time(event.created_at),
        "subject": {"type": event.subject_type, "id": str(event.subject_id)},
        "sequence": event.sequence,
        "data": event.data,
    }


def is_final(payment: Payment) -> bool:
    """Tell whether nothing more happens to the payment before a refund is asked for or returned."""
    return is_settled(payment) and payment.status is not Status.REQUIRES_CAPTURE and payment.refunding_minor == 0
