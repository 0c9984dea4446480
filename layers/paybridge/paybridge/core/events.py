"""Facts and commands as messages: CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from paybridge.core.errors import MalformedMessage
from paybridge.core.times import format_time

SOURCE = "paybridge"
CONTENT_TYPE = "application/cloudevents+json"

PAYMENT_CREATED = "payment.created"
PAYMENT_PROCESSING = "payment.processing"
PAYMENT_REQUIRES_CAPTURE = "payment.requires_capture"
PAYMENT_SUCCEEDED = "payment.succeeded"
PAYMENT_FAILED = "payment.failed"
PAYMENT_CANCELED = "payment.canceled"
PAYMENT_REVIEW = "payment.review"
PAYMENT_PARTIALLY_REFUNDED = "payment.partially_refunded"
PAYMENT_REFUNDED = "payment.refunded"
REFUND_CREATED = "refund.created"
REFUND_SUCCEEDED = "refund.succeeded"
REFUND_FAILED = "refund.failed"
CHARGE_TAKEN = "charge.taken"
CHARGE_RETURNED = "charge.returned"
PAYOUT_CREATED = "payout.created"
PAYOUT_PAID = "payout.paid"
PAYOUT_FAILED = "payout.failed"
WEBHOOK_EXHAUSTED = "webhook.exhausted"
WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
WEBHOOK_ENDPOINT_FAILING = "webhook_endpoint.failing"
WEBHOOK_ENDPOINT_ENABLED = "webhook_endpoint.enabled"
# A delivery that was asked for to try an endpoint. It is recorded as a delivery and not as an event.
WEBHOOK_ENDPOINT_TEST = "webhook_endpoint.test"
RECONCILIATION_BREAK_FOUND = "reconciliation.break_found"
PROCESS_PAYMENT = "command.process_payment"
# Named when only charges could come late. The name stays, because two releases share a queue during a deployment.
FIND_LATE_CHANGE = "command.find_late_charge"
DELIVER_WEBHOOK = "command.deliver_webhook"
SEND_NOTIFICATION = "command.send_notification"
BRIDGE_EVENT = "command.bridge_event"
REDRIVE = "command.redrive"
REPLAY = "command.replay"

# Steps of a payment on its way. Only endpoints that choose them get webhooks for these
# (docs/decisions/0035-webhooks-for-outcomes.md).
PROGRESS_TYPES = (PAYMENT_CREATED, PAYMENT_PROCESSING)
# What has become of payments and refunds. A payment's own `webhook_url` gets these. infra/topology.json routes them to
# the queue `webhooks`.
OUTCOME_TYPES = (
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_SUCCEEDED,
    PAYMENT_FAILED,
    PAYMENT_CANCELED,
    PAYMENT_REVIEW,
    PAYMENT_PARTIALLY_REFUNDED,
    PAYMENT_REFUNDED,
    REFUND_CREATED,
    REFUND_SUCCEEDED,
    REFUND_FAILED,
)
# What happens to webhook endpoints. Only other endpoints get webhooks for these.
ENDPOINT_TYPES = (WEBHOOK_ENDPOINT_DISABLED, WEBHOOK_ENDPOINT_FAILING, WEBHOOK_ENDPOINT_ENABLED)
# What has become of payouts, which are about no payment. Only endpoints get webhooks for these.
PAYOUT_TYPES = (PAYOUT_CREATED, PAYOUT_PAID, PAYOUT_FAILED)
# What does not agree between a gateway, our payments and the ledger.
RECONCILIATION_TYPES = (RECONCILIATION_BREAK_FOUND,)
# Every type that merchants can read and that endpoints can choose. Add a new one to the group above that it belongs to.
PUBLIC_TYPES = (*PROGRESS_TYPES, *OUTCOME_TYPES, *PAYOUT_TYPES, *ENDPOINT_TYPES, *RECONCILIATION_TYPES)

# What is published, so that other consumers than the webhooks' hear of it. E-mail and SMS report these.
PUBLISHED_TYPES = (*OUTCOME_TYPES, *PAYOUT_TYPES, *ENDPOINT_TYPES, *RECONCILIATION_TYPES)

# Money that a gateway took and that settles no payment, and that it gave back. The ledger follows these. Merchants see
# a failed payment, so these are in no feed and no webhook.
INTERNAL_TYPES = (CHARGE_TAKEN, CHARGE_RETURNED)

# What an event is about. Its sequence counts the events of that subject.
PAYMENT_SUBJECT = "payment"
REFUND_SUBJECT = "refund"
WEBHOOK_ENDPOINT_SUBJECT = "webhook_endpoint"
OPERATION_SUBJECT = "operation"
PAYOUT_SUBJECT = "payout"
BREAK_SUBJECT = "reconciliation_break"

# The API accepts bodies of 32 levels, and the payment adds a few. JSON libraries give up at 254 levels or more.
NESTING_MAX = 64
# The largest value of the type integer, in which PostgreSQL stores sequences.
SEQUENCE_MAX = 2**31 - 1


_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a payment, what belongs to it or what a merchant has, or with `sequence` None a command.

    The subject of a fact about the payment itself has no id besides `payment_id`: `subject_id` is None. A fact about
    what no payment is part of, such as a webhook endpoint, has no `payment_id`. One of the two ids is set.
    """

    id: UUID
    type: str
    payment_id: UUID | None
    merchant_id: UUID
    correlation_id: str
    time: datetime
    data: dict[str, Any]
    sequence: int | None = None
    subject_type: str = PAYMENT_SUBJECT
    subject_id: UUID | None = None

    def envelope(self) -> dict[str, Any]:
        """Return the CloudEvent, JSON-ready.

        `sequence` is padded with zeros, because the CloudEvents extension for sequences wants a string that sorts.
        Another subject than the payment is named by `subject` and `subjecttype`, and its payment by `paymentid`.
        """
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(self.id),
            "source": SOURCE,
            "type": self.type,
            "subject": str(self.payment_id),
            "time": format_time(self.time),
            "datacontenttype": "application/json",
            "merchantid": str(self.merchant_id),
            "correlationid": self.correlation_id,
            "data": self.data,
        }
        if self.sequence is not None:
            envelope["sequence"] = f"{self.sequence:010d}"
        if self.subject_id is not None:
            envelope |= {"subject": str(self.subject_id), "subjecttype": self.subject_type}
            if self.payment_id is not None:
                envelope["paymentid"] = str(self.payment_id)
        return envelope


