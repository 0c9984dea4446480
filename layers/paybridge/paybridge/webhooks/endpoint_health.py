"""Note how endpoints fare: disable those that fail for days or are gone, and warn their merchants before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from paybridge.core.events import WEBHOOK_ENDPOINT_FAILING, Event
from paybridge.core.ids import Ids
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.webhooks.attempts import SentAttempt
from paybridge.webhooks.change_endpoint import disabled
from paybridge.webhooks.domain.endpoint import DisabledReason, Endpoint
from paybridge.webhooks.domain.endpoint_events import endpoint_event
from paybridge.webhooks.domain.failing import after_failure
from paybridge.webhooks.domain.webhook import INTERNAL_ERROR, Decision, Delivered, Gone
from paybridge.webhooks.store import endpoints


def record_endpoints(
    transaction: Transaction, ids: Ids, decided: Sequence[tuple[SentAttempt, Decision]], now: datetime
) -> None:
    """Note the attempts of a group at their endpoints. One success among them outweighs the failures."""
    succeeded: set[UUID] = set()
    recovered: set[UUID] = set()
    gone: set[UUID] = set()
    failed: set[UUID] = set()
    for sent, decision in decided:
        delivery = sent.attempt.delivery
        if delivery.endpoint_id is None:
            continue
        if isinstance(decision, Delivered):
            succeeded.add(delivery.endpoint_id)
            recovered |= {delivery.endpoint_id} if delivery.is_endpoint_failing else set()
        elif isinstance(decision, Gone):
            gone.add(delivery.endpoint_id)
        elif sent.result.error != INTERNAL_ERROR:
            # Our own fault is none of the endpoint's.
            failed.add(delivery.endpoint_id)
    endpoints.clear_failures(transaction, recovered)
    noted = endpoints.lock_enabled(transaction, sorted(gone | (failed - succeeded)))
    events: list[Event] = []
    for endpoint in noted:
        changed, told = _noted(ids, endpoint, now, is_gone=endpoint.id in gone)
        endpoints.update(transaction, changed)
        events += told
    outbox.add(transaction, events)


def _noted(ids: Ids, endpoint: Endpoint, now: datetime, *, is_gone: bool) -> tuple[Endpoint, list[Event]]:
    if is_gone:
        changed, event = disabled(ids, endpoint, DisabledReason.GONE, now)
        return changed, [event]
    verdict = after_failure(endpoints.clock_of(endpoint), now)
    clock = verdict.clock
    changed = replace(
        endpoint,
        first_failure_at=clock.first_failure_at,
        failing_since=clock.failing_since,
        warned_percent=clock.warned_percent,
    )
    if verdict.is_disabled:
        changed, event = disabled(ids, changed, DisabledReason.FAILING, now)
        return changed, [event]
    if verdict.warning_percent is not None:
        changed, event = endpoint_event(
            ids.new(), WEBHOOK_ENDPOINT_FAILING, changed, now, percent=verdict.warning_percent
        )
        return changed, [event]
    return changed, []
