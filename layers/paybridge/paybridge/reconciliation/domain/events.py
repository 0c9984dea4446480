"""The event of a break."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from paybridge.core.events import BREAK_SUBJECT, RECONCILIATION_BREAK_FOUND, Event
from paybridge.reconciliation.domain.breaks import StoredBreak, public_break_view


def break_found_event(id_: UUID, day: date, stored: StoredBreak, openings: int, now: datetime) -> Event:
    """Make the event for a break that was found, or found again after it had resolved, for the time `openings`.

    It belongs to the merchant of the payment. Raises ValueError for a break without one.
    """
    found = stored.found
    if found.merchant_id is None:
        raise ValueError("a break without a payment belongs to no merchant")
    return Event(
        id=id_,
        type=RECONCILIATION_BREAK_FOUND,
        payment_id=found.payment_id,
        merchant_id=found.merchant_id,
        correlation_id=str(stored.reconciliation_id),
        time=now,
        data={"date": day.isoformat(), **public_break_view(stored)},
        sequence=openings,
        subject_type=BREAK_SUBJECT,
        subject_id=stored.id,
    )
