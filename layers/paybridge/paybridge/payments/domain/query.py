"""What may be asked about payments, and the shape of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from paybridge.payments.domain.payment import Payment, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilters:
    """Which payments to list; `created_from` is inclusive, `created_to` exclusive, None means any."""

    status: Status | None = None
    currency: str | None = None
    customer: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Payments, newest first, and the cursor of the page after them, None when this is the last one."""

    payments: list[Payment]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened to a payment; `sequence` numbers the events among it."""

    type: str
    at: datetime
    sequence: int | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message about a payment that is still in the outbox."""

    type: str
    routing_key: str
    available_at: datetime
    attempts: int
    last_error: str | None
