"""The balances of accounts of the live book, now or at a moment."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.balances import AccountBalance

_LIVE = "(SELECT id FROM ledger.books WHERE state = 'live')"
_NOW = "SELECT a.id, a.owner, a.kind, a.currency, a.places, a.debits_minor::text, a.credits_minor::text"
# The days before that of the moment, and the transfers of that day up to it.
_THEN = """
    SELECT a.id, a.owner, a.kind, a.currency, a.places,
           (coalesce(days.debits, 0) + coalesce(debit.minor, 0))::text,
           (coalesce(days.credits, 0) + coalesce(credit.minor, 0))::text
"""
_UNTIL = """
    LEFT JOIN LATERAL (
        SELECT sum(d.debits_minor) AS debits, sum(d.credits_minor) AS credits FROM ledger.daily_totals d
        WHERE d.account = a.id AND d.day < (:as_of::timestamptz AT TIME ZONE 'UTC')::date
    ) AS days ON true
    LEFT JOIN LATERAL (
        SELECT sum(t.amount_minor) AS minor FROM ledger.transfers t
        WHERE t.debit_account = a.id AND t.happened_at <= :as_of::timestamptz
          AND t.happened_at >= date_trunc('day', :as_of::timestamptz, 'UTC')
    ) AS debit ON true
    LEFT JOIN LATERAL (
        SELECT sum(t.amount_minor) AS minor FROM ledger.transfers t
        WHERE t.credit_account = a.id AND t.happened_at <= :as_of::timestamptz
          AND t.happened_at >= date_trunc('day', :as_of::timestamptz, 'UTC')
    ) AS credit ON true
"""
_OF_MERCHANT = f"a.book = {_LIVE} AND a.owner = :merchant_id::uuid ORDER BY a.kind, a.currency, a.places"
# Every account, that of the house among them. None is ever removed from a book, so a page stays as it is.
_OF_ALL = f"a.book = {_LIVE} AND a.id > :after::bigint ORDER BY a.id LIMIT :limit::integer"

_READ = Statement(f"{_NOW} FROM ledger.accounts a WHERE {_OF_MERCHANT}")
_READ_AS_OF = Statement(f"{_THEN} FROM ledger.accounts a {_UNTIL} WHERE {_OF_MERCHANT}")
_LIST = Statement(f"{_NOW} FROM ledger.accounts a WHERE {_OF_ALL}")
_LIST_AS_OF = Statement(f"{_THEN} FROM (SELECT * FROM ledger.accounts a WHERE {_OF_ALL}) AS a {_UNTIL} ORDER BY a.id")


def of_merchant(database: Database, merchant_id: UUID, as_of: datetime | None) -> list[AccountBalance]:
    """Return the merchant's accounts, now or as they were after all that had happened by `as_of`."""
    if as_of is None:
        return list(map(_balance, database.run(_READ, merchant_id=merchant_id)))
    return list(map(_balance, database.run(_READ_AS_OF, merchant_id=merchant_id, as_of=as_of)))


def of_all(database: Database, as_of: datetime | None, *, after: int, limit: int) -> list[AccountBalance]:
    """Return at most `limit` accounts with numbers above `after`, in the order of their numbers."""
    if as_of is None:
        return list(map(_balance, database.run(_LIST, after=after, limit=limit)))
    return list(map(_balance, database.run(_LIST_AS_OF, as_of=as_of, after=after, limit=limit)))


def _balance(row: Row) -> AccountBalance:
    number, owner, kind, currency, places, debits, credits_ = row
    return AccountBalance(number, AccountKey(owner, AccountKind(kind), currency, places), int(debits), int(credits_))
