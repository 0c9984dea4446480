"""The row of a payment: queries of whole payments select COLUMNS, and `payment_from_row` reads their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from paybridge.core.money import stored_places
from paybridge.payments.domain.payment import Payment, Status

# The columns of `payments` that make up a Payment, each named like its field, with their SQL types.
COLUMN_TYPES: Mapping[str, str] = {
    "id": "uuid",
    "merchant_id": "uuid",
    "amount_minor": "bigint",
    "captured_minor": "bigint",
    "refunded_minor": "bigint",
    "currency": "text",
    "currency_places": "smallint",
    "status": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "correlation_id": "text",
    "last_sequence": "integer",
    "capture": "text",
    "failure_code": "text",
    "failure_message": "text",
    "description": "text",
    "metadata": "json",
    "webhook_url": "text",
    "customer": "text",
    "payment_method": "text",
}

COLUMNS = ", ".join(f"p.{name}" for name in COLUMN_TYPES)

# These begin with the defaults of the table, which are those of Payment.
_DEFAULTED = frozenset({"captured_minor", "refunded_minor", "last_sequence", "failure_code", "failure_message"})
_INSERTED = tuple(name for name in COLUMN_TYPES if name not in _DEFAULTED)

INSERTED_COLUMNS = ", ".join(_INSERTED)
INSERTED_VALUES = ", ".join(f":{name}::{COLUMN_TYPES[name]}" for name in _INSERTED)


def payment_from_row(row: Sequence[Any]) -> Payment:
    """Return the Payment in a row of COLUMNS."""
    values = dict(zip(COLUMN_TYPES, row, strict=True))
    values["status"] = Status(values["status"])
    if values["currency_places"] is None:
        # The row is older than the column.
        values["currency_places"] = stored_places(values["currency"])
    return Payment(**values)


def inserted_values(payment: Payment) -> dict[str, Any]:
    """Return the parameters of INSERTED_VALUES for a new payment."""
    values = {name: getattr(payment, name) for name in _INSERTED}
    values["status"] = str(payment.status)
    if payment.metadata is not None:
        values["metadata"] = orjson.dumps(payment.metadata).decode()
    return values
