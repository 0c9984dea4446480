"""Charges that a gateway made and that settle no payment, and so are given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.payments.domain.operation import Operation

# A charge is found as often as the gateway is asked for it, and recorded once.
_ADD = Statement("""
    INSERT INTO charges_to_return (payment_id, gateway_id, merchant_id, reason, amount_minor, currency, found_at)
    SELECT payment_id, gateway_id, merchant_id, reason, amount_minor, currency, :now::timestamptz
    FROM json_to_recordset(:rows::json) AS row (payment_id uuid, gateway_id text, merchant_id uuid, reason text,
        amount_minor bigint, currency text)
    ON CONFLICT (payment_id, gateway_id) DO NOTHING
    RETURNING payment_id
""")


class ReturnReason(StrEnum):
    """Why the money of a charge has to be given back."""

    # The gateway took less than was asked for.
    PARTIAL_APPROVAL = "partial_approval"
    # The gateway charged a payment that had been given up.
    CHARGED_LATE = "charged_late"


@dataclass(frozen=True, slots=True)
class ChargeToReturn:
    """A charge or authorization on the gateway's record; `amount_minor` is in minor units of `currency`."""

    operation: Operation
    gateway_id: str
    reason: ReturnReason
    amount_minor: int
    currency: str

    @property
    def payment_id(self) -> UUID:
        """Return the id of the payment that it does not settle."""
        return self.operation.payment_id


def add(transaction: Transaction, charges: Sequence[ChargeToReturn], now: datetime) -> set[UUID]:
    """Record the charges, and return the payments of those that were not on record yet."""
    if not charges:
        return set()
    rows = [
        {
            "payment_id": charge.payment_id,
            "gateway_id": charge.gateway_id,
            "merchant_id": charge.operation.merchant_id,
            "reason": charge.reason,
            "amount_minor": charge.amount_minor,
            "currency": charge.currency,
        }
        for charge in charges
    ]
    return {row[0] for row in transaction.run(_ADD, rows=json_rows(rows), now=now)}
