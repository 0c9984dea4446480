"""First step of delivering: make the deliveries that events ask for, and find out what is to be sent now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from paybridge.core.errors import MalformedMessage, PaybridgeError
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import Transaction
from paybridge.observability.logging import logger
from paybridge.observability.stack import frames_of
from paybridge.webhooks.delivering import Attempt, Delivering, Lane
from paybridge.webhooks.domain.webhook import build_body, delivery_id, origin_of
from paybridge.webhooks.store import deliveries
from paybridge.webhooks.store.deliveries import NewDelivery

log = logger()


@dataclass(frozen=True, slots=True)
class Begun:
    """Attempts to make now, and those that are put off because their receiver is known to be slow."""

    ready: list[Attempt]
    slow: list[Attempt]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the messages of a batch ask for: facts to deliver, and by commands deliveries and facts already on record.

    The ids of what is on record come with the id of the command that names them.
    """

    facts: list[Event]
    delivery_ids: dict[UUID, UUID]
    event_ids: dict[UUID, UUID]


def begin_deliveries(delivering: Delivering, events: Sequence[Event], lane: Lane) -> Begun:
    """Makes a delivery for each outcome event with a webhook URL, and finds those that are due, in one transaction.

    A delivery that is finished, or waits for a retry of its own, is not due: messages that come again change nothing.
    What the database refuses is logged and left out: the jobs function finds what it was about. Raises
    DatabaseUnavailable and LockTimeout, and MalformedMessage for a command that `ensure_deliverable` refuses.
    """
    if not events:
        return Begun([], [])
    begun = run_isolating_bad_items(lambda some: _begin(delivering, some, lane), events, _log_refused)
    # Messages that are worked on one by one may find the same delivery.
    ready = {attempt.delivery.id: attempt for one in begun for attempt in one.ready}
    slow = {attempt.delivery.id: attempt for one in begun for attempt in one.slow}
    return Begun(list(ready.values()), list(slow.values()))


def ensure_deliverable(event: Event) -> None:
    """Raises MalformedMessage for a message that no retry will make deliverable."""
    if event.type == DELIVER_WEBHOOK:
        _named(event)
    url = event.data.get("webhook_url")
    if url is not None and not isinstance(url, str):
        raise MalformedMessage("webhook_url is not a text")
    if "\x00" in event.correlation_id + (url or ""):
        raise MalformedMessage("a text contains NUL, which the database does not take")


def _begin(delivering: Delivering, events: Sequence[Event], lane: Lane) -> Begun:
    asked = _asked(events)
    with delivering.database.transaction() as transaction:
        on_record = deliveries.find_events(transaction, asked.event_ids) if asked.event_ids else []
        new = _new_deliveries(transaction, [*asked.facts, *on_record])
        deliveries.insert(transaction, new)
        wanted = {delivery.id: False for delivery in new} | dict.fromkeys(asked.delivery_ids, True)
        due = deliveries.lock_due(transaction, wanted.items())
        quiet = asked.delivery_ids.keys() - {delivery.id for delivery in due}
        unknown = deliveries.find_unknown(transaction, quiet) if quiet else set()
        receivers = {delivery.id: (delivery.merchant_id, origin_of(delivery.url)) for delivery in due}
        records = deliveries.find_receivers(transaction, set(receivers.values()))
    _log_unknown(asked, unknown | (asked.event_ids.keys() - {event.id for event in on_record}))
    ready: list[Attempt] = []
    slow: list[Attempt] = []
    for delivery in due:
        receiver = receivers[delivery.id]
        attempt = Attempt(delivery, delivery.attempts + 1, receiver, receiver in records)
        (slow if lane.is_fast and records.get(receiver) else ready).append(attempt)
    return Begun(ready, slow)


def _asked(events: Sequence[Event]) -> _Asked:
    asked = _Asked([], {}, {})
    for event in events:
        if event.type != DELIVER_WEBHOOK:
            asked.facts.append(event)
            continue
        name, id_ = _named(event)
        (asked.delivery_ids if name == "delivery_id" else asked.event_ids)[id_] = event.id
    return asked


def _named(command: Event) -> tuple[str, UUID]:
    """What the command is about: `delivery_id`, or `event_id` for a fact that has no delivery yet; and that id."""
    name = "event_id" if "event_id" in command.data else "delivery_id"
    try:
        return name, UUID(command.data[name])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise MalformedMessage("the command names no delivery") from None


def _log_refused(event: Event, error: PaybridgeError) -> None:
    log.error(
        "cannot begin a webhook delivery",
        extra={
            "event_id": str(event.id),
            "payment_id": str(event.payment_id),
            "error_type": type(error).__name__,
            "stack": frames_of(error),
        },
    )


def _log_unknown(asked: _Asked, unknown: Iterable[UUID]) -> None:
    for id_ in sorted(unknown):
        command_id = (asked.delivery_ids | asked.event_ids)[id_]
        log.error("a command names what is not on record", extra={"id": str(id_), "command_id": str(command_id)})


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
