"""Change, enable, disable and delete webhook endpoints, and rotate their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.access.new_secrets import new_webhook_secret
from paybridge.core.clock import Clock
from paybridge.core.events import WEBHOOK_ENDPOINT_DISABLED, WEBHOOK_ENDPOINT_ENABLED, Event
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.webhooks.create_endpoint import NewSecret
from paybridge.webhooks.domain.endpoint import DisabledReason, Endpoint, EndpointStatus, rotated, without_failures
from paybridge.webhooks.domain.endpoint_events import endpoint_event
from paybridge.webhooks.resume import resume_now
from paybridge.webhooks.store import endpoints, resumptions


def change_endpoint(
    database: Database, clock: Clock, ids: Ids, merchant_id: UUID, endpoint_id: UUID, changes: Mapping[str, Any]
) -> Endpoint | None:
    """Replace members of the endpoint: `url`, `events`, `description`, `status`. Return it, None if there is none.

    A new URL takes effect for tries that are scheduled already, and so does an event that is no longer chosen. Failures
    at the old URL are forgotten. A disabled endpoint gets nothing. Once it is enabled again, what was pending goes on
    at a steady pace. What happened in the meantime is sent by a recovery. Raises DatabaseUnavailable and LockTimeout.
    """
    with database.transaction() as transaction:
        endpoints.lock_merchant(transaction, merchant_id)
        before = endpoints.lock(transaction, merchant_id, endpoint_id)
        if before is None:
            return None
        now = clock.now()
        others = {name: value for name, value in changes.items() if name != "status"}
        after = replace(before, **others, updated_at=now)
        if after.url != before.url:
            after = without_failures(after)
        status = changes.get("status", before.status)
        if status != before.status:
            after, event = _switched(ids, after, EndpointStatus(status), now)
            outbox.add(transaction, [event])
        endpoints.update(transaction, after)
        endpoints.note_progress(transaction, merchant_id)
        is_enabled = before.status is EndpointStatus.DISABLED and after.status is EndpointStatus.ENABLED
        if is_enabled:
            resumptions.start(transaction, endpoint_id, now)
    if is_enabled:
        resume_now(database, clock, ids, endpoint_id)
    return after


def rotate_secret(
    database: Database, clock: Clock, merchant_id: UUID, endpoint_id: UUID, overlap_seconds: int
) -> NewSecret | None:
    """Give the endpoint a new secret and let the others go on for the overlap; return None if there is none.

    Every try from now on is signed with all secrets that are valid then. Raises DatabaseUnavailable and LockTimeout.
    """
    secret = new_webhook_secret()
    with database.transaction() as transaction:
        endpoint = endpoints.lock(transaction, merchant_id, endpoint_id)
        if endpoint is None:
            return None
        now = clock.now()
        secrets = rotated(endpoint.secrets, secret, now, overlap_seconds)
        changed = replace(endpoint, secrets=secrets, updated_at=now)
        endpoints.update(transaction, changed)
    return NewSecret(changed, secret)


def delete_endpoint(database: Database, clock: Clock, merchant_id: UUID, endpoint_id: UUID) -> bool:
    """Delete the endpoint; return whether there was one. Scheduled tries are canceled when they would be made.

    Raises DatabaseUnavailable and LockTimeout.
    """
    with database.transaction() as transaction:
        endpoints.lock_merchant(transaction, merchant_id)
        if endpoints.lock(transaction, merchant_id, endpoint_id) is None:
            return False
        endpoints.delete(transaction, endpoint_id, clock.now())
        endpoints.note_progress(transaction, merchant_id)
    return True


def disabled(ids: Ids, endpoint: Endpoint, reason: DisabledReason, now: datetime) -> tuple[Endpoint, Event]:
    """Return the endpoint once it is disabled, and the event that tells its merchant."""
    changed = replace(endpoint, status=EndpointStatus.DISABLED, disabled_at=now, disabled_reason=reason, updated_at=now)
    return endpoint_event(ids.new(), WEBHOOK_ENDPOINT_DISABLED, changed, now)


def _switched(ids: Ids, endpoint: Endpoint, status: EndpointStatus, now: datetime) -> tuple[Endpoint, Event]:
    if status is EndpointStatus.DISABLED:
        return disabled(ids, endpoint, DisabledReason.MERCHANT, now)
    enabled = replace(without_failures(endpoint), status=EndpointStatus.ENABLED, disabled_at=None, disabled_reason=None)
    return endpoint_event(ids.new(), WEBHOOK_ENDPOINT_ENABLED, enabled, now)
