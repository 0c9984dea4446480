"""The row of a refund: its operation, and the currency of its payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paybridge.core.money import stored_places
from paybridge.payments.domain.operation import Cause, Kind, Operation, OperationStatus
from paybridge.refunds.domain import Refund

# The columns of `operations` that merchants see or that say whether they do, each named like its field.
OPERATION_COLUMNS: Mapping[str, str] = {
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
    "failure_code": "text",
    "reason": "text",
    "metadata": "json",
}
PAYMENT_COLUMNS: Mapping[str, str] = {"currency": "text", "currency_places": "smallint"}


def refund_from_row(row: Sequence[Any]) -> Refund:
    """Return the Refund in a row of OPERATION_COLUMNS and PAYMENT_COLUMNS."""
    values = dict(zip([*OPERATION_COLUMNS, *PAYMENT_COLUMNS], row, strict=True))
    currency, places = values.pop("currency"), values.pop("currency_places")
    values["kind"] = Kind(values["kind"])
    values["cause"] = Cause(values["cause"])
    values["status"] = OperationStatus(values["status"])
    # A payment may be older than the column of its places.
    return Refund(Operation(**values), currency, stored_places(currency) if places is None else places)
