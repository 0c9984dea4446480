"""What became of the notifications of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from paybridge.core.events import Event
from paybridge.notifications.domain.notification import Channel


class NotificationOutcome(StrEnum):
    """How an attempt ended, and what follows."""

    SENT = "sent"
    RETRYING = "retrying"
    FAILED = "failed"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationReport:
    """The outcome of one attempt. The contact is left out, because logs are read by many."""

    notification_id: UUID
    event_id: UUID
    payment_id: UUID | None
    correlation_id: str
    channel: Channel
    attempt: int
    outcome: NotificationOutcome
    provider_message_id: str | None
    error: str | None


@dataclass(slots=True)
class BatchReport:
    """What was sent, and the events that the batch could not begin: locked ones, and refused ones with the error.

    `lost` are SMS that stay unclear because the process died that had claimed them.
    """

    sent: list[NotificationReport] = field(default_factory=list)
    lost: list[UUID] = field(default_factory=list)
    locked: list[Event] = field(default_factory=list)
    refused: list[tuple[Event, Exception]] = field(default_factory=list)
