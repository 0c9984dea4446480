"""The merchant's list of payments: one query for each set of filters, built by SQLAlchemy Core.

Import this module only where payments are listed, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Interval,
    Text,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)

from paybridge.database.clauses import compiled
from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.store.row import payment_from_row
from paybridge.payments.store.table import PAYMENT_COLUMNS, payments

# As in the index `payments_unsettled`.
UNSETTLED = frozenset({Status.PENDING, Status.PROCESSING})

_MERCHANT = bindparam("merchant_id", type_=Uuid)
_BEFORE = bindparam("before", type_=Uuid)
_CREATED_FROM = bindparam("created_from", type_=DateTime(timezone=True))
_CREATED_TO = bindparam("created_to", type_=DateTime(timezone=True))
_ID_MIN = literal_column("'00000000-0000-0000-0000-000000000000'::uuid", Uuid)
_ID_MAX = literal_column("'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid", Uuid)
# An id is made moments before or after `created_at`, so a range of ids is wider than the range of times.
_SLACK = literal_column("interval '1 minute'", Interval)


def list_newest_first(
    database: Database, merchant_id: UUID, filters: PaymentFilters, *, before: UUID | None, limit: int
) -> list[Payment]:
    """Return at most `limit` of the merchant's payments that match, newest first, with ids below `before`."""
    wanted = _wanted(filters, before)
    statement = page(frozenset(wanted), is_unsettled=filters.status in UNSETTLED)
    rows = database.run(statement, merchant_id=merchant_id, limit=limit, **wanted)
    return [payment_from_row(row) for row in rows]


@cache
def page(wanted: frozenset[str], *, is_unsettled: bool) -> Statement:
    """Build the query of a page with the `wanted` filters: fields of PaymentFilters, and `before`.

    `is_unsettled` says that the status asked for is one of UNSETTLED, which have an index.
    """
    conditions = [*_ids_between(wanted), *_exactly(wanted)]
    if "customer" in wanted:
        conditions.append(payments.c.merchant_id == _MERCHANT)
    elif is_unsettled:
        conditions += [payments.c.merchant_id == _MERCHANT, payments.c.is_unsettled]
    else:
        conditions += _merchant_and_ids_between(wanted)
    newest_first = payments.c.merchant_id.desc(), payments.c.id.desc()
    clause = select(*PAYMENT_COLUMNS).where(*conditions).order_by(*newest_first)
    return compiled(clause.limit(bindparam("limit", type_=Integer)))


def _wanted(filters: PaymentFilters, before: UUID | None) -> dict[str, Any]:
    """Return the values of the filters that are asked for, by their names in `page`."""
    values = {field.name: getattr(filters, field.name) for field in fields(filters)} | {"before": before}
    return {name: value for name, value in values.items() if value is not None}


def _exactly(wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    for name in ("status", "currency", "customer"):
        if name in wanted:
            yield payments.c[name] == bindparam(name, type_=Text)
    if "created_from" in wanted:
        yield payments.c.created_at >= _CREATED_FROM
    if "created_to" in wanted:
        yield payments.c.created_at < _CREATED_TO


def _merchant_and_ids_between(wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    """Bound pairs of merchant and id, between which only payments of this merchant lie.

    With `merchant_id = …` the planner may prefer to read the payments of all merchants, newest first, until it has
    found enough of this one's.
    """
    pair = tuple_(payments.c.merchant_id, payments.c.id)
    yield pair < tuple_(_MERCHANT, _end(wanted))
    yield pair >= tuple_(_MERCHANT, _floor(wanted))


def _ids_between(wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    """Bound the ids alone, which spares the partitions of other months. Ids are UUIDv7: their order is that of time.

    A bound that no filter asks for stands there as well: the planner expects few ids between any two bounds, and so
    chooses the same index for every page.
    """
    yield payments.c.id < _end(wanted)
    yield payments.c.id >= _floor(wanted)


def _end(wanted: frozenset[str]) -> ColumnElement[UUID]:
    ends = {"before": _BEFORE, "created_to": func.uuid7_floor(_CREATED_TO + _SLACK)}
    bounds = [end for name, end in ends.items() if name in wanted]
    return func.least(*bounds) if bounds else _ID_MAX


def _floor(wanted: frozenset[str]) -> ColumnElement[UUID]:
    return func.uuid7_floor(_CREATED_FROM - _SLACK) if "created_from" in wanted else _ID_MIN
