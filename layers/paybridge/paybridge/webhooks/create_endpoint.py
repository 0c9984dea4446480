"""Create a webhook endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.access.new_secrets import new_webhook_secret
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.webhooks.domain.endpoint import ENDPOINTS_MAX, Endpoint, EndpointSecret, EndpointStatus
from paybridge.webhooks.store import endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOrder:
    """An endpoint to create. The URL and the patterns are checked."""

    url: str
    events: tuple[str, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An endpoint and its newest secret, which is shown here and never again."""

    endpoint: Endpoint
    secret: str


def create_endpoint(
    database: Database, clock: Clock, ids: Ids, merchant_id: UUID, order: EndpointOrder
) -> NewSecret | None:
    """Create an endpoint, which gets the events that happen from now on.

    Return None if the merchant has ENDPOINTS_MAX already. Raises DatabaseUnavailable and LockTimeout.
    """
    now, secret = clock.now(), new_webhook_secret()
    endpoint = Endpoint(
        id=ids.new(),
        merchant_id=merchant_id,
        url=order.url,
        events=order.events,
        description=order.description,
        secrets=(EndpointSecret(secret),),
        status=EndpointStatus.ENABLED,
        disabled_at=None,
        disabled_reason=None,
        first_failure_at=None,
        failing_since=None,
        warned_percent=0,
        last_sequence=0,
        created_at=now,
        updated_at=now,
    )
    with database.transaction() as transaction:
        endpoints.lock_merchant(transaction, merchant_id)
        if endpoints.count(transaction, merchant_id) >= ENDPOINTS_MAX:
            return None
        endpoints.insert(transaction, endpoint)
        endpoints.note_progress(transaction, merchant_id)
    return NewSecret(endpoint, secret)
