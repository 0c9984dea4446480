"""Fold journals into the totals of their accounts, the slow and obvious way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from paybridge.ledger.domain.accounts import AccountKey
from paybridge.ledger.domain.journals import Journal


class Totals(NamedTuple):
    """What an account was debited and credited in all, in minor units."""

    debits_minor: int
    credits_minor: int


def fold(journals: Iterable[Journal]) -> dict[AccountKey, Totals]:
    """Return what each account adds up to. The order of the journals does not matter, and each counts once."""
    totals: defaultdict[AccountKey, Totals] = defaultdict(lambda: Totals(0, 0))
    for journal in {(each.event_id, each.rule): each for each in journals}.values():
        for debit, credit, amount_minor in journal.transfers:
            totals[debit] = Totals(totals[debit].debits_minor + amount_minor, totals[debit].credits_minor)
            totals[credit] = Totals(totals[credit].debits_minor, totals[credit].credits_minor + amount_minor)
    return dict(totals)
