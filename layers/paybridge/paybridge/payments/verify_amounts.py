"""Check that the rows of payments say what their events say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from paybridge.core.findings import Finding, finding_of
from paybridge.core.money import format_places
from paybridge.database.database import Database
from paybridge.payments.store import verifying
from paybridge.payments.store.verifying import StoredBesideEvent

PAGE = 1000
# What a check that is not full looks at.
NEWEST = 5000
_ID_MAX = UUID(int=2**128 - 1)


def verify_amounts(database: Database, *, full: bool) -> Finding:
    """Compare status and amounts of payments with their last event, newest first. Raises DatabaseUnavailable.

    A payment whose events are archived is left out.
    """
    looked_at, checked, before = 0, 0, _ID_MAX
    faults: list[str] = []
    while page := verifying.read_newest(database, before, PAGE):
        for payment in page:
            fault = _fault(payment)
            faults += [f"payment {payment.id}: {fault}"] if fault else []
            checked += payment.event_body is not None
        looked_at, before = looked_at + len(page), page[-1].id
        if not full and looked_at >= NEWEST:
            break
    return finding_of(checked, faults)


def _fault(payment: StoredBesideEvent) -> str | None:
    if payment.event_body is None:
        return None
    if payment.last_sequence != payment.event_sequence:
        return f"its row is at event {payment.last_sequence}, the last event is {payment.event_sequence}"
    told = _data_of(payment.event_body)
    if told is None:
        return "its last event cannot be read"
    stored = {
        "status": payment.status,
        "amount_captured": format_places(payment.captured_minor, payment.places),
        "amount_refunded": format_places(payment.refunded_minor, payment.places),
    }
    for name, value in stored.items():
        if told.get(name) != value:
            return f"{name} is {value} in its row and {told.get(name)} in its last event"
    return None


def _data_of(body: str) -> dict[str, Any] | None:
    """Return what an event says, None if it cannot be read."""
    try:
        data = orjson.loads(body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return data if isinstance(data, dict) else None
