"""The journals that corrections take back."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.journals import Journal, Transfer

# An event makes one journal at most. Rules below zero are those of corrections.
_FIND = Statement("""
    SELECT j.rule, j.rule_version, j.id, j.owner, j.payment_id, j.operation_id, j.currency, j.happened_at,
           d.owner, d.kind, d.places, c.owner, c.kind, c.places, t.amount_minor
    FROM ledger.journals j JOIN ledger.transfers t USING (book, event_id, rule)
         JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
    WHERE j.book = :book::smallint AND j.event_id = :event_id::uuid AND j.rule > 0
    ORDER BY t.number
""")


def find(transaction: Transaction, book: int, event_id: UUID) -> Journal | None:
    """Return the journal of an event, None if the book has none."""
    rows = transaction.run(_FIND, book=book, event_id=event_id)
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
