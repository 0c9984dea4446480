"""Payouts: ordered against the balance of an account, and settled once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row
from paybridge.ledger.domain.payouts import Payout, PayoutKey, PayoutStatus

COLUMN_TYPES: Mapping[str, str] = {
    "id": "uuid",
    "merchant_id": "uuid",
    "currency": "text",
    "places": "smallint",
    "amount_minor": "bigint",
    "status": "text",
    "failure_reason": "text",
    "correlation_id": "text",
    "last_sequence": "integer",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
}
_COLUMNS = ", ".join(COLUMN_TYPES)

# Both accounts that the journal moves are locked here, in the order of their ids as everywhere, so that posting it
# waits for nothing. A balance is read once it is locked: it is that of the transaction before. A key that is taken
# inserts nothing, and neither does a balance that is too small.
_ORDER = Statement(f"""
    WITH locked AS MATERIALIZED (
        SELECT id, credits_minor - debits_minor AS balance_minor FROM ledger.accounts
        WHERE id IN (:available::bigint, :reserved::bigint) ORDER BY id FOR NO KEY UPDATE
    )
    INSERT INTO ledger.payouts ({_COLUMNS}, available_after_minor, idempotency_key, fingerprint)
    SELECT :id::uuid, :merchant_id::uuid, :currency::text, :places::smallint, :amount_minor::bigint, 'pending', NULL,
           :correlation_id::text, 1, :now::timestamptz, :now::timestamptz, balance_minor - :amount_minor::bigint,
           :idempotency_key::text, :fingerprint::bytea
    FROM locked WHERE id = :available::bigint AND balance_minor >= :amount_minor::bigint
    ON CONFLICT (merchant_id, idempotency_key) DO NOTHING
    RETURNING id
""")

_FIND_BY_KEY = Statement(f"""
    SELECT fingerprint, {_COLUMNS} FROM ledger.payouts
    WHERE merchant_id = :merchant_id::uuid AND idempotency_key = :key::text
""")
_FIND = Statement(f"""
    SELECT {_COLUMNS} FROM ledger.payouts
    WHERE id = :id::uuid AND (merchant_id = :merchant_id::uuid OR :is_staff::boolean)
""")
_LOCK = Statement(f"SELECT {_COLUMNS} FROM ledger.payouts WHERE id = :id::uuid FOR UPDATE")
_SETTLE = Statement("""
    UPDATE ledger.payouts
    SET status = :status::text, failure_reason = :reason::text, settled_by = :settled_by::text,
        last_sequence = last_sequence + 1, updated_at = :now::timestamptz
    WHERE id = :id::uuid AND status = 'pending'
""")
_AVAILABLE = Statement("""
    SELECT (credits_minor - debits_minor)::text FROM ledger.accounts
    WHERE book = (SELECT id FROM ledger.books WHERE state = 'live') AND owner = :merchant_id::uuid
      AND kind = 'available' AND currency = :currency::char(3) AND places = :places::smallint
""")


def order(transaction: Transaction, payout: Payout, key: PayoutKey, *, available: int, reserved: int) -> bool:
    """Write the payout if its account, of the number `available`, covers it; return whether that happened.

    Both accounts stay locked until the transaction ends. It did not happen either if the key is taken.
    """
    return bool(
        transaction.run(
            _ORDER,
            available=available,
            reserved=reserved,
            id=payout.id,
            merchant_id=payout.merchant_id,
            currency=payout.currency,
            places=payout.places,
            amount_minor=payout.amount_minor,
            correlation_id=payout.correlation_id,
            now=payout.created_at,
            idempotency_key=key.key,
            fingerprint=key.fingerprint,
        )
    )


def find_by_key(database: Database, merchant_id: UUID, key: str) -> tuple[bytes, Payout] | None:
    """Return the payout that was ordered under the key, and the SHA-256 of what was asked for; None if it is free."""
    rows = database.run(_FIND_BY_KEY, merchant_id=merchant_id, key=key)
    return (rows[0][0], payout_from_row(rows[0][1:])) if rows else None


def find(database: Database, merchant_id: UUID | None, payout_id: UUID) -> Payout | None:
    """Return the payout, None if there is none or it belongs to another merchant than the one given."""
    rows = database.run(_FIND, id=payout_id, merchant_id=merchant_id, is_staff=merchant_id is None)
    return payout_from_row(rows[0]) if rows else None


def lock(transaction: Transaction, payout_id: UUID) -> Payout | None:
    """Lock the payout until the transaction ends, and return it as it is then; None if there is none."""
    rows = transaction.run(_LOCK, id=payout_id)
    return payout_from_row(rows[0]) if rows else None


def settle(
    transaction: Transaction, payout_id: UUID, status: PayoutStatus, reason: str | None, by: str, now: datetime
) -> None:
    """Settle the payout, which is locked and pending."""
    transaction.run(_SETTLE, id=payout_id, status=str(status), reason=reason, settled_by=by, now=now)


def available_minor(database: Database, merchant_id: UUID, currency: str, places: int) -> int:
    """Return what the merchant may pay out of the currency: below zero after refunds of what was paid out."""
    rows = database.run(_AVAILABLE, merchant_id=merchant_id, currency=currency, places=places)
    return int(rows[0][0]) if rows else 0


def payout_from_row(row: Row) -> Payout:
    """Return the Payout in a row of COLUMN_TYPES."""
    values: dict[str, Any] = dict(zip(COLUMN_TYPES, row, strict=True))
    return Payout(**{**values, "status": PayoutStatus(values["status"])})
