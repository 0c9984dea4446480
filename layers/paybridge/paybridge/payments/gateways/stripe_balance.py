"""Read Stripe's balance as a statement: the balance transactions of charges, captures, refunds and failed refunds.

A balance transaction is made when the money moves: of an authorization when it is captured. Its `source` is the charge
or the refund, in the payment's own currency, whose PaymentIntent has our ids in its metadata. Payouts, fees and
disputes are no operations of ours and are left out, and so is what moves no money: holds, releases and declines.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from paybridge.core.money import stored_places
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import LineStatus, StatementLine, StatementPage, StatementUnavailable
from paybridge.payments.domain.stripe_amounts import AmountRefused, from_stripe
from paybridge.payments.gateways.stripe_reading import CAPTURE_ID, OPERATION_ID, Page

BALANCE_TRANSACTIONS = "/v1/balance_transactions"
PAGE_SIZE = 100
# The charges, refunds and failed refunds of cards, and those of debits and other methods.
_CHARGES = frozenset({"charge", "payment"})
_REFUNDS = frozenset({"refund", "payment_refund"})
_FAILED_REFUNDS = frozenset({"refund_failure", "payment_failure_refund"})


def balance_between(begin: datetime, end: datetime, after: str | None) -> dict[str, str]:
    """Return the parameters of a page of the balance transactions between two times, the newest first."""
    page = {
        "created[gte]": str(int(begin.timestamp())),
        "created[lt]": str(int(end.timestamp())),
        "limit": str(PAGE_SIZE),
        "expand[]": "data.source.payment_intent",
    }
    return page if after is None else {**page, "starting_after": after}


def read_balance_page(page: Page) -> StatementPage | StatementUnavailable:
    """Return the lines of a page. Raises ValueError, KeyError or TypeError for what cannot be read."""
    lines = []
    for moved in page.objects:
        try:
            line = _read_line(moved)
        except AmountRefused as error:
            return StatementUnavailable(str(error))
        if line is not None:
            lines.append(line)
    return StatementPage(lines, str(page.objects[-1]["id"]) if page.has_more else None)


def _read_line(moved: Mapping[str, Any]) -> StatementLine | None:
    """Return the line of a balance transaction, None if it is about no operation."""
    type_, source = moved["type"], moved["source"]
    if type_ in _CHARGES:
        return _charged(moved, source)
    if type_ in _REFUNDS:
        return _line(moved, str(source["id"]), Kind.REFUND, _id_in(source, OPERATION_ID), source["amount"], source)
    if type_ in _FAILED_REFUNDS:
        operation_id = _id_in(source, OPERATION_ID)
        return _line(moved, str(moved["id"]), Kind.REFUND_REVERSAL, operation_id, source["amount"], source)
    return None


def _charged(moved: Mapping[str, Any], charge: Mapping[str, Any]) -> StatementLine:
    intent = charge["payment_intent"]
    # A charge that was not made by a PaymentIntent is none of ours.
    if not isinstance(intent, dict):
        return _line(moved, str(charge["id"]), Kind.CHARGE, None, charge["amount_captured"], charge)
    is_capture = intent["capture_method"] == "manual"
    kind = Kind.CAPTURE if is_capture else Kind.CHARGE
    operation_id = _id_in(intent, CAPTURE_ID if is_capture else OPERATION_ID)
    return _line(moved, str(intent["id"]), kind, operation_id, charge["amount_captured"], charge)


def _line(
    moved: Mapping[str, Any], id_: str, kind: Kind, operation_id: UUID | None, amount: Any, source: Mapping[str, Any]
) -> StatementLine:
    currency = str(source["currency"]).upper()
    # `true` is an int to Python.
    minor = from_stripe(amount, currency, stored_places(currency)) if type(amount) is int else None
    if minor is None:
        raise ValueError("an amount that is no whole number of minor units")
    return StatementLine(
        id=id_,
        operation_id=operation_id,
        kind=kind,
        amount_minor=minor,
        currency=currency,
        status=LineStatus.SUCCEEDED,
        at=datetime.fromtimestamp(moved["created"], UTC),
    )


def _id_in(found: Mapping[str, Any], name: str) -> UUID | None:
    """Return our id in the metadata; None for what another system made."""
    metadata = found.get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
