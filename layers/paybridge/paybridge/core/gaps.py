"""Gaps that an audit of the outbox finds: a change without its event, an event that was lost on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BITS_AFTER_TIME = 80


class GapKind(StrEnum):
    """What is missing. A subject is a payment or a refund."""

    # The subject has changed, and the log has no event of it at all.
    NO_EVENTS = "no_events"
    # The newest events of the subject are missing.
    LAST_EVENT_MISSING = "last_event_missing"
    # The log has events of the subject that its row knows nothing of.
    EVENT_AHEAD = "event_ahead"
    # An event between two others of the subject is missing.
    SEQUENCE_HOLE = "sequence_hole"
    # Two events of the subject have the same number.
    SEQUENCE_TWICE = "sequence_twice"
    # The row is in another state than the last event says.
    STATE_DIFFERS = "state_differs"
    # There are events, and no such subject.
    NO_SUBJECT = "no_subject"
    # The row of the outbox is due, and was never offered to the broker.
    NOT_PUBLISHED = "not_published"
    # The broker refuses it.
    REFUSED = "refused"
    # The event was published, and its consumer has neither worked on it nor dead-lettered it.
    WEBHOOK_MISSING = "webhook_missing"
    NOTIFICATION_MISSING = "notification_missing"
    JOURNAL_MISSING = "journal_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One gap. `detail` says what was expected and what is there."""

    kind: GapKind
    subject_type: str
    subject_id: UUID
    detail: str
    event_id: UUID | None = None
    event_type: str | None = None
    merchant_id: UUID | None = None
    consumer: str | None = None

    def view(self) -> dict[str, Any]:
        """Return the gap as operators see it, JSON-ready."""
        return {
            "kind": str(self.kind),
            "subject": {"type": self.subject_type, "id": str(self.subject_id)},
            "event_id": _text(self.event_id),
            "event_type": self.event_type,
            "merchant_id": _text(self.merchant_id),
            "consumer": self.consumer,
            "detail": self.detail,
        }


class IdRange(NamedTuple):
    """Ids above `after`, up to and including `last`."""

    after: UUID
    last: UUID

    @property
    def moments(self) -> tuple[UUID, UUID]:
        """Return the range of all ids made in the same milliseconds: from the first on, below the second.

        What follows from an event, such as its webhook, has an id of the same millisecond.
        """
        first, last = self.after.int >> _BITS_AFTER_TIME, self.last.int >> _BITS_AFTER_TIME
        return UUID(int=first << _BITS_AFTER_TIME), UUID(int=(last + 1) << _BITS_AFTER_TIME)


class AuditedEvent(NamedTuple):
    """An event that a consumer should have worked on."""

    id: UUID
    type: str
    merchant_id: UUID
    subject_type: str
    subject_id: UUID
    detail: str


def lowest_id(time: datetime) -> UUID:
    """Return the lowest UUIDv7 of that millisecond."""
    return UUID(int=max(0, (time - _EPOCH) // timedelta(milliseconds=1)) << _BITS_AFTER_TIME)


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)
