"""A payout: money that a merchant orders from what is available to it, until it is paid or has failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.events import PAYOUT_CREATED, PAYOUT_FAILED, PAYOUT_PAID, PAYOUT_SUBJECT, Event
from paybridge.core.money import format_places
from paybridge.core.times import format_time


class PayoutStatus(StrEnum):
    """The state of a payout."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


class PayoutOutcome(StrEnum):
    """How an operator says that a payout ended."""

    PAID = "paid"
    FAILED = "failed"


_EVENT_TYPES = {
    PayoutStatus.PENDING: PAYOUT_CREATED,
    PayoutStatus.PAID: PAYOUT_PAID,
    PayoutStatus.FAILED: PAYOUT_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """One payout as the database holds it; `amount_minor` is in minor units with so many `places`."""

    id: UUID
    merchant_id: UUID
    currency: str
    places: int
    amount_minor: int
    status: PayoutStatus
    failure_reason: str | None
    correlation_id: str
    last_sequence: int
    created_at: datetime
    updated_at: datetime


class PayoutKey(NamedTuple):
    """The key under which a payout is ordered, and the SHA-256 of what is asked for."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutFilters:
    """The payouts to list. `created_from` is inclusive, `created_to` exclusive; None matches any."""

    status: PayoutStatus | None = None
    currency: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class PayoutPage:
    """Payouts, newest first, and the cursor of the next page; None on the last page."""

    payouts: list[Payout]
    next_cursor: str | None


def payout_view(payout: Payout) -> dict[str, Any]:
    """Return the payout as answers, events and webhooks show it: JSON-ready, the amount as a decimal string."""
    return {
        "payout_id": str(payout.id),
        "status": str(payout.status),
        "amount": format_places(payout.amount_minor, payout.places),
        "currency": payout.currency,
        "failure_reason": payout.failure_reason,
        "created_at": format_time(payout.created_at),
        "updated_at": format_time(payout.updated_at),
    }


def payout_event(id_: UUID, payout: Payout) -> Event:
    """Make the event for the present state of the payout, numbered by its last sequence."""
    return Event(
        id=id_,
        type=_EVENT_TYPES[payout.status],
        payment_id=None,
        merchant_id=payout.merchant_id,
        correlation_id=payout.correlation_id,
        time=payout.updated_at,
        sequence=payout.last_sequence,
        data=payout_view(payout),
        subject_type=PAYOUT_SUBJECT,
        subject_id=payout.id,
    )
