"""Seal the journals of the books in the background.

A seal comes `DELAY_SECONDS` after the journals. A journal whose transaction commits late is not skipped: the order is
that of transactions, and nothing is sealed beyond the oldest one that may still commit.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from paybridge.database.database import Database
from paybridge.ledger.domain.seal import BLOCK_JOURNALS_MAX, Block, seal_block
from paybridge.ledger.store import seals

DELAY_SECONDS = 30.0


class SealedCount(NamedTuple):
    """What one run has sealed."""

    blocks: int = 0
    journals: int = 0


def seal_books(database: Database, seconds_max: float, delay_seconds: float = DELAY_SECONDS) -> SealedCount:
    """Seal what is due in every book, for about `seconds_max`. Raises DatabaseUnavailable."""
    ends_at = time.monotonic() + seconds_max
    seals.add_heads(database)
    blocks = journals = 0
    for book in seals.sealed_books(database):
        while sealed := _seal_next(database, book, delay_seconds):
            blocks, journals = blocks + 1, journals + sealed
            if time.monotonic() >= ends_at:
                return SealedCount(blocks, journals)
    return SealedCount(blocks, journals)


def _seal_next(database: Database, book: int, delay_seconds: float) -> int:
    """Seal one block and return how many journals it has; 0 if nothing is due or another process seals."""
    with database.transaction() as transaction:
        head = seals.lock_head(transaction, book)
        if head is None:
            return 0
        journals = seals.read_next(transaction, book, head.last, BLOCK_JOURNALS_MAX, delay_seconds)
        if not journals:
            return 0
        seals.add(transaction, book, Block(journals[0].position, len(journals)), seal_block(journals, head))
        return len(journals)
