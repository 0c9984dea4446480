"""Read the timeline of one payment."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from paybridge.core.money import format_places, stored_places
from paybridge.database.database import Database
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.domain.timeline import in_causal_order
from paybridge.payments.store import queries as payment_queries


def payment_timeline(database: Database, merchant_id: UUID | None, payment_id: UUID) -> list[TimelineEntry] | None:
    """Return everything that happened to the merchant's payment, None if there is no such payment.

    Without a merchant it is the payment of any. Causes come before their effects, and otherwise the oldest entries
    first. Raises DatabaseUnavailable.
    """
    payment = payment_queries.get(database, merchant_id, payment_id)
    return None if payment is None else timeline_of(database, payment)


def timeline_of(database: Database, payment: Payment) -> list[TimelineEntry]:
    """Return everything that happened to the payment, like `payment_timeline`. Raises DatabaseUnavailable."""
    entries = payment_queries.timeline(database, payment.merchant_id, payment.id)
    return in_causal_order(_with_amounts(entry, payment) for entry in entries)


def _with_amounts(entry: TimelineEntry, payment: Payment) -> TimelineEntry:
    """Return the entry with decimal amounts in place of minor units."""
    details = dict(entry.details)
    currency = details.get("currency", payment.currency)
    places = payment.currency_places if currency == payment.currency else stored_places(currency)
    for name in ("amount", "approved"):
        minor = details.pop(f"{name}_minor", None)
        if minor is not None:
            details[name] = format_places(minor, places)
    return replace(entry, details=details)
