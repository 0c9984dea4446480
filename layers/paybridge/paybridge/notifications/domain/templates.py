"""The texts of e-mails and SMS.

What comes from outside, such as a merchant's name, passes `one_line` before it stands in a text. A description,
metadata or a URL may hold what is no business of a mail server or a phone, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from paybridge.core.events import (
    PAYMENT_CANCELED,
    PAYMENT_FAILED,
    PAYMENT_PARTIALLY_REFUNDED,
    PAYMENT_REFUNDED,
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_REVIEW,
    PAYMENT_SUCCEEDED,
    PAYOUT_CREATED,
    PAYOUT_FAILED,
    PAYOUT_PAID,
    PAYOUT_SUBJECT,
    RECONCILIATION_BREAK_FOUND,
    REFUND_CREATED,
    REFUND_FAILED,
    REFUND_SUBJECT,
    REFUND_SUCCEEDED,
    WEBHOOK_ENDPOINT_DISABLED,
    WEBHOOK_ENDPOINT_ENABLED,
    WEBHOOK_ENDPOINT_FAILING,
    WEBHOOK_ENDPOINT_SUBJECT,
    Event,
)
from paybridge.core.times import format_time
from paybridge.notifications.domain import sms
from paybridge.notifications.domain.texts import one_line

NAME_CHARACTERS_MAX = 100
VALUE_CHARACTERS_MAX = 80
_LABEL_WIDTH = 14

# {money} is the amount with its currency. Another type has a title made of its name.
_TITLES = {
    PAYMENT_REQUIRES_CAPTURE: "Payment of {money} waits for its capture",
    PAYMENT_SUCCEEDED: "Payment of {money} succeeded",
    PAYMENT_FAILED: "Payment of {money} failed",
    PAYMENT_CANCELED: "Payment of {money} was canceled",
    PAYMENT_REVIEW: "Payment of {money} is held for a review",
    PAYMENT_PARTIALLY_REFUNDED: "Payment of {money} was refunded in part",
    PAYMENT_REFUNDED: "Payment of {money} was refunded",
    REFUND_CREATED: "Refund of {money} was requested",
    REFUND_SUCCEEDED: "Refund of {money} succeeded",
    REFUND_FAILED: "Refund of {money} failed",
    PAYOUT_CREATED: "Payout of {money} was ordered",
    PAYOUT_PAID: "Payout of {money} was paid",
    PAYOUT_FAILED: "Payout of {money} failed",
    WEBHOOK_ENDPOINT_DISABLED: "A webhook endpoint was disabled",
    WEBHOOK_ENDPOINT_FAILING: "A webhook endpoint keeps failing",
    WEBHOOK_ENDPOINT_ENABLED: "A webhook endpoint was enabled",
    RECONCILIATION_BREAK_FOUND: "A payment does not agree with the gateway's statement",
}


@dataclass(frozen=True, slots=True)
class Text:
    """What a contact is told, and the name of the recipient; `title` is None in an SMS."""

    recipient: str
    title: str | None
    body: str


def email_text(event: Event, merchant_name: str, pattern: str) -> Text:
    """Return the text of an e-mail about the event, which the merchant chose by the pattern."""
    name = one_line(merchant_name, NAME_CHARACTERS_MAX)
    title = _title(event)
    rows = [
        ("Merchant", name),
        *_rows(event),
        ("Event", f"{event.type}, {event.id}"),
        ("Time", format_time(event.time)),
    ]
    lines = [f"{title}.", "", *(f"{label + ':':<{_LABEL_WIDTH}}{value}" for label, value in rows if value), ""]
    lines += [f"You receive this because {name} asked to be notified of events that match {pattern}.", ""]
    return Text(name, title, "\n".join(lines))


def sms_text(event: Event, merchant_name: str) -> Text:
    """Return the text of an SMS about the event, in as many segments as its alphabet allows."""
    name = one_line(merchant_name, NAME_CHARACTERS_MAX)
    reason = _value(event, "failure_code") or _value(event, "disabled_reason")
    said = f"{_title(event)}: {reason}." if reason else f"{_title(event)}."
    return Text(name, None, sms.fit(name, f"{said} {event.payment_id or event.subject_id}"))


def _title(event: Event) -> str:
    money = " ".join(filter(None, (_value(event, "amount"), _value(event, "currency"))))
    title = _TITLES.get(event.type)
    if title is None:
        return f"{event.type.replace('.', ' ').replace('_', ' ').capitalize()}"
    return title.format(money=money) if money else title.replace(" of {money}", "")


def _rows(event: Event) -> list[tuple[str, str]]:
    """Return what the body says about the subject of the event."""
    is_endpoint = event.subject_type == WEBHOOK_ENDPOINT_SUBJECT
    return [
        ("Payment", str(event.payment_id) if event.payment_id else ""),
        ("Refund", str(event.subject_id) if event.subject_type == REFUND_SUBJECT else ""),
        ("Payout", str(event.subject_id) if event.subject_type == PAYOUT_SUBJECT else ""),
        ("Endpoint", str(event.subject_id) if is_endpoint else ""),
        # A path or a query may hold a secret of the receiver.
        ("Host", _host(event) if is_endpoint else ""),
        ("Status", _value(event, "status")),
        ("Failure", _value(event, "failure_code")),
        ("Disabled for", _value(event, "disabled_reason")),
    ]


def _host(event: Event) -> str:
    try:
        return one_line(urlsplit(_value(event, "url", 2048)).hostname or "", VALUE_CHARACTERS_MAX)
    except ValueError:
        return ""


def _value(event: Event, name: str, characters_max: int = VALUE_CHARACTERS_MAX) -> str:
    value = event.data.get(name)
    return one_line(value, characters_max) if isinstance(value, str) else ""
