"""Take events and ended deliveries over into the projections, and mark the days that this changes.

Each statement is one round trip: it reads, folds what is about the same payment, writes what is newer than before, and
marks the days. Events may come in any order and any number of times. The highest sequence of a payment or refund says
what has become of it, and the earliest event with an outcome when it was settled.

What is about a day of a closed month, whose rows are gone, is counted apart and changes no figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    DateTime,
    Numeric,
    TableClause,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, Insert, insert
from sqlalchemy.sql.dml import ReturningInsert

from paybridge.analytics.domain import PAYMENT_OUTCOMES, REFUND_OUTCOMES, Outcome
from paybridge.analytics.ports import DeliveryEnd
from paybridge.analytics.store.tables import KEY, closed_months, deliveries, dirty_days, late_facts, payments, refunds
from paybridge.database.clauses import compiled
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.outbox.event_log import LogPosition, last_position, next_events

TYPES = "{" + ",".join([*PAYMENT_OUTCOMES, *REFUND_OUTCOMES]) + "}"
_OUTCOMES = orjson.dumps({**PAYMENT_OUTCOMES, **REFUND_OUTCOMES}).decode()
# No delivery that was canceled has failed: its endpoint was deleted or no longer wants the event.
_IS_DELIVERED = {"delivered": True, "failed": False, "gone": False}

_OPEN: ColumnElement[Any] = literal_column(f"'{Outcome.OPEN}'")
_REFUND_TYPES: ColumnElement[Any] = literal_column("'refund.%'")
_UTC: ColumnElement[Any] = literal_column("'UTC'")


class ReadEvents(NamedTuple):
    """How far events were read, how many there were, and of how many days of closed months they told."""

    end: LogPosition
    events: int
    late: int


def take_over_events(transaction: Transaction, merchant_id: UUID, after: LogPosition, limit: int) -> ReadEvents:
    """Take over the merchant's next events after this position, at most `limit`, and mark the days they change."""
    rows = transaction.run(
        events_statement(),
        merchant_id=merchant_id,
        after_xid=after.xid,
        after_id=after.event_id,
        limit=limit,
        wanted=TYPES,
        outcomes=_OUTCOMES,
    )
    xid, event_id, count, late = rows[0]
    return ReadEvents(LogPosition(xid, event_id) if count else after, count, late)


def take_over_deliveries(transaction: Transaction, ended: Iterable[DeliveryEnd]) -> int:
    """Take over these deliveries, and mark the days they change. Return of how many days of closed months they are."""
    rows = [
        {
            "merchant_id": one.merchant_id,
            "delivery_id": one.id,
            "currency": one.currency,
            "created_at": one.created_at,
            "ended_at": one.ended_at,
            "is_delivered": _IS_DELIVERED[one.status],
        }
        for one in ended
        if one.currency is not None and one.status in _IS_DELIVERED
    ]
    late: int = transaction.run(deliveries_statement(), rows=json_rows(rows))[0][0] if rows else 0
    return late


@cache
def events_statement() -> Statement:
    """Build the statement of `take_over_events`."""
    events = next_events()
    readable = _facts(events)
    facts = select(readable).where(~_is_closed(readable.c.day)).cte("open_facts")
    saved = [_saved_payments(facts).cte("saved_payments"), _saved_refunds(facts).cte("saved_refunds")]
    late = _counted_late(readable)
    return compiled(select(*last_position(events), _count_of(late)).add_cte(_marked(saved), late))


