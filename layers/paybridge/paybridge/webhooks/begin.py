"""First step of delivering: create the deliveries that events ask for, and find out which are due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from paybridge.core.errors import LockTimeout, MalformedMessage
from paybridge.core.events import DELIVER_WEBHOOK, OUTCOME_TYPES, Event
from paybridge.core.isolation import LOCKED_RETRY_SECONDS, run_isolating_bad_items
from paybridge.core.times import format_time
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.outbox import store as outbox
from paybridge.webhooks.attempts import DeliveryAttempt, PostponedAttempt
from paybridge.webhooks.domain.endpoint import EndpointStatus, chooses
from paybridge.webhooks.domain.webhook import build_body, delivery_id, origin_of
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.ports import WebhookServices
from paybridge.webhooks.store.deliveries import (
    DeliveryKey,
    NewDelivery,
    PendingDelivery,
    cancel,
    find_locked,
    find_unknown,
    insert,
    lock_due,
    move,
)
from paybridge.webhooks.store.endpoints import find_targets
from paybridge.webhooks.store.events import find_events
from paybridge.webhooks.store.payments import OwnedPayment, find_urls
from paybridge.webhooks.store.receivers import Receiver, find_receivers

# A delivery to a disabled endpoint looks again this seldom. Enabling the endpoint lets it go on (`resume`).
DISABLED_RETRY_SECONDS = 86_400.0

log = logger()


@dataclass(frozen=True, slots=True)
class DeliveryStart:
    """Attempts to make now, and attempts to postpone because their receiver is slow or does not answer at all."""

    ready: list[DeliveryAttempt]
    postponed: list[PostponedAttempt]


@dataclass(frozen=True, slots=True)
class _Requests:
    """What the messages of a batch ask for: facts to deliver, and recorded deliveries and facts named by commands.

    The ids that commands name map to the id of the command.
    """

    facts: list[Event]
    delivery_ids: dict[UUID, UUID]
    event_ids: dict[UUID, UUID]


def begin_deliveries(services: WebhookServices, events: Sequence[Event], lane: Lane) -> DeliveryStart:
    """Create a delivery for each outcome event with a webhook URL; lock and return those that are due.

    One transaction. A delivery that has ended, or waits for its retry, is not due: redelivered messages change nothing.
    An event that fails is logged and left out; the jobs function finds its delivery later. A delivery whose row another
    transaction holds is put off for LOCKED_RETRY_SECONDS. Raises DatabaseUnavailable and LockTimeout.
    """
    if not events:
        return DeliveryStart([], [])
    locked: list[Event] = []

    def on_bad_event(event: Event, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            locked.append(event)
        else:
            _log_refused(event, error)

    parts = run_isolating_bad_items(lambda some: _begin(services, some, lane), events, on_bad_event)
    if locked:
        _put_off_events(services, locked)
    # Messages that are handled one at a time may find the same delivery.
    ready = {attempt.delivery.id: attempt for part in parts for attempt in part.ready}
    postponed = {change.attempt.delivery.id: change for part in parts for change in part.postponed}
    return DeliveryStart(list(ready.values()), list(postponed.values()))


def put_off_deliveries(
    services: WebhookServices, transaction: Transaction, deliveries: Sequence[DeliveryKey | PendingDelivery]
) -> None:
    """Write a command that goes on with each delivery once its row is free, after LOCKED_RETRY_SECONDS."""
    if not deliveries:
        return
    now = services.clock.now()
    for delivery in deliveries:
        log.warning("a webhook delivery is locked", extra={"delivery_id": str(delivery.id)})
    commands = [
        deliver_webhook(
            services.ids.new(), delivery, now, {"delivery_id": str(delivery.id)}, subject_id=delivery.endpoint_id
        )
        for delivery in deliveries
    ]
    outbox.add_delayed(transaction, [(command, LOCKED_RETRY_SECONDS) for command in commands])


def _put_off_events(services: WebhookServices, events: Sequence[Event]) -> None:
    """Write a command that does the same as each event, after LOCKED_RETRY_SECONDS."""
    now = services.clock.now()
    with services.database.transaction() as transaction:
        for event in events:
            log.warning("a webhook event is locked", extra={"event_id": str(event.id)})
            name, id_ = _named(event) if event.type == DELIVER_WEBHOOK else ("event_id", event.id)
            command = deliver_webhook(services.ids.new(), event, now, {name: str(id_)}, subject_id=event.subject_id)
            outbox.add_delayed(transaction, [(command, LOCKED_RETRY_SECONDS)])


def ensure_deliverable(event: Event) -> None:
    """Raise MalformedMessage if no retry can make the message deliverable."""
    if event.type == DELIVER_WEBHOOK:
        _named(event)
    url = event.data.get("webhook_url")
    if url is not None and not isinstance(url, str):
        raise MalformedMessage("webhook_url is not a text")
    if "\x00" in event.correlation_id + (url or ""):
        raise MalformedMessage("a text contains NUL, which the database does not take")


def _begin(services: WebhookServices, events: Sequence[Event], lane: Lane) -> DeliveryStart:
    requests = _requests(events)
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        recorded = find_events(transaction, requests.event_ids) if requests.event_ids else []
        new = new_deliveries(transaction, [*requests.facts, *recorded])
        insert(transaction, new)
        fresh = [delivery.id for delivery in new]
        due = lock_due(transaction, fresh, requests.delivery_ids)
        unwanted = [delivery.id for delivery in due if not is_wanted(delivery)]
        cancel(transaction, unwanted)
        move(transaction, [delivery for delivery in due if delivery.has_moved and delivery.id not in unwanted])
        put_off_deliveries(services, transaction, find_locked(transaction, fresh, requests.delivery_ids, due))
        not_due = requests.delivery_ids.keys() - {delivery.id for delivery in due}
        unknown = find_unknown(transaction, not_due) if not_due else set()
        receivers = {delivery.id: Receiver(delivery.merchant_id, origin_of(delivery.url)) for delivery in due}
        records = find_receivers(transaction, set(receivers.values()))
    _log_unknown(requests, unknown | (requests.event_ids.keys() - {event.id for event in recorded}))
    ready: list[DeliveryAttempt] = []
    postponed: list[PostponedAttempt] = []
    for delivery in due:
        if delivery.id in unwanted:
            continue
        receiver = receivers[delivery.id]
        attempt = DeliveryAttempt(delivery, delivery.attempts + 1, receiver, receiver in records)
        record = records.get(receiver)
        if delivery.endpoint_status == EndpointStatus.DISABLED:
            postponed.append(PostponedAttempt(attempt, DISABLED_RETRY_SECONDS))
        elif record is None or not (record.resume_in_seconds or (lane.is_fast and record.is_slow)):
            ready.append(attempt)
        else:
            postponed.append(PostponedAttempt(attempt, record.resume_in_seconds))
    return DeliveryStart(ready, postponed)


def _requests(events: Sequence[Event]) -> _Requests:
    requests = _Requests([], {}, {})
    for event in events:
        if event.type != DELIVER_WEBHOOK:
            requests.facts.append(event)
            continue
        name, id_ = _named(event)
        (requests.delivery_ids if name == "delivery_id" else requests.event_ids)[id_] = event.id
    return requests


def _named(command: Event) -> tuple[str, UUID]:
    """Return what the command names, `delivery_id` or (for a fact without a delivery) `event_id`, and that id."""
    name = "event_id" if "event_id" in command.data else "delivery_id"
    try:
        return name, UUID(command.data[name])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise MalformedMessage("the command names no delivery") from None


def _log_refused(event: Event, error: Exception) -> None:
    log.error(
        "cannot begin a webhook delivery",
        extra={
            "event_id": str(event.id),
            "payment_id": str(event.payment_id),
            "error_type": type(error).__name__,
            "stack": stack_frames(error),
        },
    )


def _log_unknown(requests: _Requests, unknown: Iterable[UUID]) -> None:
    commands = requests.delivery_ids | requests.event_ids
    for id_ in sorted(unknown):
        log.error("a command names an unknown id", extra={"id": str(id_), "command_id": str(commands[id_])})


def is_wanted(delivery: PendingDelivery) -> bool:
    """Return whether the endpoint still exists and wants events of this type. A payment's own URL always does."""
    if delivery.endpoint_id is None:
        return True
    if delivery.endpoint_events is None or delivery.endpoint_status == "deleted":
        return False
    return chooses(delivery.endpoint_events, delivery.event_type)


