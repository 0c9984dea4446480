"""The facts about webhook endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.core.events import WEBHOOK_ENDPOINT_SUBJECT, WEBHOOK_ENDPOINT_TEST, Event
from paybridge.webhooks.domain.endpoint import Endpoint, endpoint_view


def endpoint_event(id_: UUID, type_: str, endpoint: Endpoint, now: datetime, **more: Any) -> tuple[Endpoint, Event]:
    """Return the fact that something happened to an endpoint, and the endpoint with the sequence of that fact."""
    told = replace(endpoint, last_sequence=endpoint.last_sequence + 1)
    return told, _event(id_, type_, told, now, more)


def endpoint_test(id_: UUID, endpoint: Endpoint, now: datetime) -> Event:
    """Return what a test of an endpoint delivers: no fact, so it has the sequence of the endpoint's last one, or 0."""
    return _event(id_, WEBHOOK_ENDPOINT_TEST, endpoint, now, {})


def _event(id_: UUID, type_: str, endpoint: Endpoint, now: datetime, more: dict[str, Any]) -> Event:
    return Event(
        id=id_,
        type=type_,
        payment_id=None,
        merchant_id=endpoint.merchant_id,
        correlation_id=str(id_),
        time=now,
        data={**endpoint_view(endpoint), **more},
        sequence=endpoint.last_sequence,
        subject_type=WEBHOOK_ENDPOINT_SUBJECT,
        subject_id=endpoint.id,
    )
