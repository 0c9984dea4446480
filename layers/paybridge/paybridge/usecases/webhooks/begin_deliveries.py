"""First step of delivering: make the deliveries that events ask for, and find out what is to be sent now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from paybridge.domain.errors import MalformedMessage
from paybridge.domain.events import DELIVER_WEBHOOK, Event
from paybridge.domain.webhook import build_body, delivery_id, origin_of
from paybridge.store import deliveries
from paybridge.store.database import Transaction
from paybridge.store.deliveries import NewDelivery
from paybridge.usecases.webhooks.delivering import Attempt, Delivering, Lane


@dataclass(frozen=True, slots=True)
class Begun:
    """Attempts to make now, and those that are put off because their receiver is known to be slow."""

    ready: list[Attempt]
    slow: list[Attempt]


def begin_deliveries(delivering: Delivering, events: Sequence[Event], lane: Lane) -> Begun:
    """Makes a delivery for each outcome event with a webhook URL, and finds those that are due, in one transaction.

    A delivery that is finished, or waits for a retry of its own, is not due: messages that come again change nothing.
    Raises DatabaseUnavailable, and MalformedMessage for a command that `ensure_deliverable` refuses.
    """
    with delivering.database.transaction() as transaction:
        new = _new_deliveries(transaction, [event for event in events if event.type != DELIVER_WEBHOOK])
        deliveries.insert(transaction, new)
        wanted = {delivery.id: False for delivery in new}
        wanted |= {_commanded(event): True for event in events if event.type == DELIVER_WEBHOOK}
        due = deliveries.lock_due(transaction, wanted.items())
        receivers = {delivery.id: (delivery.merchant_id, origin_of(delivery.url)) for delivery in due}
        records = deliveries.find_receivers(transaction, set(receivers.values()))
    ready: list[Attempt] = []
    slow: list[Attempt] = []
    for delivery in due:
        receiver = receivers[delivery.id]
        attempt = Attempt(delivery, delivery.attempts + 1, receiver, receiver in records)
        (slow if lane.is_fast and records.get(receiver) else ready).append(attempt)
    return Begun(ready, slow)


def ensure_deliverable(event: Event) -> None:
    """Raises MalformedMessage for a message that no retry will make deliverable."""
    if event.type == DELIVER_WEBHOOK:
        _commanded(event)
    url = event.data.get("webhook_url")
    if url is not None and not isinstance(url, str):
        raise MalformedMessage("webhook_url is not a text")
    if "\x00" in event.correlation_id + (url or ""):
        raise MalformedMessage("a text contains NUL, which the database does not take")


def _commanded(event: Event) -> UUID:
    try:
        return UUID(event.data["delivery_id"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise MalformedMessage("the command names no delivery") from error


def _new_deliveries(transaction: Transaction, events: Sequence[Event]) -> list[NewDelivery]:
    """One delivery for each event whose payment has a webhook URL, in the event itself or in the database."""
    without = {(event.payment_id, event.merchant_id) for event in events if "webhook_url" not in event.data}
    urls = deliveries.find_urls(transaction, without) if without else {}
    return list(
        _deliveries_of((event, event.data.get("webhook_url") or urls.get(event.payment_id)) for event in events)
    )


def _deliveries_of(targets: Iterable[tuple[Event, str | None]]) -> Iterable[NewDelivery]:
    for event, url in targets:
        if not url:
            continue
        yield NewDelivery(
            id=delivery_id(event.id, url),
            merchant_id=event.merchant_id,
            payment_id=event.payment_id,
            event_id=event.id,
            event_type=event.type,
            url=url,
            body=build_body(event.type, event.time.isoformat(), event.data, event.sequence or 0).decode(),
            correlation_id=event.correlation_id,
        )