@cache
def deliveries_statement() -> Statement:
    """Build the statement of `take_over_deliveries`."""
    types: dict[str, Any] = {
        "merchant_id": deliveries.c.merchant_id.type,
        "delivery_id": deliveries.c.delivery_id.type,
        "currency": Text(),
        "created_at": DateTime(timezone=True),
        "ended_at": DateTime(timezone=True),
        "is_delivered": deliveries.c.is_delivered.type,
    }
    given = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(
        *(column(name, type_) for name, type_ in types.items())
    )
    ended = given.render_derived(name="ended", with_types=True)
    names = [*KEY, "delivery_id", "is_delivered", "ended_at"]
    values = {**{name: ended.c[name] for name in types}, "day": _day(ended.c.created_at)}
    new = select(*(values[name].label(name) for name in names)).cte("new_deliveries")
    added = insert(deliveries).from_select(names, select(new).where(~_is_closed(new.c.day)))
    later = added.excluded.ended_at > deliveries.c.ended_at
    changes = {name: added.excluded[name] for name in ("is_delivered", "ended_at")}
    saved = _upserted(added, deliveries, "delivery_id", changes, later).cte("saved_deliveries")
    late = _counted_late(new)
    return compiled(select(_count_of(late)).add_cte(_marked([saved]), late))


def _facts(events: CTE) -> CTE:
    """Return what the events say, as columns. Events that cannot be read are left out."""
    is_readable = func.pg_input_is_valid(events.c.body, literal_column("'jsonb'"))
    document = case((is_readable, cast(events.c.body, JSONB)))
    data = document.op("->")(literal_column("'data'"))
    documents = select(events, data.label("data")).where(events.c.body.is_not(None)).cte("documents")
    documents = documents.prefix_with("MATERIALIZED")

    def said(name: str) -> ColumnElement[Any]:
        return documents.c.data.op("->>")(literal_column(f"'{name}'"))

    created = said("created_at")
    # PostgreSQL also takes words such as "yesterday" for times.
    is_time = and_(
        created.op("~")(literal_column("'^[0-9]{4}-'")),
        func.pg_input_is_valid(created, literal_column("'timestamptz'")),
    )
    created_at = case((is_time, cast(created, DateTime(timezone=True))))
    outcome = cast(bindparam("outcomes", type_=Text), JSONB).op("->>")(documents.c.type)
    facts = (
        select(
            documents.c.merchant_id,
            func.coalesce(documents.c.subject_id, documents.c.payment_id).label("subject_id"),
            documents.c.type.like(_REFUND_TYPES).label("is_refund"),
            documents.c.sequence,
            documents.c.created_at.label("happened_at"),
            outcome.label("outcome"),
            said("currency").label("currency"),
            created_at.label("created_at"),
            _day(created_at).label("day"),
            _amount(said("amount")).label("amount"),
            func.coalesce(_amount(said("amount_captured")), literal_column("0")).label("captured"),
        )
        .cte("facts")
        .prefix_with("MATERIALIZED")
    )
    return (
        select(facts)
        .where(*(facts.c[name].is_not(None) for name in ("subject_id", "currency", "day", "amount")))
        .cte("readable")
    )


def _saved_payments(facts: CTE) -> ReturningInsert[Any]:
    settled_at = case((facts.c.outcome != _OPEN, facts.c.happened_at))
    first_settled = func.min(settled_at).over(partition_by=facts.c.subject_id).label("settled_at")
    ranked = select(facts, _rank(facts), first_settled).where(~facts.c.is_refund).subquery("ranked_payments")
    names = [*KEY, "created_at", "settled_at", "outcome", "amount", "captured", "sequence"]
    newest = select(*(ranked.c[name] for name in names), ranked.c.subject_id).where(ranked.c.rank == _ONE)
    added = insert(payments).from_select([*names, "payment_id"], newest)
    new = added.excluded
    is_newer = new.sequence > payments.c.sequence
    is_earlier = and_(
        new.settled_at.is_not(None), or_(payments.c.settled_at.is_(None), new.settled_at < payments.c.settled_at)
    )
    changes = {
        **_newer(payments, new, is_newer, "outcome", "captured", "sequence"),
        # The earlier of both; null is no time.
        "settled_at": func.least(payments.c.settled_at, new.settled_at),
    }
    return _upserted(added, payments, "payment_id", changes, or_(is_newer, is_earlier))


