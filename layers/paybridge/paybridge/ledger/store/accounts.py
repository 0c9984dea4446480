"""The accounts of a book by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.ledger.domain.accounts import AccountKey, AccountKind, normal_side

_ROWS = "json_to_recordset(:keys::json) AS k (owner uuid, kind text, currency text, places smallint, side text)"

# The house's accounts apart, because an index finds no NULL by a comparison of two columns.
_FIND = Statement(f"""
    SELECT a.id, a.owner, a.kind, a.currency, a.places
    FROM {_ROWS} JOIN ledger.accounts a
        ON a.book = :book::smallint AND a.owner = k.owner AND a.kind = k.kind AND a.currency = k.currency::char(3)
       AND a.places = k.places
    UNION ALL
    SELECT a.id, a.owner, a.kind, a.currency, a.places
    FROM {_ROWS} JOIN ledger.accounts a
        ON a.book = :book::smallint AND a.owner IS NULL AND a.kind = k.kind AND a.currency = k.currency::char(3)
       AND a.places = k.places
    WHERE k.owner IS NULL
""")

# In the order of their names, because two batches that open the same accounts must lock in the same order.
_OPEN = Statement(f"""
    INSERT INTO ledger.accounts (book, owner, kind, currency, places, normal_side)
    SELECT :book::smallint, owner, kind, currency, places, side FROM {_ROWS}
    ORDER BY owner, kind, currency, places
    ON CONFLICT DO NOTHING
""")


def ensure(transaction: Transaction, book: int, keys: Iterable[AccountKey]) -> dict[AccountKey, int]:
    """Return the number of each account, and open those that the book does not have yet."""
    wanted = set(keys)
    found = _find(transaction, book, wanted)
    missing = wanted.difference(found)
    if missing:
        transaction.run(_OPEN, book=book, keys=_rows(missing))
        # In a new statement, because another batch may have opened one of them just now.
        found |= _find(transaction, book, missing)
    return found


def _find(transaction: Transaction, book: int, keys: Iterable[AccountKey]) -> dict[AccountKey, int]:
    rows = transaction.run(_FIND, book=book, keys=_rows(keys))
    return {AccountKey(owner, AccountKind(kind), currency, places): id_ for id_, owner, kind, currency, places in rows}


def _rows(keys: Iterable[AccountKey]) -> str:
    return json_rows(_row(key) for key in keys)


def _row(key: AccountKey) -> Mapping[str, object]:
    return {**key._asdict(), "side": normal_side(key.kind)}
