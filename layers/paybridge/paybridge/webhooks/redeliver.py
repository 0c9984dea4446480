"""Send a webhook again whose delivery has ended, because its merchant asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.webhooks.domain.delivery_log import LoggedDelivery
from paybridge.webhooks.domain.endpoint import EndpointStatus, chooses
from paybridge.webhooks.domain.states import DeliveryStatus
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.lanes import FAST_QUEUE
from paybridge.webhooks.store import endpoints, restarts

# The database numbers attempts by a small integer, and a loop of requests must not use it up.
ATTEMPTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class StillPending:
    """The delivery has not ended. `next_attempt_at` is None before its first attempt."""

    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class TooManyAttempts:
    """The delivery has had so many attempts that no more are made."""


@dataclass(frozen=True, slots=True)
class NoEndpoint:
    """The delivery's endpoint is deleted, no longer chooses the event, or is disabled: nothing would be sent."""


Redelivered = LoggedDelivery | StillPending | TooManyAttempts | NoEndpoint


def redeliver_webhook(
    database: Database, clock: Clock, ids: Ids, merchant_id: UUID, delivery_id: UUID
) -> Redelivered | None:
    """Begin the schedule of an ended delivery again, with an attempt now; return None if the merchant has no such one.

    The webhook keeps its id, its body and the number of its attempts. Of requests at the same time one begins it, and
    the others find it pending. Raises DatabaseUnavailable and LockTimeout.
    """
    with database.transaction() as transaction:
        delivery = restarts.lock(transaction, merchant_id, delivery_id)
        if delivery is None:
            return None
        if delivery.status is DeliveryStatus.PENDING:
            return StillPending(delivery.next_attempt_at)
        if delivery.attempt_count >= ATTEMPTS_MAX:
            return TooManyAttempts()
        if not _takes(transaction, delivery):
            return NoEndpoint()
        [restarted] = restarts.restart(transaction, [delivery.id])
        command = deliver_webhook(
            ids.new(), restarted, clock.now(), {"delivery_id": str(delivery.id)}, subject_id=delivery.endpoint_id
        )
        # A receiver that is slow or silent is sent to the slow lane from there.
        outbox.add_delayed(transaction, [(command, 0.0)], routing_key=FAST_QUEUE)
    return restarted


def _takes(transaction: Transaction, delivery: LoggedDelivery) -> bool:
    """Return whether what goes to the delivery's endpoint would be sent now. A payment's own URL takes everything."""
    if delivery.endpoint_id is None:
        return True
    endpoint = endpoints.find(transaction, delivery.endpoint_id)
    return (
        endpoint is not None
        and endpoint.status is EndpointStatus.ENABLED
        and chooses(endpoint.events, delivery.event_type)
    )
