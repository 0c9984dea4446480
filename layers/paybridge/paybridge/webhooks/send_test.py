"""Send a test to a webhook endpoint. It is a delivery like any other."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.core.times import format_time
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.webhooks.domain.endpoint import Endpoint, EndpointStatus
from paybridge.webhooks.domain.endpoint_events import endpoint_test
from paybridge.webhooks.domain.webhook import build_body, delivery_id
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.store import deliveries, endpoints
from paybridge.webhooks.store.deliveries import NewDelivery


def send_test(
    database: Database, clock: Clock, ids: Ids, merchant_id: UUID, endpoint_id: UUID
) -> NewDelivery | Endpoint | None:
    """Begin a delivery of type `webhook_endpoint.test` and return it. It is no event, and takes no number of theirs.

    Return the endpoint if it is disabled, None if the merchant has no such one. Raises DatabaseUnavailable and
    LockTimeout.
    """
    with database.transaction() as transaction:
        endpoint = endpoints.lock(transaction, merchant_id, endpoint_id)
        if endpoint is None or endpoint.status is EndpointStatus.DISABLED:
            return endpoint
        now = clock.now()
        delivery = _delivery(endpoint, endpoint_test(ids.new(), endpoint, now))
        deliveries.insert(transaction, [delivery])
        data = {"delivery_id": str(delivery.id)}
        outbox.add(transaction, [deliver_webhook(ids.new(), delivery, now, data, subject_id=endpoint_id)])
    return delivery


def _delivery(endpoint: Endpoint, event: Event) -> NewDelivery:
    return NewDelivery(
        id=delivery_id(event.id, str(endpoint.id)),
        merchant_id=endpoint.merchant_id,
        payment_id=None,
        endpoint_id=endpoint.id,
        event_id=event.id,
        event_type=event.type,
        url=endpoint.url,
        body=build_body(event.type, format_time(event.time), event.data, event.sequence or 0).decode(),
        correlation_id=event.correlation_id,
    )
