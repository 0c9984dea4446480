"""Payments that screening holds back, and the answers to reviews."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.idempotency_keys import KEY_COLUMNS, KEY_VALUES, KeyClaim
from paybridge.payments.store.row import COLUMNS, payment_from_row

# The limit makes PostgreSQL look each payment up by its key.
_CHANGE = Statement("""
    WITH changed AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (id uuid, status text, failure_code text,
            failure_message text, screening json, gateway text, version integer, last_sequence integer,
            updated_at timestamptz)
        LIMIT :length::integer
    )
    UPDATE payments p
    SET status = changed.status, failure_code = changed.failure_code, failure_message = changed.failure_message,
        screening = changed.screening, gateway = changed.gateway, version = changed.version,
        last_sequence = changed.last_sequence, updated_at = changed.updated_at
    FROM changed WHERE p.id = changed.id AND p.version = changed.version - 1
""")

# An operator names no merchant.
_LOCK_ONE = Statement(f"""
    SELECT {COLUMNS} FROM payments p
    WHERE p.id = :id::uuid AND p.merchant_id = coalesce(:merchant_id::uuid, p.merchant_id)
    FOR UPDATE
""")

# Whatever holds such a payment is about to answer or to cancel it.
_LOCK_ALL = Statement(f"""
    SELECT {COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
    ORDER BY p.id
    FOR UPDATE OF p SKIP LOCKED
""")

_TAKE_KEY = Statement(f"""
    INSERT INTO idempotency_keys ({KEY_COLUMNS}) VALUES ({KEY_VALUES}) ON CONFLICT DO NOTHING RETURNING resource_id
""")

_LIST = Statement(f"""
    SELECT {COLUMNS} FROM payments p
    WHERE p.status = 'review' AND p.id > :after::uuid
    ORDER BY p.id
    LIMIT :limit::integer
""")


def change(transaction: Transaction, payments: Sequence[Payment]) -> None:
    """Write what screening, or the answer to a review, made of these payments, which are locked."""
    rows = [
        {
            "id": payment.id,
            "status": payment.status,
            "failure_code": payment.failure_code,
            "failure_message": payment.failure_message,
            "screening": payment.screening,
            "gateway": payment.gateway,
            "version": payment.version,
            "last_sequence": payment.last_sequence,
            "updated_at": payment.updated_at,
        }
        for payment in payments
    ]
    transaction.run(_CHANGE, rows=json_rows(rows), length=len(rows))


def lock_one(transaction: Transaction, payment_id: UUID, merchant_id: UUID | None) -> Payment | None:
    """Lock a payment until the transaction ends: the merchant's, or without a merchant anyone's."""
    rows = transaction.run(_LOCK_ONE, id=payment_id, merchant_id=merchant_id)
    return payment_from_row(rows[0]) if rows else None


def lock_all(transaction: Transaction, ids: Sequence[UUID]) -> list[Payment]:
    """Lock these payments until the transaction ends, but for those that another one holds."""
    return [payment_from_row(row) for row in transaction.run(_LOCK_ALL, ids=uuid_array(ids))]


def take_key(transaction: Transaction, claim: KeyClaim) -> bool:
    """Take an idempotency key with its answer; return False if the key is taken."""
    return bool(transaction.run(_TAKE_KEY, **claim._asdict()))


def in_review(database: Database, after: UUID, limit: int) -> list[Payment]:
    """Return up to `limit` payments in review with ids above `after`, the oldest first."""
    return [payment_from_row(row) for row in database.run(_LIST, after=after, limit=limit)]
