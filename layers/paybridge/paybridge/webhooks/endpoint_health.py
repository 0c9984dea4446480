"""Note how endpoints fare: disable those that fail for days or are gone, and warn their merchants before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.core.events import WEBHOOK_ENDPOINT_FAILING, Event
from paybridge.core.ids import Ids
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.webhooks.attempts import SentAttempt
from paybridge.webhooks.change_endpoint import disabled
from paybridge.webhooks.domain.endpoint import DisabledReason, Endpoint, without_failures
from paybridge.webhooks.domain.endpoint_events import endpoint_event
from paybridge.webhooks.domain.failing import after_failure
from paybridge.webhooks.domain.webhook import INTERNAL_ERROR, Decision, Delivered, Gone
from paybridge.webhooks.store import endpoints


class _Place(NamedTuple):
    """An endpoint, and the URL at which it was tried."""

    endpoint_id: UUID
    url: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the attempts of a group have shown. `recovered`: an endpoint that had failed before took one of them."""

    succeeded: set[_Place] = field(default_factory=set)
    recovered: set[_Place] = field(default_factory=set)
    failed: set[_Place] = field(default_factory=set)
    gone: set[_Place] = field(default_factory=set)

    @property
    def notable(self) -> set[_Place]:
        """Return the places whose endpoints may change."""
        return self.gone | self.recovered | (self.failed - self.succeeded)


def record_endpoints(
    transaction: Transaction, ids: Ids, decided: Sequence[tuple[SentAttempt, Decision]], now: datetime
) -> None:
    """Note the attempts of a group at their endpoints. One success among them outweighs the failures.

    What a URL answered that the endpoint has left meanwhile does not count.
    """
    seen = _seen(decided)
    # One statement locks them all, because two groups with opposite answers would deadlock between two statements.
    noted = endpoints.lock_enabled(transaction, sorted({place.endpoint_id for place in seen.notable}))
    events: list[Event] = []
    for endpoint in noted:
        changed, told = _noted(ids, endpoint, now, seen)
        # Most failures change nothing: the endpoint had failed before.
        if changed != endpoint:
            endpoints.update(transaction, changed)
        events += told
    outbox.add(transaction, events)


def _seen(decided: Sequence[tuple[SentAttempt, Decision]]) -> _Seen:
    seen = _Seen()
    for sent, decision in decided:
        delivery = sent.attempt.delivery
        if delivery.endpoint_id is None:
            continue
        place = _Place(delivery.endpoint_id, delivery.url)
        if isinstance(decision, Delivered):
            seen.succeeded.add(place)
            seen.recovered.update([place] if delivery.is_endpoint_failing else [])
        elif isinstance(decision, Gone):
            seen.gone.add(place)
        elif sent.result.error != INTERNAL_ERROR:
            # Our own fault is none of the endpoint's.
            seen.failed.add(place)
    return seen


def _noted(ids: Ids, endpoint: Endpoint, now: datetime, seen: _Seen) -> tuple[Endpoint, list[Event]]:
    place = _Place(endpoint.id, endpoint.url)
    if place in seen.gone:
        changed, event = disabled(ids, endpoint, DisabledReason.GONE, now)
        return changed, [event]
    if place in seen.succeeded:
        return without_failures(endpoint), []
    if place in seen.failed:
        return _after_failure(ids, endpoint, now)
    return endpoint, []


def _after_failure(ids: Ids, endpoint: Endpoint, now: datetime) -> tuple[Endpoint, list[Event]]:
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
