"""Say what was posted for operations, for those who compare the books with the gateways."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.ledger.store import clearing
from paybridge.ledger.store.clearing import ClearedOperation


def read_clearing(transaction: Transaction, payment_ids: Iterable[UUID]) -> list[ClearedOperation]:
    """Return by operation how its journals have changed what gateways owe us.

    An operation without a journal in the live book is left out.
    """
    return clearing.find(transaction, payment_ids)
