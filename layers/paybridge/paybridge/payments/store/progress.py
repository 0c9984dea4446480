"""The events of payments that are on their way, for merchants that follow them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import uuid_array

_FIND_CREATED = Statement("""
    SELECT o.payment_id, o.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN outbox o ON o.payment_id = wanted.id
    WHERE o.type = 'payment.created'
""")

_FIND_FOLLOWED = Statement("""
    SELECT o.id FROM merchants m JOIN outbox o ON o.payment_id = :payment_id::uuid AND o.merchant_id = m.id
    WHERE m.id = :merchant_id::uuid AND m.follows_progress AND o.type = 'payment.created'
""")


def find_created(transaction: Transaction, payment_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the id of the event `payment.created` of each payment, by the payment's id."""
    return {row[0]: row[1] for row in transaction.run(_FIND_CREATED, ids=uuid_array(payment_ids))}


def find_followed(database: Database, merchant_id: UUID, payment_id: UUID) -> UUID | None:
    """Return the id of the event `payment.created` if the merchant follows progress, else None."""
    rows = database.run(_FIND_FOLLOWED, merchant_id=merchant_id, payment_id=payment_id)
    return rows[0][0] if rows else None
