"""CloudEvents as the queues carry them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from paybridge.core.events import Event


def an_envelope(**changes: Any) -> dict[str, Any]:
    """Return the envelope of a payment's event, with these attributes changed."""
    event = Event(
        id=uuid4(),
        type="payment.succeeded",
        payment_id=UUID(int=1),
        merchant_id=UUID(int=2),
        correlation_id="c",
        time=datetime(2026, 11, 21, tzinfo=UTC),
        data={},
        sequence=1,
    )
    return {**event.envelope(), **changes}
