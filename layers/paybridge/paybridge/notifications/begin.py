"""First step of notifying: create the notifications that events ask for, and find out which are due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from paybridge.access.find_contacts import find_contacts
from paybridge.core.errors import LockTimeout, MalformedMessage
from paybridge.core.events import SEND_NOTIFICATION, Event
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.notifications.commands import put_off_keys
from paybridge.notifications.domain.commands import named_notification
from paybridge.notifications.domain.notification import Notification, NotificationStatus, notifications_of
from paybridge.notifications.ports import NotificationServices
from paybridge.notifications.reports import BatchReport
from paybridge.notifications.store import notifications
from paybridge.notifications.store.notifications import DueNotification
from paybridge.observability.logging import logger

# Above the time limit of a call, so that a claim this old belongs to a process that died.
CLAIM_SECONDS = 30.0

log = logger()


def ensure_notifiable(event: Event) -> None:
    """Raise MalformedMessage if no retry can make the message one to work on."""
    if event.type == SEND_NOTIFICATION:
        named_notification(event)
    if "\x00" in event.correlation_id:
        raise MalformedMessage("the correlation id contains NUL, which the database does not take")


def begin_notifications(
    services: NotificationServices, events: Sequence[Event], report: BatchReport
) -> list[DueNotification]:
    """Create a notification for each event, channel and contact; return those that are due.

    One transaction. Redelivered events change nothing. Events that cannot begin are noted in the report. Raises
    DatabaseUnavailable and LockTimeout.
    """
    if not events:
        return []

    def on_bad_event(event: Event, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            report.locked.append(event)
        else:
            report.refused.append((event, error))

    parts = run_isolating_bad_items(lambda some: _begin(services, some, report), events, on_bad_event)
    return list({due.id: due for part in parts for due in part}.values())


def _begin(services: NotificationServices, events: Sequence[Event], report: BatchReport) -> list[DueNotification]:
    named = {named_notification(event): event.id for event in events if event.type == SEND_NOTIFICATION}
    facts = [event for event in events if event.type != SEND_NOTIFICATION]
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        new = _new_notifications(services, transaction, facts)
        if new:
            notifications.insert(transaction, new)
        wanted = [*dict.fromkeys([*(each.id for each in new), *named])]
        if not wanted:
            return []
        interrupted = notifications.end_claims(transaction, wanted, CLAIM_SECONDS)
        due = notifications.find_due(transaction, wanted)
        claimed = notifications.find_claimed(transaction, wanted)
        put_off_keys(services, transaction, claimed, CLAIM_SECONDS)
        unknown = notifications.find_unknown(transaction, named) if named else set()
    report.lost += [each.key.id for each in interrupted if each.status is NotificationStatus.UNCLEAR]
    for each in interrupted:
        log.warning("the attempt at a notification was interrupted", extra=_logged(each.key.id, each.status))
    _log_unknown(unknown)
    return due


def _new_notifications(
    services: NotificationServices, transaction: Transaction, events: Sequence[Event]
) -> list[Notification]:
    if not events or not services.channels:
        return []
    merchants = find_contacts(transaction, {event.merchant_id for event in events})
    return [
        notification
        for event in events
        if event.merchant_id in merchants
        for notification in notifications_of(event, merchants[event.merchant_id], services.channels)
    ]


def _log_unknown(unknown: Iterable[UUID]) -> None:
    for id_ in sorted(unknown):
        log.error("a command names an unknown notification", extra={"notification_id": str(id_)})


def _logged(id_: UUID, status: str) -> dict[str, str]:
    return {"notification_id": str(id_), "status": status}
