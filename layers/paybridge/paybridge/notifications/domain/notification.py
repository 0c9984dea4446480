"""Notifications: which ones an event makes, by which channel, to which contact, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from paybridge.access.domain.contacts import MerchantContacts
from paybridge.core.event_patterns import matching_pattern
from paybridge.core.events import PUBLISHED_TYPES, Event
from paybridge.notifications.domain.templates import Text, email_text, sms_text


class Channel(StrEnum):
    """By which way a contact is notified."""

    EMAIL = "email"
    SMS = "sms"


class NotificationStatus(StrEnum):
    """Where a notification is. `unclear`: an SMS was handed over and the answer is unknown, so it is not repeated."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What one event tells one contact by one channel. `pattern` is the merchant's choice that asked for it.

    `title` is the subject of an e-mail; an SMS has none.
    """

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    subject_type: str
    subject_id: UUID
    event_id: UUID
    event_type: str
    pattern: str
    channel: Channel
    contact: str
    recipient: str
    title: str | None
    body: str
    correlation_id: str


def notifications_of(event: Event, merchant: MerchantContacts, channels: Collection[Channel]) -> list[Notification]:
    """Return a notification for each contact that the merchant wants this event told to, by the channels in use."""
    pattern = matching_pattern(merchant.notify, event.type)
    if pattern is None or event.type not in PUBLISHED_TYPES:
        return []
    made = []
    if merchant.email is not None and Channel.EMAIL in channels:
        text = email_text(event, merchant.name, pattern)
        made.append(_notification(event, pattern, Channel.EMAIL, merchant.email, text))
    if merchant.phone is not None and Channel.SMS in channels:
        text = sms_text(event, merchant.name)
        made.append(_notification(event, pattern, Channel.SMS, merchant.phone, text))
    return made


def notification_id(event_id: UUID, channel: Channel, contact: str) -> UUID:
    """Return the id of the notification of an event: the same channel and contact always give the same id.

    It is a UUIDv7 with the event's time, so that notifications fall into the month of their event.
    """
    digest = int.from_bytes(hashlib.sha256(event_id.bytes + f"{channel} {contact}".encode()).digest()[:10])
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    return UUID(int=(event_id.int >> 80) << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)


def _notification(event: Event, pattern: str, channel: Channel, contact: str, text: Text) -> Notification:
    return Notification(
        id=notification_id(event.id, channel, contact),
        merchant_id=event.merchant_id,
        payment_id=event.payment_id,
        subject_type=event.subject_type,
        subject_id=event.subject_id or event.payment_id or event.id,
        event_id=event.id,
        event_type=event.type,
        pattern=pattern,
        channel=channel,
        contact=contact,
        recipient=text.recipient,
        title=text.title,
        body=text.body,
        correlation_id=event.correlation_id,
    )