def _saved_refunds(facts: CTE) -> ReturningInsert[Any]:
    ranked = select(facts, _rank(facts)).where(facts.c.is_refund).subquery("ranked_refunds")
    names = [*KEY, "outcome", "amount", "sequence"]
    newest = select(*(ranked.c[name] for name in names), ranked.c.subject_id).where(ranked.c.rank == _ONE)
    added = insert(refunds).from_select([*names, "refund_id"], newest)
    is_newer = added.excluded.sequence > refunds.c.sequence
    changes = _newer(refunds, added.excluded, is_newer, "outcome", "sequence")
    return _upserted(added, refunds, "refund_id", changes, is_newer)


_ONE: ColumnElement[Any] = literal_column("1")


def _rank(facts: CTE) -> ColumnElement[int]:
    order = func.row_number().over(partition_by=facts.c.subject_id, order_by=facts.c.sequence.desc())
    return order.label("rank")


def _newer(table: TableClause, new: Any, is_newer: ColumnElement[bool], *names: str) -> dict[str, ColumnElement[Any]]:
    """Return the values after a row met another: those of the newer one."""
    return {name: case((is_newer, new[name]), else_=table.c[name]) for name in names}


def _upserted(
    added: Insert, table: TableClause, id_: str, changes: dict[str, Any], where: ColumnElement[bool]
) -> ReturningInsert[Any]:
    """Let the rows change those that are there already, where that changes anything, and return their days."""
    upserted = added.on_conflict_do_update(index_elements=[*KEY, id_], set_=changes, where=where)
    return upserted.returning(*(table.c[name] for name in KEY))


def _is_closed(day: ColumnElement[date]) -> ColumnElement[bool]:
    """Tell whether the rows of a day's month are gone, and only its figures are left."""
    month = cast(func.date_trunc(literal_column("'month'"), day), Date)
    return select(closed_months.c.month).where(closed_months.c.month == month).exists()


def _counted_late(facts: CTE) -> CTE:
    """Count the facts about days of closed months, by their days."""
    keys = [facts.c[name] for name in KEY]
    late = select(*keys, func.count(), func.now()).where(_is_closed(facts.c.day)).group_by(*keys).order_by(*keys)
    added = insert(late_facts).from_select([*KEY, "facts", "last_at"], late)
    changes = {"facts": late_facts.c.facts + added.excluded.facts, "last_at": added.excluded.last_at}
    counted = added.on_conflict_do_update(index_elements=[*KEY], set_=changes)
    return counted.returning(late_facts.c.facts).cte("late")


def _count_of(late: CTE) -> ColumnElement[int]:
    return select(func.count()).select_from(late).scalar_subquery().label("late")


def _marked(saved: list[CTE]) -> CTE:
    """Mark the days of what was saved.

    A day that is marked already is marked again, because that waits for the worker that computes it at this moment. It
    may have read the day before this change.
    """
    touched = union_all(*(select(*(rows.c[name] for name in KEY)) for rows in saved)).subquery("touched")
    keys = [touched.c[name] for name in KEY]
    # In one order, because another worker may mark the same days.
    chosen = select(*keys, func.clock_timestamp()).group_by(*keys).order_by(*keys)
    marked = insert(dirty_days).from_select([*KEY, "marked_at"], chosen)
    return (
        marked.on_conflict_do_update(index_elements=[*KEY], set_={"marked_at": marked.excluded.marked_at})
        .returning(dirty_days.c.day)
        .cte("marked")
    )


def _day(moment: ColumnElement[datetime]) -> ColumnElement[Any]:
    return cast(func.timezone(_UTC, moment), Date)


def _amount(text: ColumnElement[str]) -> ColumnElement[Any]:
    """Return the exact decimal in a text, null if it holds none."""
    return case((text.op("~")(literal_column(r"'^[0-9]{1,30}(\.[0-9]{1,9})?$'")), cast(text, Numeric)))
