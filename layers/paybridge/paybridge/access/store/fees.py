"""The history of merchants' fees. What is written in it stays."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.access.domain.fees import FeeChange, fee_rule_of
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array

_FIND = Statement("""
    SELECT merchant_id, valid_from, fees FROM merchant_fees WHERE merchant_id = ANY(:merchant_ids::uuid[])
    ORDER BY merchant_id, valid_from
""")


def find(transaction: Transaction, merchant_ids: Iterable[UUID]) -> dict[UUID, list[FeeChange]]:
    """Return the changes of each merchant's fees in the order of time."""
    found: dict[UUID, list[FeeChange]] = {}
    for merchant_id, valid_from, fees in transaction.run(_FIND, merchant_ids=uuid_array(merchant_ids)):
        found.setdefault(merchant_id, []).append(FeeChange(valid_from, fee_rule_of(fees)))
    return found
