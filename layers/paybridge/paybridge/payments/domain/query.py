"""Queries about payments, and the shapes of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.core.times import format_time, parse_time
from paybridge.payments.domain.payment import Payment, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilters:
    """The payments to list. `created_from` is inclusive, `created_to` exclusive; None matches any."""

    status: Status | None = None
    currency: str | None = None
    customer: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Payments, newest first, and the cursor of the next page; None on the last page."""

    payments: list[Payment]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One step of a payment; `sequence` is set for events only."""

    type: str
    at: datetime
    sequence: int | None
    details: dict[str, Any]


def timeline_view(entry: TimelineEntry) -> dict[str, Any]:
    """Return the entry as answers show it, JSON-ready. Times in `details` end with `_at`, and come as text."""
    details = {
        name: format_time(parse_time(value)) if name.endswith("_at") and value is not None else value
        for name, value in entry.details.items()
    }
    return {"type": entry.type, "at": format_time(entry.at), "sequence": entry.sequence, "details": details}


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message about a payment that is still in the outbox. A command to ask the gateway names an operation."""

    type: str
    routing_key: str
    available_at: datetime
    attempts: int
    last_error: str | None
    operation_id: UUID | None = None
