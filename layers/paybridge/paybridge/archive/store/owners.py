"""Whose payments and refunds are archived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from paybridge.archive.domain import ArchivedTable, month_of
from paybridge.database.database import Database, Statement, Transaction

# Ids of one merchant in a row: 8 KB, so a look-up reads a few pages.
BLOCK_IDS = 500

_BLOCKS = """
    INSERT INTO archived_owners (kind, merchant_id, first_id, last_id, month, ids)
    SELECT '{kind}', merchant_id, (array_agg(id ORDER BY id))[1], (array_agg(id ORDER BY id DESC))[1],
           :month::date, array_agg(id ORDER BY id)
    FROM (SELECT merchant_id, id, (row_number() OVER (PARTITION BY merchant_id ORDER BY id) - 1) / {block} AS block
          FROM {partition} WHERE id >= :first::uuid AND id <= :last::uuid AND {condition}) AS numbered
    GROUP BY merchant_id, block
    ON CONFLICT (kind, merchant_id, first_id) DO NOTHING
"""
# The refunds that merchants see.
_REFUNDS = "kind = 'refund' AND cause IN ('merchant', 'gateway')"
_KINDS = {"payments": ("payment", "true"), "operations": ("refund", _REFUNDS)}

# A merchant's blocks follow each other, so the last that begins before the id is the one.
_FIND = Statement("""
    SELECT month FROM (
        SELECT month, ids FROM archived_owners
        WHERE kind = :kind::text AND merchant_id = :merchant_id::uuid AND first_id <= :id::uuid
        ORDER BY first_id DESC LIMIT 1) AS block
    WHERE :id::uuid = ANY (ids)
""")
# Of any merchant: those of the month, of which the id has one from each merchant.
_FIND_OF_ANY = Statement("""
    SELECT month FROM archived_owners
    WHERE kind = :kind::text AND month = :month::date AND first_id <= :id::uuid AND last_id >= :id::uuid
      AND :id::uuid = ANY (ids)
    LIMIT 1
""")

_REFUNDED_OF_ANY = Statement(f"SELECT payment_id FROM operations WHERE id = :id::uuid AND {_REFUNDS}")
_REFUNDED = Statement(f"""
    SELECT payment_id FROM operations WHERE id = :id::uuid AND merchant_id = :merchant_id::uuid AND {_REFUNDS}
""")


def statement_of(table: ArchivedTable) -> Statement | None:
    """Return the statement that notes the owners of a table's rows, None for a table that has no resources."""
    if table.table not in _KINDS:
        return None
    kind, condition = _KINDS[table.table]
    return Statement(_BLOCKS.format(kind=kind, block=BLOCK_IDS, partition=table.partition, condition=condition))


def note(
    transaction: Transaction, statement: Statement, month: date, first: Sequence[str], last: Sequence[str]
) -> None:
    """Note the owners of the rows from the first key to the last."""
    transaction.run(statement, month=month, first=first[0], last=last[0])


def find_month(database: Database, kind: str, merchant_id: UUID | None, id_: UUID) -> date | None:
    """Return the month in which the merchant's payment or refund was archived, None if it was not.

    Without a merchant it is that of any.
    """
    if merchant_id is None:
        rows = database.run(_FIND_OF_ANY, kind=kind, id=id_, month=month_of(id_))
    else:
        rows = database.run(_FIND, kind=kind, merchant_id=merchant_id, id=id_)
    return rows[0][0] if rows else None


def find_refunded(database: Database, merchant_id: UUID | None, refund_id: UUID) -> UUID | None:
    """Return the payment of a merchant's refund that is newer than the archive, None if there is no such refund."""
    if merchant_id is None:
        rows = database.run(_REFUNDED_OF_ANY, id=refund_id)
    else:
        rows = database.run(_REFUNDED, id=refund_id, merchant_id=merchant_id)
    return rows[0][0] if rows else None
