"""The entries of the live book: transfers with their journals, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.entries import EntryPosition, LedgerEntry

_LIVE = "(SELECT id FROM ledger.books WHERE state = 'live')"
_KEY = "happened_at, event_id, rule, number"
_NEWEST_FIRST = "happened_at DESC, event_id DESC, rule DESC, number DESC"
_BEFORE = "(:happened_at::timestamptz, :event_id::uuid, :rule::smallint, :number::smallint)"
# `first` are the transfers of the page.
_SHOWN = f"""
    SELECT t.happened_at, t.event_id, t.rule, t.number, j.id, j.rule_version, j.owner, j.payment_id, j.operation_id,
           t.amount_minor, j.posted_at, j.corrects, j.reason,
           d.owner, d.kind, d.currency, d.places, c.owner, c.kind, c.currency, c.places
    FROM first t JOIN ledger.journals j USING (book, event_id, rule)
         JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
    ORDER BY {_NEWEST_FIRST}
"""

# Each side of each account has an index by time. A transfer between two of the accounts is on the page once.
_OF_ACCOUNTS = Statement(f"""
    WITH first AS MATERIALIZED (
        SELECT DISTINCT ON ({_KEY}) t.*
        FROM unnest(:accounts::bigint[]) AS wanted (account),
             LATERAL (
                 (SELECT * FROM ledger.transfers WHERE debit_account = account AND happened_at <= :as_of::timestamptz
                      AND happened_at <= :happened_at::timestamptz AND ({_KEY}) < {_BEFORE}
                  ORDER BY {_NEWEST_FIRST} LIMIT :limit::integer)
                 UNION ALL
                 (SELECT * FROM ledger.transfers WHERE credit_account = account AND happened_at <= :as_of::timestamptz
                      AND happened_at <= :happened_at::timestamptz AND ({_KEY}) < {_BEFORE}
                  ORDER BY {_NEWEST_FIRST} LIMIT :limit::integer)
             ) AS t
        ORDER BY {_NEWEST_FIRST} LIMIT :limit::integer
    )
    {_SHOWN}
""")
# A payment has few entries, so all of them are sorted.
_OF_PAYMENT = Statement(f"""
    WITH first AS MATERIALIZED (
        SELECT t.*
        FROM ledger.journals j JOIN ledger.transfers t USING (book, event_id, rule)
        WHERE j.payment_id = :payment_id::uuid AND j.book = {_LIVE}
          AND (:merchant_id::uuid IS NULL OR j.owner = :merchant_id::uuid)
          AND (:account::bigint IS NULL OR :account::bigint IN (t.debit_account, t.credit_account))
          AND t.happened_at <= :as_of::timestamptz
          AND (t.happened_at, t.event_id, t.rule, t.number) < {_BEFORE}
        ORDER BY t.happened_at DESC, t.event_id DESC, t.rule DESC, t.number DESC LIMIT :limit::integer
    )
    {_SHOWN}
""")
_NUMBERS_OF = Statement(f"""
    SELECT id, owner, kind, currency, places FROM ledger.accounts
    WHERE book = {_LIVE} AND owner = :merchant_id::uuid
""")
_NUMBERS_OF_HOUSE = Statement(f"""
    SELECT id, owner, kind, currency, places FROM ledger.accounts WHERE book = {_LIVE} AND owner IS NULL
""")


def account_numbers(database: Database, owner: UUID | None) -> dict[AccountKey, int]:
    """Return the numbers of a merchant's accounts, or without one of the house's."""
    rows = database.run(_NUMBERS_OF_HOUSE) if owner is None else database.run(_NUMBERS_OF, merchant_id=owner)
    return {_key(*row[1:]): row[0] for row in rows}


def of_accounts(
    database: Database, accounts: Sequence[int], as_of: datetime, before: EntryPosition, limit: int
) -> list[LedgerEntry]:
    """Return at most `limit` entries of these accounts, newest first, up to `as_of` and before the position."""
    numbers = "{" + ",".join(map(str, accounts)) + "}"
    rows = database.run(_OF_ACCOUNTS, accounts=numbers, as_of=as_of, limit=limit, **before._asdict())
    return list(map(_entry, rows))


def of_payment(
    database: Database,
    payment_id: UUID,
    merchant_id: UUID | None,
    account: int | None,
    *,
    as_of: datetime,
    before: EntryPosition,
    limit: int,
) -> list[LedgerEntry]:
    """Return at most `limit` entries of a payment, of one account if it is named, newest first."""
    rows = database.run(
        _OF_PAYMENT,
        payment_id=payment_id,
        merchant_id=merchant_id,
        account=account,
        as_of=as_of,
        limit=limit,
        **before._asdict(),
    )
    return list(map(_entry, rows))


def _entry(row: Row) -> LedgerEntry:
    (happened_at, event_id, rule, number, id_, version, owner, payment_id, operation_id), rest = row[:9], row[9:]
    amount_minor, posted_at, corrects, reason = rest[:4]
    return LedgerEntry(
        position=EntryPosition(happened_at, event_id, rule, number),
        journal_id=id_,
        rule_version=version,
        owner=owner,
        payment_id=payment_id,
        operation_id=operation_id,
        debit=_key(*rest[4:8]),
        credit=_key(*rest[8:]),
        amount_minor=amount_minor,
        posted_at=posted_at,
        corrects=corrects,
        reason=reason,
    )


def _key(owner: UUID | None, kind: str, currency: str, places: int) -> AccountKey:
    return AccountKey(owner, AccountKind(kind), currency, places)
