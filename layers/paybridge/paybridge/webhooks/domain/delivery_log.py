"""The delivery log: what was sent to a merchant, and how each attempt ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.times import format_time
from paybridge.webhooks.domain.states import DeliveryStatus


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """One attempt. `excerpt` is the beginning of the receiver's answer, at most 256 characters."""

    number: int
    status: str
    response_status: int | None
    error: str | None
    excerpt: str | None
    duration_ms: int | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDelivery:
    """An event on its way to one receiver. `attempt_count` counts the attempts that were started."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    endpoint_id: UUID | None
    event_id: UUID
    event_type: str
    url: str
    correlation_id: str
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class EndedDelivery(NamedTuple):
    """A delivery that has ended. `currency` is that of what the webhook told about, None if it has none."""

    id: UUID
    merchant_id: UUID
    created_at: datetime
    ended_at: datetime
    status: str
    currency: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery with all its attempts, and the exact text that is sent."""

    delivery: LoggedDelivery
    body: str
    attempts: Sequence[LoggedAttempt]


@dataclass(frozen=True, slots=True)
class ListedDelivery:
    """A delivery with its newest attempt; None before the first."""

    delivery: LoggedDelivery
    last_attempt: LoggedAttempt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilters:
    """The deliveries to list; None matches any."""

    status: DeliveryStatus | None = None
    event_type: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Deliveries, those of the newest events first, and the cursor of the next page; None on the last page."""

    deliveries: list[ListedDelivery]
    next_cursor: str | None


def delivery_view(delivery: LoggedDelivery) -> dict[str, Any]:
    """Return the delivery as answers show it, JSON-ready, without its attempts."""
    return {
        "delivery_id": str(delivery.id),
        "endpoint_id": _text(delivery.endpoint_id),
        "payment_id": _text(delivery.payment_id),
        "event_id": str(delivery.event_id),
        "event_type": delivery.event_type,
        "url": delivery.url,
        "status": delivery.status,
        "attempt_count": delivery.attempt_count,
        "next_attempt_at": _time(delivery.next_attempt_at),
        "created_at": format_time(delivery.created_at),
        "finished_at": _time(delivery.finished_at),
    }


def listed_view(listed: ListedDelivery) -> dict[str, Any]:
    """Return the delivery as lists show it, JSON-ready, with its newest attempt."""
    last = listed.last_attempt
    return {**delivery_view(listed.delivery), "last_attempt": None if last is None else attempt_view(last)}


def record_view(record: DeliveryRecord) -> dict[str, Any]:
    """Return the delivery as it is shown alone, JSON-ready, with its body and every attempt, the first one first."""
    attempts = [attempt_view(attempt) for attempt in record.attempts]
    last = attempts[-1] if attempts else None
    return {**delivery_view(record.delivery), "last_attempt": last, "body": record.body, "attempts": attempts}


def attempt_view(attempt: LoggedAttempt) -> dict[str, Any]:
    """Return the attempt as answers show it, JSON-ready."""
    return {
        "number": attempt.number,
        "status": attempt.status,
        "response_status": attempt.response_status,
        "error": attempt.error,
        "response_excerpt": attempt.excerpt,
        "duration_ms": attempt.duration_ms,
        "started_at": format_time(attempt.started_at),
        "finished_at": _time(attempt.finished_at),
    }


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
