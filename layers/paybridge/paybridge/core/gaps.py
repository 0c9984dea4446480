"""Gaps that an audit of the outbox finds: a change without its event, an event that was lost on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

_BITS_AFTER_TIME = 80


class GapKind(StrEnum):
    """What is missing. A subject is a payment, a refund, a payout or a webhook endpoint."""

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
    BRIDGE_MISSING = "bridge_missing"


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


def gap_from(view: dict[str, Any]) -> Gap:
    """Return the gap of which this is the view."""
    return Gap(
        kind=GapKind(view["kind"]),
        subject_type=view["subject"]["type"],
        subject_id=UUID(view["subject"]["id"]),
        event_id=_id(view["event_id"]),
        event_type=view["event_type"],
        merchant_id=_id(view["merchant_id"]),
        consumer=view["consumer"],
        detail=view["detail"],
    )


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


class SubjectSlice(NamedTuple):
    """The next subjects above `after` and below `end`, at most `limit`.

    The range of the audit begins at `begin_at`. Events with ids below `kept_from` may be archived.
    """

    after: UUID
    end: UUID
    limit: int
    begin_at: datetime
    kept_from: UUID

    def until(self, count: int, last: UUID | None) -> UUID:
        """Return up to which id the slice goes that has `count` subjects, the last of them `last`.

        Events of subjects that do not exist lie between those that do, and after the last one.
        """
        return UUID(int=self.end.int - 1) if last is None or count < self.limit else last

    def audited(self, count: int, last: UUID | None, gaps: list[Gap]) -> AuditedPart:
        """Return what was found in the slice that has `count` subjects, the last of them `last`."""
        return AuditedPart(count, None if count < self.limit else last, gaps)


@dataclass(frozen=True, slots=True)
class AuditedPart:
    """How many subjects were compared, the id of the last one (None if there are no more), and the gaps."""

    count: int
    last: UUID | None
    gaps: list[Gap]


class AuditedEvent(NamedTuple):
    """An event that a consumer should have worked on. `messages` brought it; none if it was published itself."""

    id: UUID
    type: str
    merchant_id: UUID
    subject_type: str
    subject_id: UUID
    detail: str
    messages: tuple[UUID, ...] = ()


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
