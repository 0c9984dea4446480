"""What notifying needs from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.notifications.domain.answers import Answer
from paybridge.notifications.domain.notification import Channel


class EmailSender(Protocol):
    """Hands e-mails to a provider, from several threads at once."""

    def send(self, sender: str, contact: str, message: bytes) -> Answer:
        """Send the message to this one contact, in one call that is never repeated. Never raises for a provider."""
        ...


class SmsSender(Protocol):
    """Hands SMS to a provider, from several threads at once."""

    def send(self, contact: str, text: str) -> Answer:
        """Send the text to this one number, in one call that is never repeated. Never raises for a provider."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationServices:
    """Everything that notifying needs. A channel without a sender is off.

    `sender_address` is what e-mails come from, `retry_delays_seconds` are the waits between attempts.
    """

    database: Database
    clock: Clock
    ids: Ids
    email: EmailSender | None
    sender_address: str
    sms: SmsSender | None
    retry_delays_seconds: tuple[float, ...]

    @property
    def channels(self) -> frozenset[Channel]:
        """Return the channels that are on."""
        senders = {Channel.EMAIL: self.email, Channel.SMS: self.sms}
        return frozenset(channel for channel, sender in senders.items() if sender is not None)
