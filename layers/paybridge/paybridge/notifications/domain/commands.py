"""The command to go on with a notification."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import PAYMENT_SUBJECT, SEND_NOTIFICATION, Event, EventOrigin


class NotificationNames(EventOrigin, Protocol):
    """A notification, and whose it is."""

    @property
    def id(self) -> UUID:
        """Return the notification's id."""
        ...

    @property
    def subject_type(self) -> str:
        """Return what its event is about."""
        ...

    @property
    def subject_id(self) -> UUID:
        """Return the id of what its event is about."""
        ...


def send_notification(id_: UUID, notification: NotificationNames, time: datetime) -> Event:
    """Return the command to go on with the notification."""
    is_of_payment = notification.payment_id is not None
    return Event(
        id=id_,
        type=SEND_NOTIFICATION,
        payment_id=notification.payment_id,
        merchant_id=notification.merchant_id,
        correlation_id=notification.correlation_id,
        time=time,
        data={"notification_id": str(notification.id)},
        subject_type=PAYMENT_SUBJECT if is_of_payment else notification.subject_type,
        subject_id=None if is_of_payment else notification.subject_id,
    )


def named_notification(command: Event) -> UUID:
    """Return the id of the notification that the command names. Raises MalformedMessage if it names none."""
    try:
        return UUID(command.data["notification_id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise MalformedMessage("the command names no notification") from None
