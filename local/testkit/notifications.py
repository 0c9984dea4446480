"""Notifications sent without a broker, for tests of what they do to the database and to providers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from local.testkit.payments import rows
from paybridge.core.clock import SystemClock
from paybridge.core.events import SEND_NOTIFICATION, WEBHOOK_ENDPOINT_SUBJECT, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.notifications.domain.answers import Accepted, Answer
from paybridge.notifications.domain.notification import Channel, Notification
from paybridge.notifications.notify import notify
from paybridge.notifications.ports import EmailSender, NotificationServices, SmsSender
from paybridge.notifications.reports import BatchReport

SENDER = "payments@paybridge.example"
EMAIL, PHONE = "pay@merchant.example", "+4930123456"

NOTIFICATION = Notification(
    id=UUID(int=1),
    merchant_id=UUID(int=2),
    payment_id=UUID(int=3),
    subject_type="payment",
    subject_id=UUID(int=3),
    event_id=UUID(int=4),
    event_type="payment.succeeded",
    pattern="*",
    channel=Channel.EMAIL,
    contact=EMAIL,
    recipient="Acme",
    title="Payment of 100.50 EUR succeeded",
    body="Payment of 100.50 EUR succeeded.\n",
    correlation_id="corr-1",
)

MERCHANT = Statement("""
    INSERT INTO merchants (id, name, email, phone, notify, webhook_secrets)
    VALUES (:id::uuid, :name::text, :email::text, :phone::text, :notify::text[], ARRAY['whsec_'])
""")
NOTIFICATIONS = "SELECT to_json(n) FROM notifications n WHERE merchant_id = :id::uuid ORDER BY channel, id"
COMMANDS = "SELECT to_json(o) FROM outbox o WHERE merchant_id = :id::uuid ORDER BY id"
# Retries are due, and claims are old.
MAKE_DUE = Statement("UPDATE notifications SET next_attempt_at = now() WHERE next_attempt_at > now()")
CLAIM = Statement("""
    UPDATE notifications SET status = 'sending', attempts = attempts + 1, claimed_at = now(), next_attempt_at = NULL
    WHERE merchant_id = :id::uuid AND status = 'pending'
""")
AGE_CLAIMS = Statement("UPDATE notifications SET claimed_at = claimed_at - interval '1 hour' WHERE status = 'sending'")


@dataclass
class Outbox:
    """A provider that keeps what it is given and answers as the test says; the next answer of several comes first."""

    answers: list[Answer | Exception | Callable[[], Answer]] = field(default_factory=list)
    taken: list[tuple[Any, ...]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, *message: Any) -> Answer:
        """Keep the message and return the next answer, or an acceptance once there is none."""
        with self._lock:
            self.taken.append(message)
            answer = self.answers.pop(0) if self.answers else Accepted(f"message-{len(self.taken)}")
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


class NotificationWorld:
    """A database with merchants whose contacts are notified by providers that the tests see into."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.database = Database(address)
        self.email = Outbox()
        self.sms = Outbox()

    def close(self) -> None:
        """Close the connection to the database."""
        self.database.close()

    def merchant(
        self,
        *notify: str,
        name: str = "Acme",
        email: str | None = EMAIL,
        phone: str | None = PHONE,
    ) -> UUID:
        """Create a merchant that is notified of these patterns, by default of everything."""
        merchant_id = UUID(str(uuid7()))
        patterns = list(notify or ["*"])
        self.database.run(MERCHANT, id=merchant_id, name=name, email=email, phone=phone, notify=patterns)
        return merchant_id

    def event(self, merchant_id: UUID, type_: str = "payment.succeeded", **changes: Any) -> Event:
        """Return an event of a payment of 100.50 RUB, with some attributes changed."""
        payment_id = UUID(str(uuid7()))
        values: dict[str, Any] = {
            "id": UUID(str(uuid7())),
            "type": type_,
            "payment_id": payment_id,
            "merchant_id": merchant_id,
            "correlation_id": "corr-1",
            "time": datetime.now(UTC),
            "sequence": 3,
            "data": {"payment_id": str(payment_id), "amount": "100.50", "currency": "RUB", "status": "succeeded"},
        }
        return Event(**values | changes)

    def endpoint_event(self, merchant_id: UUID, type_: str = "webhook_endpoint.disabled", **data: Any) -> Event:
        """Return an event of a webhook endpoint, which is about no payment."""
        endpoint_id = UUID(str(uuid7()))
        subject = {"payment_id": None, "subject_type": WEBHOOK_ENDPOINT_SUBJECT, "subject_id": endpoint_id}
        return self.event(merchant_id, type_, data={"endpoint_id": str(endpoint_id), **data}, **subject)

    def services(self, **changes: Any) -> NotificationServices:
        """Return what notifying needs, over the world's providers."""
        email: EmailSender = self.email
        sms: SmsSender = self.sms
        values: dict[str, Any] = {
            "database": self.database,
            "clock": SystemClock(),
            "ids": Uuid7Ids(),
            "email": email,
            "sender_address": SENDER,
            "sms": sms,
            "retry_delays_seconds": (1.0, 2.0),
        }
        return NotificationServices(**values | changes)

    async def notify(self, *events: Event, **changes: Any) -> BatchReport:
        """Work on the events as one batch."""
        report = BatchReport()
        await notify(self.services(**changes), events, report)
        return report

    def notifications(self, merchant_id: UUID) -> list[dict[str, Any]]:
        """Return the merchant's notifications, e-mails first."""
        return rows(self.database, NOTIFICATIONS, id=merchant_id)

    def statuses(self, merchant_id: UUID) -> list[tuple[str, str, int]]:
        """Return channel, status and number of attempts of each notification of the merchant."""
        return [(row["channel"], row["status"], row["attempts"]) for row in self.notifications(merchant_id)]

    def commands(self, merchant_id: UUID) -> list[Event]:
        """Return the commands that go on with the merchant's notifications, oldest first."""
        found = [parse_envelope(orjson.loads(row["body"])) for row in rows(self.database, COMMANDS, id=merchant_id)]
        return [event for event in found if event.type == SEND_NOTIFICATION]

    async def retry(self, merchant_id: UUID, **changes: Any) -> BatchReport:
        """Make what waits due and work on the commands."""
        self.database.run(MAKE_DUE)
        return await self.notify(*self.commands(merchant_id), **changes)

    def die_sending(self, merchant_id: UUID) -> None:
        """Claim what is pending, as a process has that died in its calls long ago."""
        self.database.run(CLAIM, id=merchant_id)
        self.age_claims()

    def age_claims(self) -> None:
        """Let the claims of dead processes be old."""
        self.database.run(AGE_CLAIMS)


def texts(taken: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the texts of SMS that a provider was given."""
    return [text for _, text in taken]
