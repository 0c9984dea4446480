"""Add up what all merchants have."""

from __future__ import annotations

from paybridge.database.database import Database
from paybridge.ledger.domain.balances import CurrencyBalance, by_currency
from paybridge.ledger.store import sums


def sum_balances(database: Database) -> list[CurrencyBalance]:
    """Return what all merchants have together in each currency, now. Raises DatabaseUnavailable."""
    return by_currency(sums.of_merchants(database))
