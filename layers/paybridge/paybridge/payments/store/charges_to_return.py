"""Charges that a gateway made and that settle no payment: a person gives the money back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows

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
    """A charge on the gateway's record; `amount_minor` is in minor units of `currency`."""

    payment_id: UUID
    merchant_id: UUID
    gateway_id: str
    reason: ReturnReason
    amount_minor: int
    currency: str


def add(transaction: Transaction, charges: Sequence[ChargeToReturn], now: datetime) -> set[UUID]:
    """Record the charges, and return the payments of those that were not on record yet."""
    return {row[0] for row in transaction.run(_ADD, rows=json_rows(charges), now=now)} if charges else set()
