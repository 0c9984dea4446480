"""The row of a payment: queries of whole payments select COLUMNS, and `payment_from_row` reads their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from paybridge.core.money import stored_places
from paybridge.core.records import record_of
from paybridge.payments.domain.payment import Payment, Status

# The columns of `payments` that make up a Payment, each named like its field, with their SQL types.
COLUMN_TYPES: Mapping[str, str] = {
    "id": "uuid",
    "merchant_id": "uuid",
    "amount_minor": "bigint",
    "authorized_minor": "bigint",
    "capturing_minor": "bigint",
    "captured_minor": "bigint",
    "refunding_minor": "bigint",
    "refunded_minor": "bigint",
    "currency": "text",
    "currency_places": "smallint",
    "status": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "correlation_id": "text",
    "version": "integer",
    "last_sequence": "integer",
    "capture": "text",
    "capture_before": "timestamptz",
    "pending_operation": "text",
    "pending_operation_id": "uuid",
    "pending_operation_since": "timestamptz",
    "screening": "json",
    "gateway": "text",
    "gateway_id": "text",
    "failure_code": "text",
    "failure_message": "text",
    "description": "text",
    "metadata": "json",
    "webhook_url": "text",
    "customer": "text",
    "payment_method": "text",
}

COLUMNS = ", ".join(f"p.{name}" for name in COLUMN_TYPES)

# The others begin with the defaults of the table, which are those of Payment.
_INSERTED = tuple(
    name
    for name in COLUMN_TYPES
    if name
    in {
        "id",
        "merchant_id",
        "amount_minor",
        "currency",
        "currency_places",
        "status",
        "created_at",
        "updated_at",
        "correlation_id",
        "capture",
        "description",
        "metadata",
        "webhook_url",
        "customer",
        "payment_method",
    }
)

INSERTED_COLUMNS = ", ".join(_INSERTED)
# For `json_to_recordset`, in which JSON is no text.
INSERTED_TYPES = ", ".join(f"{name} {COLUMN_TYPES[name]}" for name in _INSERTED)
INSERTED_VALUES = ", ".join(f":{name}::{COLUMN_TYPES[name]}" for name in _INSERTED)


def payment_from_row(row: Sequence[Any]) -> Payment:
    """Return the Payment in a row of COLUMNS."""
    values = dict(zip(COLUMN_TYPES, row, strict=True))
    values["status"] = Status(values["status"])
    if values["currency_places"] is None:
        # The row is older than the column.
        values["currency_places"] = stored_places(values["currency"])
    return record_of(Payment, values)


def inserted_values(payment: Payment) -> dict[str, Any]:
    """Return the parameters of INSERTED_VALUES for a new payment."""
    values = {name: getattr(payment, name) for name in _INSERTED}
    values["status"] = str(payment.status)
    if payment.metadata is not None:
        values["metadata"] = orjson.dumps(payment.metadata).decode()
    return values
