"""What all merchants have together, by the kinds of their accounts."""

from __future__ import annotations

from paybridge.database.database import Database, Statement
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.balances import AccountBalance

# All accounts are read: their number is that of the merchants and their currencies, not that of payments.
_READ = Statement("""
    SELECT kind, currency, places, sum(debits_minor)::text, sum(credits_minor)::text FROM ledger.accounts
    WHERE book = (SELECT id FROM ledger.books WHERE state = 'live') AND owner IS NOT NULL
    GROUP BY kind, currency, places
""")


def of_merchants(database: Database) -> list[AccountBalance]:
    """Return the sum of the merchants' accounts of each kind, currency and number of decimal places."""
    return [
        AccountBalance(0, AccountKey(None, AccountKind(kind), currency, places), int(debits), int(credits_))
        for kind, currency, places, debits, credits_ in database.run(_READ)
    ]
