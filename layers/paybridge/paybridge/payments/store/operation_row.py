"""The row of an operation, as the queries of several rooms read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paybridge.payments.domain.operation import UNSETTLED_STATUSES, Cause, Kind, Operation, OperationStatus

# The columns of `operations` that make up an Operation, each named like its field, with their SQL types.
OPERATION_COLUMN_TYPES: Mapping[str, str] = {
    "id": "uuid",
    "payment_id": "uuid",
    "merchant_id": "uuid",
    "kind": "text",
    "cause": "text",
    "gateway": "text",
    "amount_minor": "bigint",
    "status": "text",
    "correlation_id": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "number": "smallint",
    "asks": "integer",
    "started_at": "timestamptz",
    "asked_at": "timestamptz",
    "pending_at": "timestamptz",
    "finished_at": "timestamptz",
    "gateway_id": "text",
    "target_gateway_id": "text",
    "failure_code": "text",
    "failure_message": "text",
    "approved_minor": "bigint",
    "reason": "text",
    "metadata": "json",
    "last_sequence": "integer",
}
OPERATION_COLUMNS = ", ".join(f"o.{name}" for name in OPERATION_COLUMN_TYPES)

# What an open operation's status is IN. The index operations_unsettled has the same list.
UNSETTLED = "(" + ", ".join(f"'{status}'" for status in OperationStatus if status in UNSETTLED_STATUSES) + ")"


def operation_from_row(row: Sequence[Any]) -> Operation:
    """Return the Operation in a row of OPERATION_COLUMNS."""
    return operation_of(dict(zip(OPERATION_COLUMN_TYPES, row, strict=True)))


def operation_of(values: dict[str, Any]) -> Operation:
    """Return the Operation with these values of columns, by their names. Fields without a value have their defaults."""
    values["kind"] = Kind(values["kind"])
    values["cause"] = Cause(values["cause"])
    values["status"] = OperationStatus(values["status"])
    return Operation(**values)
