"""The row of a refund: its operation, and the currency of its payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paybridge.core.money import stored_places
from paybridge.payments.store.operation_row import OPERATION_COLUMN_TYPES, operation_of
from paybridge.refunds.domain import Refund

# The columns of `operations` that merchants see or that say whether they do.
OPERATION_COLUMNS: Mapping[str, str] = {
    name: OPERATION_COLUMN_TYPES[name]
    for name in (
        "id",
        "payment_id",
        "merchant_id",
        "kind",
        "cause",
        "gateway",
        "amount_minor",
        "status",
        "correlation_id",
        "created_at",
        "updated_at",
        "failure_code",
        "reason",
        "metadata",
    )
}
PAYMENT_COLUMNS: Mapping[str, str] = {"currency": "text", "currency_places": "smallint"}


def refund_from_row(row: Sequence[Any]) -> Refund:
    """Return the Refund in a row of OPERATION_COLUMNS and PAYMENT_COLUMNS."""
    values = dict(zip([*OPERATION_COLUMNS, *PAYMENT_COLUMNS], row, strict=True))
    currency, places = values.pop("currency"), values.pop("currency_places")
    # A payment may be older than the column of its places.
    return Refund(operation_of(values), currency, stored_places(currency) if places is None else places)
