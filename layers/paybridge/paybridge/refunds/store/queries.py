"""Read a refund, for its merchant or for staff. Lists are in `listing`."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.refunds.domain import Refund
from paybridge.refunds.store.row import OPERATION_COLUMNS, PAYMENT_COLUMNS, refund_from_row

_COLUMNS = ", ".join([*(f"o.{name}" for name in OPERATION_COLUMNS), *(f"p.{name}" for name in PAYMENT_COLUMNS)])

# Merchants see the refunds that they asked for, and those that were made at the gateway.
_FIND = f"""
    SELECT {_COLUMNS} FROM operations o JOIN payments p ON p.id = o.payment_id
    WHERE o.id = :id::uuid AND o.kind = 'refund' AND o.cause IN ('merchant', 'gateway')
"""
_GET = Statement(f"{_FIND} AND o.merchant_id = :merchant_id::uuid")
_GET_OF_ANY = Statement(_FIND)


def get(database: Database, merchant_id: UUID | None, refund_id: UUID) -> Refund | None:
    """Return the refund, None if there is none or it belongs to another merchant than the one given."""
    if merchant_id is None:
        rows = database.run(_GET_OF_ANY, id=refund_id)
    else:
        rows = database.run(_GET, id=refund_id, merchant_id=merchant_id)
    return refund_from_row(rows[0]) if rows else None
