"""Read a refund for its merchant. Every query names the merchant; lists are in `listing`."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.refunds.domain import Refund
from paybridge.refunds.store.row import OPERATION_COLUMNS, PAYMENT_COLUMNS, refund_from_row

_COLUMNS = ", ".join([*(f"o.{name}" for name in OPERATION_COLUMNS), *(f"p.{name}" for name in PAYMENT_COLUMNS)])

# Merchants see the refunds that they asked for, and those that were made at the gateway.
_GET = Statement(f"""
    SELECT {_COLUMNS} FROM operations o JOIN payments p ON p.id = o.payment_id
    WHERE o.id = :id::uuid AND o.merchant_id = :merchant_id::uuid AND o.kind = 'refund'
      AND o.cause IN ('merchant', 'gateway')
""")


def get(database: Database, merchant_id: UUID, refund_id: UUID) -> Refund | None:
    """Return the refund; None if there is none or it belongs to another merchant."""
    rows = database.run(_GET, id=refund_id, merchant_id=merchant_id)
    return refund_from_row(rows[0]) if rows else None
