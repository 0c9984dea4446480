"""Read the figures of days and months.

Import this module only where figures are read, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Date, Integer, Text, Uuid, bindparam, cast, func, literal_column, select, tuple_

from paybridge.analytics.domain import DayKey, Figures, Wanted
from paybridge.analytics.store.tables import AMOUNTS, COUNTS, days
from paybridge.database.clauses import compiled
from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row

_MERCHANT, _CURRENCY = bindparam("merchant_id", type_=Uuid), bindparam("currency", type_=Text)
_AFTER = tuple_(
    bindparam("after_day", type_=Date),
    bindparam("after_merchant_id", type_=Uuid),
    bindparam("after_currency", type_=Text),
)
_NOTHING: ColumnElement[Any] = literal_column("NULL")
_BEFORE_ALL = DayKey(UUID(int=0), date.min, "")
_NAMES = (*COUNTS, *AMOUNTS, "settling_us", "settling_p50_us", "settling_p95_us")


def days_between(database: Database, wanted: Wanted, *, after: DayKey | None, limit: int) -> list[Figures]:
    """Return the days that are wanted, the oldest first, at most `limit` after this one.

    Raises DatabaseUnavailable.
    """
    return _run(database, days_page, wanted, after, limit)


def months_between(database: Database, wanted: Wanted, *, after: DayKey | None, limit: int) -> list[Figures]:
    """Return the sums of the days of each month; see `days_between`. A month is named by its first day."""
    return _run(database, months_page, wanted, after, limit)


@cache
def days_page(wanted: frozenset[str]) -> Statement:
    """Build the query of a page of days with the `wanted` filters: `merchant_id`, `currency`."""
    key = [days.c.merchant_id, days.c.day, days.c.currency]
    figures = [_shown(name, days.c[name]) for name in _NAMES]
    place = tuple_(days.c.day, days.c.merchant_id, days.c.currency)
    clause = select(*key, *figures).where(*_conditions(wanted), place > _AFTER)
    in_order = clause.order_by(days.c.day, days.c.merchant_id, days.c.currency)
    return compiled(in_order.limit(bindparam("limit", type_=Integer)))


@cache
def months_page(wanted: frozenset[str]) -> Statement:
    """Build the query of a page of months with the `wanted` filters: `merchant_id`, `currency`."""
    # The parameter is one for the database, so both places hold the same expression.
    month = cast(func.date_trunc(literal_column("'month'"), days.c.day), Date).label("month")
    figures = [_shown(name, _NOTHING if name.startswith("settling_p") else func.sum(days.c[name])) for name in _NAMES]
    months = (
        select(days.c.merchant_id, month, days.c.currency, *figures)
        .where(*_conditions(wanted))
        .group_by(days.c.merchant_id, month, days.c.currency)
        .subquery("months")
    )
    place = (months.c.month, months.c.merchant_id, months.c.currency)
    clause = select(months).where(tuple_(*place) > _AFTER).order_by(*place)
    return compiled(clause.limit(bindparam("limit", type_=Integer)))


def _shown(name: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a figure as it is read: amounts as texts with all their digits, the sum of counts as a count."""
    if name in AMOUNTS:
        return cast(value, Text).label(name)
    return cast(value, days.c[name].type if name in COUNTS else days.c.settling_p50_us.type).label(name)


def _conditions(wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    yield days.c.day.between(bindparam("first", type_=Date), bindparam("last", type_=Date))
    if "merchant_id" in wanted:
        yield days.c.merchant_id == _MERCHANT
    if "currency" in wanted:
        yield days.c.currency == _CURRENCY


def _run(
    database: Database, page: Callable[[frozenset[str]], Statement], wanted: Wanted, after: DayKey | None, limit: int
) -> list[Figures]:
    given = {"merchant_id": wanted.merchant_id, "currency": wanted.currency}
    filters = {name: value for name, value in given.items() if value is not None}
    place = after or _BEFORE_ALL
    rows = database.run(
        page(frozenset(filters)),
        first=wanted.first,
        last=wanted.last,
        after_day=place.day,
        after_merchant_id=place.merchant_id,
        after_currency=place.currency,
        limit=limit,
        **filters,
    )
    return list(map(_figures, rows))


def _figures(row: Row) -> Figures:
    merchant_id, day, currency, *values = row
    return Figures(key=DayKey(merchant_id, day, currency), **dict(zip(_NAMES, values, strict=True)))
