"""Send an endpoint what it has missed.

A recovery is worked on in batches, each one transaction, by the request that begins it and by the jobs function. Each
batch passes some events and begins a delivery for those that never had one or whose delivery has ended without success.
The webhooks go out by commands, so a long recovery delays no other webhook.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout, MalformedMessage
from paybridge.core.events import PUBLIC_TYPES, Event, parse_envelope
from paybridge.core.ids import Ids
from paybridge.core.times import format_time
from paybridge.database.database import Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.webhooks.domain.endpoint import Endpoint, EndpointStatus, chooses
from paybridge.webhooks.domain.recovery import Recovery, RecoveryState
from paybridge.webhooks.domain.webhook import build_body, delivery_id
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.job_time import within
from paybridge.webhooks.redeliver import ATTEMPTS_MAX
from paybridge.webhooks.store import endpoints, recoveries, restarts
from paybridge.webhooks.store.deliveries import DeliveryKey, NewDelivery

BATCH_EVENTS = 500
# How long a request works on a recovery before it answers with the progress.
REQUEST_SECONDS_MAX = 1.0
# How long the jobs function works on recoveries in each minute.
JOB_SECONDS_MAX = 10.0
RUNNING_MAX = 100


@dataclass(frozen=True, slots=True)
class EndpointDisabled:
    """The endpoint is disabled: what is sent to it would only wait."""


def start_recovery(
    database: Database, clock: Clock, ids: Ids, merchant_id: UUID, endpoint_id: UUID, since: datetime
) -> Recovery | EndpointDisabled | None:
    """Begin to send what the merchant's endpoint has missed since then; return None if there is no such endpoint.

    While a recovery of the endpoint runs, no other begins: it is returned, and searches from the earlier of both times.
    Raises DatabaseUnavailable and LockTimeout.
    """
    with database.transaction() as transaction:
        endpoint = endpoints.lock(transaction, merchant_id, endpoint_id)
        if endpoint is None:
            return None
        if endpoint.status is EndpointStatus.DISABLED:
            return EndpointDisabled()
        recovery = recoveries.start(transaction, ids.new(), merchant_id, endpoint_id, since)
    worked = None
    # The recovery has begun, and the jobs function goes on with it.
    with suppress(LockTimeout):
        worked = work_on(database, clock, ids, recovery.id, REQUEST_SECONDS_MAX)
    return worked or recovery


def read_recovery(
    database: Database, merchant_id: UUID | None, endpoint_id: UUID, recovery_id: UUID
) -> Recovery | None:
    """Return the recovery of the merchant's endpoint, None if there is none.

    Without a merchant it is that of any. Raises DatabaseUnavailable.
    """
    return recoveries.get(database, merchant_id, endpoint_id, recovery_id)


def work_on_recoveries(database: Database, clock: Clock, ids: Ids) -> int:
    """Work on the recoveries of all merchants for JOB_SECONDS_MAX; return how many ended.

    Raises DatabaseUnavailable.
    """
    finished = 0
    for recovery_id, seconds_left in within(JOB_SECONDS_MAX, recoveries.running(database, RUNNING_MAX)):
        # A batch that has met a lock is tried again by the next job.
        with suppress(LockTimeout):
            worked = work_on(database, clock, ids, recovery_id, seconds_left)
            finished += worked is not None and worked.state is not RecoveryState.RUNNING
    return finished


def work_on(
    database: Database,
    clock: Clock,
    ids: Ids,
    recovery_id: UUID,
    seconds_max: float,
    *,
    batch_events: int = BATCH_EVENTS,
) -> Recovery | None:
    """Do batches of a recovery until it has passed all events there are or the seconds are over, at least one.

    Return the recovery afterwards, None if it is not running or another process works on it.
    """
    ends_at = time.monotonic() + seconds_max
    worked: Recovery | None = None
    while True:
        with database.transaction() as transaction:
            before = recoveries.lock(transaction, recovery_id)
            if before is None:
                return worked
            worked = recoveries.save(transaction, _do_batch(transaction, clock, ids, before, batch_events))
        is_idle = worked.checked - before.checked < batch_events
        if is_idle or worked.state is not RecoveryState.RUNNING or time.monotonic() >= ends_at:
            return worked


def _do_batch(transaction: Transaction, clock: Clock, ids: Ids, recovery: Recovery, limit: int) -> Recovery:
    endpoint = endpoints.find(transaction, recovery.endpoint_id)
    if endpoint is None or endpoint.status is EndpointStatus.DISABLED:
        return replace(recovery, state=RecoveryState.CANCELED)
    # Events of transactions that are still open come in a later batch, so this is asked before they are looked at.
    is_complete = recoveries.is_complete(transaction, recovery)
    types = [type_ for type_ in PUBLIC_TYPES if chooses(endpoint.events, type_)]
    found = recoveries.scan(transaction, recovery, types, limit)
    events = [event for scanned in found if scanned.body is not None for event in _parsed(scanned.body)]
    begun = _begin(transaction, endpoint, recovery, events)
    now = clock.now()
    commands = [
        deliver_webhook(ids.new(), subject, now, {"delivery_id": str(subject.id)}, subject_id=endpoint.id)
        for subject in begun
    ]
    outbox.add(transaction, commands)
    is_last = is_complete and len(found) < limit
    return replace(
        recovery,
        position=(found[-1].xid, found[-1].id) if found else recovery.position,
        state=RecoveryState.FINISHED if is_last else RecoveryState.RUNNING,
        checked=recovery.checked + len(found),
        sent=recovery.sent + len(begun),
    )


def _begin(
    transaction: Transaction, endpoint: Endpoint, recovery: Recovery, events: Sequence[Event]
) -> list[DeliveryKey]:
    """Begin the deliveries of the events that never had one, or whose delivery had ended without success."""
    if not events:
        return []
    wanted = [_delivery(endpoint, event) for event in events]
    created = recoveries.insert(transaction, wanted)
    existing = {delivery.id for delivery in wanted} - {key.id for key in created}
    missed = recoveries.lock_missed(transaction, sorted(existing), recovery.created_at, ATTEMPTS_MAX)
    again = restarts.restart(transaction, missed) if missed else []
    return [
        *created,
        *(DeliveryKey(one.id, one.merchant_id, one.payment_id, one.correlation_id, one.endpoint_id) for one in again),
    ]


def _delivery(endpoint: Endpoint, event: Event) -> NewDelivery:
    return NewDelivery(
        id=delivery_id(event.id, str(endpoint.id)),
        merchant_id=event.merchant_id,
        payment_id=event.payment_id,
        endpoint_id=endpoint.id,
        event_id=event.id,
        event_type=event.type,
        url=endpoint.url,
        body=build_body(event.type, format_time(event.time), event.data, event.sequence or 0).decode(),
        correlation_id=event.correlation_id,
    )


def _parsed(body: str) -> list[Event]:
    """Return the event in a body, or nothing if it can no longer be parsed."""
    with suppress(MalformedMessage, orjson.JSONDecodeError):
        return [parse_envelope(orjson.loads(body))]
    return []