class EventOrigin(Protocol):
    """What causes a command or a fact: a payment's operation, a webhook, a notification."""

    @property
    def payment_id(self) -> UUID | None:
        """Return the payment's id, None if it is about no payment."""
        ...

    @property
    def merchant_id(self) -> UUID:
        """Return the id of the merchant that it belongs to."""
        ...

    @property
    def correlation_id(self) -> str:
        """Return the id that connects everything one request has caused."""
        ...


def parse_envelope(envelope: Any) -> Event:
    """Return the Event in a decoded CloudEvent; raise MalformedMessage if it is no CloudEvent or not ours.

    Attributes that we do not use, such as `traceparent`, are ignored. The error names the attribute and the kind of
    fault. It is logged, so it never repeats a value.
    """
    if not isinstance(envelope, dict) or envelope.get("specversion") != "1.0":
        raise MalformedMessage("not a CloudEvent 1.0")
    if envelope.get("source") != SOURCE:
        raise MalformedMessage("not from this system")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise MalformedMessage("data is not an object")
    if _is_deeper_than(data, NESTING_MAX):
        raise MalformedMessage(f"data is nested more than {NESTING_MAX} levels deep")
    has_subject = "subjecttype" in envelope
    return Event(
        id=_attribute(envelope, "id", UUID),
        type=_attribute(envelope, "type", _text),
        payment_id=_payment_id(envelope, has_subject),
        merchant_id=_attribute(envelope, "merchantid", UUID),
        correlation_id=_attribute(envelope, "correlationid", _text),
        time=_attribute(envelope, "time", datetime.fromisoformat),
        data=data,
        sequence=_attribute(envelope, "sequence", _sequence) if "sequence" in envelope else None,
        subject_type=_attribute(envelope, "subjecttype", _text) if has_subject else PAYMENT_SUBJECT,
        subject_id=_attribute(envelope, "subject", UUID) if has_subject else None,
    )


def _payment_id(envelope: dict[str, Any], has_subject: bool) -> UUID | None:
    if has_subject and "paymentid" not in envelope:
        return None
    return _attribute(envelope, "paymentid" if has_subject else "subject", UUID)


def _attribute(envelope: dict[str, Any], name: str, read: Callable[[Any], _Value]) -> _Value:
    try:
        return read(envelope[name])
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        # Without the cause, because its message may repeat the value.
        raise MalformedMessage(f"bad CloudEvent attribute {name}: {type(error).__name__}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text")
    return value


def _sequence(value: Any) -> int:
    number = int(_text(value))
    if not 0 < number <= SEQUENCE_MAX:
        raise ValueError("expected a position")
    return number


def _is_deeper_than(value: Any, levels: int) -> bool:
    """Tell whether objects and arrays are nested more than `levels` deep."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [member for outer in layer for member in _members(outer) if isinstance(member, dict | list)]
        if not layer:
            return False
    return True


def _members(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
