"""Charges that a gateway made and that settle no payment, and so are given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment

# A charge is found as often as the gateway is asked for it, and recorded once. The count is that of the rows before
# this statement.
_ADD = Statement("""
    INSERT INTO charges_to_return (payment_id, gateway_id, merchant_id, reason, amount_minor, currency, found_at)
    SELECT payment_id, gateway_id, merchant_id, reason, amount_minor, currency, :now::timestamptz
    FROM json_to_recordset(:rows::json) AS row (payment_id uuid, gateway_id text, merchant_id uuid, reason text,
        amount_minor bigint, currency text)
    ON CONFLICT (payment_id, gateway_id) DO NOTHING
    RETURNING payment_id, gateway_id, (
        SELECT count(*)::integer FROM charges_to_return earlier WHERE earlier.payment_id = charges_to_return.payment_id)
""")


class ReturnReason(StrEnum):
    """Why the money of a charge has to be given back."""

    # The gateway took less than was asked for.
    PARTIAL_APPROVAL = "partial_approval"
    # The gateway charged a payment that had been given up.
    CHARGED_LATE = "charged_late"


@dataclass(frozen=True, slots=True)
class ChargeToReturn:
    """A charge or authorization on the gateway's record, in the currency of the payment that it does not settle."""

    operation: Operation
    payment: Payment
    gateway_id: str
    reason: ReturnReason
    amount_minor: int

    @property
    def key(self) -> ChargeKey:
        """Return what names the charge."""
        return ChargeKey(self.payment.id, self.gateway_id)


class ChargeKey(NamedTuple):
    """A charge by its payment and its id at the gateway."""

    payment_id: UUID
    gateway_id: str


def add(transaction: Transaction, charges: Sequence[ChargeToReturn], now: datetime) -> dict[ChargeKey, int]:
    """Record the charges; return those that were not on record yet, each with the number of earlier ones.

    Those are the charges of the same payment that had been recorded before, also by this call. The payments must be
    locked, or another transaction may count the same ones.
    """
    if not charges:
        return {}
    rows = [
        {
            "payment_id": charge.payment.id,
            "gateway_id": charge.gateway_id,
            "merchant_id": charge.operation.merchant_id,
            "reason": charge.reason,
            "amount_minor": charge.amount_minor,
            "currency": charge.payment.currency,
        }
        for charge in charges
    ]
    recorded = {ChargeKey(*key): earlier for *key, earlier in transaction.run(_ADD, rows=json_rows(rows), now=now)}
    counted: Counter[UUID] = Counter()
    added = {}
    for key in dict.fromkeys(charge.key for charge in charges):
        if key in recorded:
            added[key] = recorded[key] + counted[key.payment_id]
            counted[key.payment_id] += 1
    return added
