"""Webhook endpoints: where a merchant wants which events, signed with which secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.event_patterns import matches
from paybridge.core.events import PROGRESS_TYPES, WEBHOOK_ENDPOINT_TEST
from paybridge.core.times import format_time

# Every one of them costs a delivery for each event.
ENDPOINTS_MAX = 20
EVENTS_MAX = 20
DESCRIPTION_CHARACTERS_MAX = 500
SECRETS_MAX = 5
OVERLAP_SECONDS = 86_400
OVERLAP_SECONDS_MAX = 7 * 86_400


class EndpointStatus(StrEnum):
    """Whether events are sent to an endpoint."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why an endpoint is disabled: it failed for days, it answered 410, or its merchant wants it so."""

    FAILING = "failing"
    GONE = "gone"
    MERCHANT = "merchant"


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """A secret that signs webhooks. The newest is valid without an end."""

    secret: str
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A webhook endpoint. `secrets` come newest first. `first_failure_at`: it has only failed since then."""

    id: UUID
    merchant_id: UUID
    url: str
    events: tuple[str, ...]
    description: str | None
    secrets: tuple[EndpointSecret, ...]
    status: EndpointStatus
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    first_failure_at: datetime | None
    failing_since: datetime | None
    warned_percent: int
    last_sequence: int
    created_at: datetime
    updated_at: datetime


def chooses(events: Sequence[str], event_type: str) -> bool:
    """Return whether an endpoint with these patterns gets events of this type. It always gets its own tests."""
    return event_type == WEBHOOK_ENDPOINT_TEST or matches(events, event_type)


def follows_progress(events: Sequence[str]) -> bool:
    """Return whether the patterns choose an event of a payment that is on its way."""
    return any(matches(events, type_) for type_ in PROGRESS_TYPES)


def rotated(
    secrets: Sequence[EndpointSecret], new: str, now: datetime, overlap_seconds: int
) -> tuple[EndpointSecret, ...]:
    """Return the secrets once a new one has taken the place of the newest, which goes on for the overlap.

    No secret lives longer than before. Of more than SECRETS_MAX the oldest end at once.
    """
    ends_at = now + timedelta(seconds=overlap_seconds)
    kept = (
        EndpointSecret(each.secret, ends_at if each.valid_until is None else min(each.valid_until, ends_at))
        for each in secrets
    )
    alive = [each for each in kept if each.valid_until is not None and each.valid_until > now]
    return (EndpointSecret(new), *alive[: SECRETS_MAX - 1])


def without_failures(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as if it had never failed."""
    return replace(endpoint, first_failure_at=None, failing_since=None, warned_percent=0)


def endpoint_view(endpoint: Endpoint) -> dict[str, Any]:
    """Return the endpoint as answers and events show it, JSON-ready. Secrets are shown by their end alone."""
    return {
        "endpoint_id": str(endpoint.id),
        "url": endpoint.url,
        "events": [*endpoint.events],
        "description": endpoint.description,
        "status": str(endpoint.status),
        "disabled_at": _time(endpoint.disabled_at),
        "disabled_reason": None if endpoint.disabled_reason is None else str(endpoint.disabled_reason),
        "failing_since": _time(endpoint.failing_since),
        "secrets": [
            {"last_four": each.secret[-4:], "valid_until": _time(each.valid_until)} for each in endpoint.secrets
        ],
        "created_at": format_time(endpoint.created_at),
        "updated_at": format_time(endpoint.updated_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
