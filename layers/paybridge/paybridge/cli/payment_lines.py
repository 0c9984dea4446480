"""A payment with its history, in lines for a person."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from paybridge.core.money import format_places
from paybridge.payments.domain.operation import FIRST_KINDS

if TYPE_CHECKING:
    from paybridge.payments.diagnose import Diagnosis
    from paybridge.payments.domain.query import TimelineEntry

# Of entries in a row that are alike: the first and the last.
REPEATS_SHOWN = 2
_GATEWAY_ENDS = (
    "gateway.attempt_unknown",
    "gateway.attempt_succeeded",
    "gateway.attempt_declined",
    "gateway.attempt_partial",
    "gateway.attempt_rate_limited",
)
# By which a provider finds an e-mail or SMS.
_SHOWN_IDS = frozenset({"provider_message_id"})
_LIKE_DETAILS = ("error", "response_status", "delivery_id", "operation_id")


def payment_lines(found: Diagnosis) -> list[str]:
    """Return the state of a payment, its timeline and why it is where it is."""
    payment = found.payment
    amount = format_places(payment.amount_minor, payment.currency_places)
    return [
        f"{payment.id}  {amount} {payment.currency}  {payment.status}",
        f"merchant {payment.merchant_id}, correlation id {payment.correlation_id}",
        "",
        *_lines(found.timeline),
        "",
        found.explanation,
        # The explanation of the payment is about its charge or authorization.
        *(each.explanation for each in found.operations if each.operation.id != payment.id),
    ]


def _lines(timeline: Sequence[TimelineEntry]) -> list[str]:
    """Return the lines of a timeline. Of attempts in a row that ended alike, only the first and the last are shown."""
    ended = {_attempt(entry) for entry in timeline if entry.type.startswith(_GATEWAY_ENDS)}
    shown = [
        entry
        for entry in timeline
        # An attempt that has ended has a line about its end.
        if entry.type != "gateway.attempt_started" or _attempt(entry) not in ended
    ]
    lines: list[str] = []
    for _, group in groupby(shown, key=_likeness):
        alike = list(group)
        lines.append(_line(alike[0]))
        if len(alike) > REPEATS_SHOWN:
            lines.append(f"  … {len(alike) - REPEATS_SHOWN} more like this …")
        lines += [_line(entry) for entry in alike[1:][-1:]]
    return lines


def _attempt(entry: TimelineEntry) -> tuple[object, object]:
    return entry.details.get("operation_id"), entry.details.get("number")


def _likeness(entry: TimelineEntry) -> tuple[object, ...]:
    """Return what entries that repeat each other have in common. No two events do."""
    if not entry.type.startswith(("gateway.attempt_", "webhook.attempt_")):
        return (id(entry),)
    return (entry.type, *(entry.details.get(name) for name in _LIKE_DETAILS))


def _line(entry: TimelineEntry) -> str:
    details = ", ".join(
        f"{name} {value}"
        for name, value in entry.details.items()
        if value is not None and name != "operation" and (name in _SHOWN_IDS or not name.endswith("_id"))
    )
    described = ", ".join(part for part in (_operation(entry), details) if part)
    return f"  {entry.at:%Y-%m-%d %H:%M:%S.%f}  {entry.type:<26}{described}".rstrip()


def _operation(entry: TimelineEntry) -> str:
    """Name the operation or refund of the entry, but not the charge or authorization: its id is the payment's."""
    match entry.details:
        case {"operation": str(kind), "operation_id": id_} if kind not in FIRST_KINDS:
            return f"{kind} {id_}"
        case {"refund_id": id_}:
            return f"refund {id_}"
    return ""
