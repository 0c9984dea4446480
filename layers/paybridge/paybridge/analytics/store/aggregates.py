"""Compute the figures of days from the projections.

A day is computed whole, so an event that comes late, or twice, gives the same figures as one in time. Computing the
same day again changes nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Double,
    Integer,
    Numeric,
    TableClause,
    Text,
    and_,
    bindparam,
    cast,
    column,
    extract,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSON, insert
from sqlalchemy.sql.selectable import LateralFromClause

from paybridge.analytics.domain import DayKey, Outcome
from paybridge.analytics.store.tables import AMOUNTS, COUNTS, KEY, days, deliveries, dirty_days, payments, refunds
from paybridge.database.clauses import compiled
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows

# A day is computed again when so many times the seconds that it took the last time are over. So no more than a
# twentieth of a core is spent on a day with millions of payments, however often it changes.
REST = 20
# Shares of payments that are faster.
_PERCENTILES: ColumnElement[Any] = literal_column("ARRAY[0.5, 0.95]")
_MICROSECONDS: ColumnElement[Any] = literal_column("1000000")
_ZERO: ColumnElement[Any] = literal_column("0")
# The server's own time, which no test clock moves: it measures how long computing takes.
_NOW = literal_column("pg_catalog.clock_timestamp()", DateTime(timezone=True))
# The columns that count the payments of an outcome.
_COUNTED = {outcome: "unsettled" if outcome is Outcome.OPEN else str(outcome) for outcome in Outcome}
_FIGURES = (*COUNTS, *AMOUNTS, "settling_us", "settling_p50_us", "settling_p95_us")


def lock_dirty(transaction: Transaction, days_max: int, payments_max: int) -> list[DayKey]:
    """Lock days that have changed, the longest first, at most so many and with so many payments, but at least one.

    Days that another transaction holds, and days that rest, are left out.
    """
    rows = transaction.run(dirty_statement(), days_max=days_max, payments_max=payments_max)
    return [DayKey(*row) for row in rows]


def compute(transaction: Transaction, keys: list[DayKey]) -> None:
    """Compute these days, which are locked, and forget that they have changed."""
    rows = json_rows(key._asdict() for key in keys)
    transaction.run(days_statement(), rows=rows)
    transaction.run(_FORGET, rows=rows)


_FORGET = Statement("""
    DELETE FROM analytics.dirty_days d
    USING json_to_recordset(:rows::json) AS computed (merchant_id uuid, day date, currency text)
    WHERE d.merchant_id = computed.merchant_id AND d.day = computed.day AND d.currency = computed.currency
