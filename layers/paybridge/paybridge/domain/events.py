"""Facts and commands as messages: CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.domain.errors import MalformedMessage

SOURCE = "paybridge"
CONTENT_TYPE = "application/cloudevents+json"

PAYMENTS_EXCHANGE = "payments"
EVENTS_EXCHANGE = "payments.events"
DEAD_LETTER_EXCHANGE = "payments.dlx"
DEAD_LETTER_KEY = "payments.dead"
NEW_PAYMENTS_KEY = "payments.new"
WEBHOOK_RETRIES_KEY = "webhooks.retry"

PAYMENT_CREATED = "payment.created"
PAYMENT_PROCESSING = "payment.processing"
PAYMENT_SUCCEEDED = "payment.succeeded"
PAYMENT_FAILED = "payment.failed"
WEBHOOK_EXHAUSTED = "webhook.exhausted"
PROCESS_PAYMENT = "command.process_payment"
DELIVER_WEBHOOK = "command.deliver_webhook"

_ROUTES: dict[str, tuple[str | None, str]] = {
    PAYMENT_CREATED: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    # Nobody acts on these two: they are recorded for the timeline and cost the broker nothing.
    PAYMENT_PROCESSING: (None, PAYMENT_PROCESSING),
    WEBHOOK_EXHAUSTED: (None, WEBHOOK_EXHAUSTED),
    PROCESS_PAYMENT: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    DELIVER_WEBHOOK: (PAYMENTS_EXCHANGE, WEBHOOK_RETRIES_KEY),
}


def route(event_type: str) -> tuple[str | None, str]:
    """Exchange and routing key of a message type; the exchange is None for what is recorded and not published."""
    return _ROUTES.get(event_type, (EVENTS_EXCHANGE, event_type))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a payment, or with `sequence` None a command to ourselves."""

    id: UUID
    type: str
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    time: datetime
    data: dict[str, Any]
    sequence: int | None = None
    traceparent: str | None = None

    def envelope(self) -> dict[str, Any]:
        """The JSON-ready CloudEvent.

        `sequence` is padded with zeros because the CloudEvents sequence extension asks for a string that sorts.
        """
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(self.id),
            "source": SOURCE,
            "type": self.type,
            "subject": str(self.payment_id),
            "time": self.time.isoformat(),
            "datacontenttype": "application/json",
            "merchantid": str(self.merchant_id),
            "correlationid": self.correlation_id,
            "data": self.data,
        }
        if self.sequence is not None:
            envelope["sequence"] = f"{self.sequence:010d}"
        if self.traceparent is not None:
            envelope["traceparent"] = self.traceparent
        return envelope


def parse_envelope(envelope: Any) -> Event:
    """The Event of a decoded CloudEvent; raises MalformedMessage when it is none, or none of ours."""
    if not isinstance(envelope, dict) or envelope.get("specversion") != "1.0":
        raise MalformedMessage("not a CloudEvent 1.0")
    if envelope.get("source") != SOURCE:
        raise MalformedMessage("not from this system")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise MalformedMessage("data is not an object")
    try:
        return Event(
            id=UUID(envelope["id"]),
            type=_text(envelope["type"]),
            payment_id=UUID(envelope["subject"]),
            merchant_id=UUID(envelope["merchantid"]),
            correlation_id=_text(envelope["correlationid"]),
            time=datetime.fromisoformat(envelope["time"]),
            data=data,
            sequence=int(envelope["sequence"]) if "sequence" in envelope else None,
            traceparent=envelope.get("traceparent"),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise MalformedMessage(f"bad CloudEvent attribute: {type(error).__name__} {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text")
    return value
