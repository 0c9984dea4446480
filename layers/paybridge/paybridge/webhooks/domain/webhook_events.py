"""The commands and facts that webhooks write to the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from paybridge.core.events import (
    DELIVER_WEBHOOK,
    PAYMENT_SUBJECT,
    WEBHOOK_ENDPOINT_SUBJECT,
    WEBHOOK_EXHAUSTED,
    Event,
    EventOrigin,
)


def deliver_webhook(
    id_: UUID, subject: EventOrigin, time: datetime, data: Mapping[str, object], *, subject_id: UUID | None = None
) -> Event:
    """Return the command to deliver what `data` names by `delivery_id` or `event_id`.

    `subject_id` is the webhook endpoint, which the command is about if there is no payment.
    """
    return _event(id_, DELIVER_WEBHOOK, subject, time, data, subject_id=subject_id)


def webhook_exhausted(
    id_: UUID, subject: EventOrigin, time: datetime, data: Mapping[str, object], sequence: int
) -> Event:
    """Return the fact that a delivery was given up after its last attempt."""
    return _event(id_, WEBHOOK_EXHAUSTED, subject, time, data, sequence)


def _event(
    id_: UUID,
    type_: str,
    subject: EventOrigin,
    time: datetime,
    data: Mapping[str, object],
    sequence: int | None = None,
    subject_id: UUID | None = None,
) -> Event:
    is_of_payment = subject.payment_id is not None
    return Event(
        id=id_,
        type=type_,
        payment_id=subject.payment_id,
        merchant_id=subject.merchant_id,
        correlation_id=subject.correlation_id,
        time=time,
        data=dict(data),
        sequence=sequence,
        subject_type=PAYMENT_SUBJECT if is_of_payment else WEBHOOK_ENDPOINT_SUBJECT,
        subject_id=None if is_of_payment else subject_id,
    )
