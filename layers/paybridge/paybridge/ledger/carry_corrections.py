"""Carry corrections over into a rebuilt book. An operator wrote them, and no event makes them."""

from __future__ import annotations

from paybridge.database.database import Transaction
from paybridge.ledger.store import carrying
from paybridge.ledger.store import journals as journal_store

CARRIED_AT_ONCE = 1000


def carry_corrections(transaction: Transaction, live_book: int, rebuilt_book: int) -> int:
    """Post the corrections that the rebuilt book lacks into it; return how many that were.

    A correction of a journal that the rebuilt book does not have, or has with other transfers, stays behind: it is a
    difference, and taking back what was never posted would be wrong.
    """
    carried = 0
    while found := carrying.find_left_behind(transaction, live_book, rebuilt_book, CARRIED_AT_ONCE):
        carried += len(journal_store.post(transaction, rebuilt_book, found))
        if len(found) < CARRIED_AT_ONCE:
            break
    return carried
