"""The books. One of them is live: events are posted to it and balances are read from it."""

from __future__ import annotations

from paybridge.database.database import Statement, Transaction

# The lock lets every other batch post, and makes a switch to another book wait for them.
_SHARE_LIVE = Statement("SELECT id FROM ledger.books WHERE state = 'live' FOR SHARE")


def share_live(transaction: Transaction) -> int:
    """Return the live book, which stays live until this transaction ends."""
    book: int = transaction.run(_SHARE_LIVE)[0][0]
    return book