def new_deliveries(transaction: Transaction, events: Sequence[Event]) -> list[NewDelivery]:
    """Return the deliveries of the events: to the endpoints that choose them, and to the URLs of their payments.

    Some or all of them may exist already.
    """
    endpoints = find_targets(transaction, {event.merchant_id for event in events}) if events else {}
    # The event is the same for each of its endpoints.
    chosen = [
        (event, [target for target in endpoints.get(event.merchant_id, ()) if target.wants(event.type, event.time)])
        for event in events
    ]
    to_endpoints = [
        _new_delivery(event, body, target.url, target.id)
        for event, targets in chosen
        if targets
        for body in [_body(event)]
        for target in targets
    ]
    return [*to_endpoints, *_to_payments_urls(transaction, [each for each in events if each.type in OUTCOME_TYPES])]


def _to_payments_urls(transaction: Transaction, events: Sequence[Event]) -> list[NewDelivery]:
    """Return a delivery for each event whose payment has a webhook URL, in the event itself or in the database."""
    without_url = {
        OwnedPayment(event.payment_id, event.merchant_id)
        for event in events
        if event.payment_id is not None and "webhook_url" not in event.data
    }
    urls = find_urls(transaction, without_url) if without_url else {}
    targets = [
        (event, event.data.get("webhook_url") or (urls.get(event.payment_id) if event.payment_id else None))
        for event in events
    ]
    return [_new_delivery(event, _body(event), url) for event, url in targets if url]


def _body(event: Event) -> str:
    return build_body(event.type, format_time(event.time), event.data, event.sequence or 0).decode()


def _new_delivery(event: Event, body: str, url: str, endpoint_id: UUID | None = None) -> NewDelivery:
    return NewDelivery(
        id=delivery_id(event.id, url if endpoint_id is None else str(endpoint_id)),
        endpoint_id=endpoint_id,
        merchant_id=event.merchant_id,
        payment_id=event.payment_id,
        event_id=event.id,
        event_type=event.type,
        url=url,
        body=body,
        correlation_id=event.correlation_id,
    )
