"""Corrections, and the journals that they take back."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.corrections import Correction, CorrectionKey
from paybridge.ledger.domain.journals import Journal, Transfer

_NAMES = ("id", "event_id", "rule", "journal_id", "corrects", "reason", "actor", "created_at")
_COLUMNS = ", ".join(_NAMES)

_ADD = Statement(f"""
    INSERT INTO ledger.corrections ({_COLUMNS}, idempotency_key, fingerprint)
    VALUES (:id::uuid, :event_id::uuid, :rule::smallint, :journal_id::uuid, :corrects::uuid, :reason::text,
            :actor::text, :created_at::timestamptz, :key::text, :fingerprint::bytea)
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING id
""")
_FIND = Statement(f"SELECT {_COLUMNS} FROM ledger.corrections WHERE id = :id::uuid")
_FIND_BY_KEY = Statement(f"""
    SELECT fingerprint, {_COLUMNS} FROM ledger.corrections WHERE idempotency_key = :key::text
""")
# Newest first: ids are UUIDv7.
_LIST = Statement(f"""
    SELECT {_COLUMNS} FROM ledger.corrections
    WHERE :before::uuid IS NULL OR id < :before::uuid ORDER BY id DESC LIMIT :limit::integer
""")

# An event makes one journal at most. Rules below zero are those of corrections.
_FIND_JOURNAL = Statement("""
    SELECT j.rule, j.rule_version, j.id, j.owner, j.payment_id, j.operation_id, j.currency, j.happened_at,
           d.owner, d.kind, d.places, c.owner, c.kind, c.places, t.amount_minor
    FROM ledger.journals j JOIN ledger.transfers t USING (book, event_id, rule)
         JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
    WHERE j.book = :book::smallint AND j.event_id = :event_id::uuid AND j.rule > 0
    ORDER BY t.number
""")


def add(transaction: Transaction, correction: Correction, key: CorrectionKey) -> bool:
    """Note who ordered a correction; return False if the key has ordered one."""
    return bool(
        transaction.run(
            _ADD,
            id=correction.id,
            event_id=correction.event_id,
            rule=correction.rule,
            journal_id=correction.journal_id,
            corrects=correction.corrects,
            reason=correction.reason,
            actor=correction.actor,
            created_at=correction.created_at,
            key=key.key,
            fingerprint=key.fingerprint,
        )
    )


def find(database: Database, correction_id: UUID) -> Correction | None:
    """Return a correction, None if there is none."""
    rows = database.run(_FIND, id=correction_id)
    return _from_row(rows[0]) if rows else None


def find_by_key(database: Database, key: str) -> tuple[bytes, Correction] | None:
    """Return the correction that was ordered under the key, and the SHA-256 of what was asked for."""
    rows = database.run(_FIND_BY_KEY, key=key)
    return (rows[0][0], _from_row(rows[0][1:])) if rows else None


def list_newest(database: Database, before: UUID | None, limit: int) -> list[Correction]:
    """Return corrections with ids below `before`, which None does not bound, newest first."""
    return [_from_row(row) for row in database.run(_LIST, before=before, limit=limit)]


def _from_row(row: Row) -> Correction:
    return Correction(**dict(zip(_NAMES, row, strict=True)))


def find_journal(transaction: Transaction, book: int, event_id: UUID) -> Journal | None:
    """Return the journal of an event, None if the book has none."""
    rows = transaction.run(_FIND_JOURNAL, book=book, event_id=event_id)
    if not rows:
        return None
    rule, rule_version, id_, owner, payment_id, operation_id, currency, happened_at = rows[0][:8]

    def key(of: UUID | None, kind: str, places: int) -> AccountKey:
        return AccountKey(of, AccountKind(kind), currency, places)

    return Journal(
        event_id=event_id,
        rule=rule,
        rule_version=rule_version,
        id=id_,
        owner=owner,
        payment_id=payment_id,
        operation_id=operation_id,
        currency=currency,
        happened_at=happened_at,
        transfers=tuple(Transfer(key(*row[8:11]), key(*row[11:14]), row[14]) for row in rows),
    )
