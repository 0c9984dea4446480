"""Journals: what one event moves between accounts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from paybridge.ledger.domain.accounts import AccountKey

# The counters of what is posted to live books.
JOURNALS_POSTED, TRANSFERS_POSTED = "ledger.journals_posted", "ledger.transfers_posted"


class Transfer(NamedTuple):
    """An amount above zero from one account to another, so that every journal balances."""

    debit: AccountKey
    credit: AccountKey
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The transfers of one event by one rule; `event_id` and `rule` name it within a book.

    `corrects` is the id of the journal that this one takes back, and `reason` why.
    """

    event_id: UUID
    rule: int
    rule_version: int
    id: UUID
    owner: UUID
    payment_id: UUID | None
    operation_id: UUID | None
    currency: str
    happened_at: datetime
    transfers: tuple[Transfer, ...]
    corrects: UUID | None = None
    reason: str | None = None


def journal_id(event_id: UUID, rule_name: str, rule_version: int) -> UUID:
    """Return the id of a journal, the same whenever and wherever it is posted."""
    return uuid5(event_id, f"{rule_name}/{rule_version}")


def reversed_journal(journal: Journal, rule_name: str, reason: str, now: datetime) -> Journal:
    """Return the journal that takes another one back. It has the number of its rule below zero: there is one."""
    return replace(
        journal,
        rule=-journal.rule,
        id=journal_id(journal.event_id, rule_name, journal.rule_version),
        happened_at=now,
        transfers=tuple(Transfer(each.credit, each.debit, each.amount_minor) for each in journal.transfers),
        corrects=journal.id,
        reason=reason,
    )