""")


@cache
def dirty_statement() -> Statement:
    """Build the statement of `lock_dirty`."""
    known = and_(*(days.c[name] == dirty_days.c[name] for name in KEY))
    # A day that was never computed counts as one with few payments.
    size = func.coalesce(days.c.payments, _ZERO)
    oldest_first = (dirty_days.c.marked_at, *(dirty_days.c[name] for name in KEY))
    age = extract("epoch", _NOW - days.c.computed_at)
    rested = func.coalesce(age >= days.c.seconds_spent * literal_column(str(REST)), true())
    before = (func.sum(size).over(order_by=oldest_first) - size).label("payments_before")
    waiting = (
        select(*(dirty_days.c[name] for name in KEY), before)
        .join_from(dirty_days, days, known, isouter=True)
        .where(rested)
        .order_by(*oldest_first)
        .limit(bindparam("days_max", type_=Integer))
        .subquery("waiting")
    )
    is_waiting = and_(*(dirty_days.c[name] == waiting.c[name] for name in KEY))
    few = waiting.c.payments_before < bindparam("payments_max", type_=BigInteger)
    locked = select(*(dirty_days.c[name] for name in KEY)).join_from(waiting, dirty_days, is_waiting).where(few)
    in_order = locked.order_by(*(dirty_days.c[name] for name in KEY))
    return compiled(in_order.with_for_update(of=dirty_days, skip_locked=True))


@cache
def days_statement() -> Statement:
    """Build the statement that computes days."""
    given = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(
        *(column(name, days.c[name].type) for name in KEY)
    )
    wanted = given.render_derived(name="wanted", with_types=True)
    parts = [_of_payments(wanted), _of_refunds(wanted), _of_deliveries(wanted)]
    found: dict[str, ColumnElement[Any]] = {name: part.c[name] for part in parts for name in list(part.c.keys())}
    places = func.greatest(found.pop("payment_places"), found.pop("refund_places"), _ZERO)
    del found["percentiles"]
    for number, name in enumerate(("settling_p50_us", "settling_p95_us"), 1):
        found[name] = literal_column(f"pay.percentiles[{number}]", BigInteger)
    for name in AMOUNTS:
        # The sum of nothing has the places of the currency as well.
        found[name] = func.round(found[name], places)
    source: Any = wanted
    for part in parts:
        source = source.join(part, true())
    spent = extract("epoch", _NOW - literal_column("statement_timestamp()", DateTime(timezone=True)))
    computed = select(
        *(wanted.c[name] for name in KEY),
        *(found[name].label(name) for name in _FIGURES),
        _NOW.label("computed_at"),
        cast(spent, Double).label("seconds_spent"),
    ).select_from(source)
    names = [*KEY, *_FIGURES, "computed_at", "seconds_spent"]
    added = insert(days).from_select(names, computed)
    changes = {name: added.excluded[name] for name in names[len(KEY) :]}
    return compiled(added.on_conflict_do_update(index_elements=[*KEY], set_=changes))


def _of_payments(wanted: Any) -> LateralFromClause:
    settling = extract("epoch", payments.c.settled_at - payments.c.created_at) * _MICROSECONDS
    # The clocks of two machines may differ, and no payment takes less than no time.
    settling_us = cast(func.greatest(settling, _ZERO), BigInteger)
    fractions = func.percentile_disc(_PERCENTILES).within_group(settling_us.asc())
    percentiles = fractions.filter(payments.c.settled_at.is_not(None)).label("percentiles")
    return (
        select(
            func.count().label("payments"),
            *(_count(payments.c.outcome == _text(outcome)).label(name) for outcome, name in _COUNTED.items()),
            _sum(payments.c.amount).label("amount"),
            _sum(payments.c.captured).label("captured"),
            func.max(func.scale(payments.c.amount)).label("payment_places"),
            func.count(payments.c.settled_at).label("settled"),
            func.coalesce(func.sum(cast(settling_us, Numeric)), _ZERO).label("settling_us"),
            percentiles,
        )
        .where(*_of_day(payments, wanted))
        .lateral("pay")
    )


def _of_refunds(wanted: Any) -> LateralFromClause:
    succeeded = refunds.c.outcome == _text(Outcome.SUCCEEDED)
    return (
        select(
            _count(succeeded).label("refunds"),
            _count(refunds.c.outcome == _text(Outcome.OPEN)).label("refunds_open"),
            _count(refunds.c.outcome == _text(Outcome.FAILED)).label("refunds_failed"),
            func.coalesce(func.sum(refunds.c.amount).filter(succeeded), _ZERO).label("refunded"),
            func.max(func.scale(refunds.c.amount)).label("refund_places"),
        )
        .where(*_of_day(refunds, wanted))
        .lateral("back")
    )


def _of_deliveries(wanted: Any) -> LateralFromClause:
    return (
        select(
            _count(deliveries.c.is_delivered).label("webhooks_delivered"),
            _count(~deliveries.c.is_delivered).label("webhooks_failed"),
        )
        .where(*_of_day(deliveries, wanted))
        .lateral("sent")
    )


def _of_day(table: TableClause, wanted: Any) -> list[ColumnElement[bool]]:
    return [table.c[name] == wanted.c[name] for name in KEY]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(condition)


def _sum(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(amount), _ZERO)


def _text(outcome: Outcome) -> ColumnElement[str]:
    return literal_column(f"'{outcome}'", Text)
