"""Write the commands that go on with notifications later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.notifications.domain.commands import NotificationNames, send_notification
from paybridge.notifications.ports import NotificationServices
from paybridge.notifications.store import notifications
from paybridge.notifications.store.notifications import Delay
from paybridge.outbox import store as outbox


def put_off(services: NotificationServices, ids: Collection[UUID], delay: Delay) -> None:
    """Let pending notifications wait, without using up an attempt. Raises DatabaseUnavailable."""
    with services.database.transaction() as transaction:
        add_commands(services, transaction, notifications.put_off(transaction, ids, delay))


def put_off_keys(
    services: NotificationServices, transaction: Transaction, keys: Iterable[NotificationNames], delay_seconds: float
) -> None:
    """Write a command for each of the notifications, due after the delay."""
    add_commands(services, transaction, [(key, delay_seconds) for key in keys])


def add_commands(
    services: NotificationServices, transaction: Transaction, delayed: Sequence[tuple[NotificationNames, float]]
) -> None:
    """Write a command for each of the notifications, due after its delay in seconds."""
    now = services.clock.now()
    outbox.add_delayed(
        transaction, [(send_notification(services.ids.new(), key, now), delay) for key, delay in delayed]
    )
