"""The merchant's list of payments: one query for each set of filters, built by SQLAlchemy Core.

Import this module only where payments are listed, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
from paybridge.database.wire import Row
from paybridge.payments.domain.payment import Status
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.store.table import PAYMENT_COLUMNS, payments

# As in the index `payments_unsettled`.
UNSETTLED = frozenset({Status.PENDING, Status.PROCESSING})

_MERCHANT = bindparam("merchant_id", type_=Uuid)
_BEFORE = bindparam("before", type_=Uuid)
_NOT_BEFORE = bindparam("not_before", type_=Uuid)
_CREATED_FROM = bindparam("created_from", type_=DateTime(timezone=True))
_CREATED_TO = bindparam("created_to", type_=DateTime(timezone=True))
# Bounds that every id keeps.
ID_BOUNDS = {"before": UUID(int=2**128 - 1), "not_before": UUID(int=0)}
# An id is made moments before or after `created_at`, so a range of ids is wider than the range of times.
_SLACK = literal_column("interval '1 minute'", Interval)


def list_newest_first(
    database: Database, merchant_id: UUID, filters: PaymentFilters, *, before: UUID | None, limit: int
) -> list[Row]:
    """Return at most `limit` of the merchant's payments that match, newest first, with ids below `before`.

    They are rows for `payment_from_row`, which begin with the id.
    """
    wanted = _wanted(filters)
    statement = page(frozenset(wanted), is_unsettled=filters.status in UNSETTLED)
    bounds = {name: ID_BOUNDS[name] for name in id_bounds(wanted)} | ({"before": before} if before else {})
    return database.run(statement, merchant_id=merchant_id, limit=limit, **bounds, **wanted)


@cache
def page(wanted: frozenset[str], *, is_unsettled: bool) -> Statement:
    """Build the query of a page with the `wanted` filters, which are fields of PaymentFilters.

    Its parameters are these filters, the merchant, the limit, and `id_bounds`.

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


def id_bounds(wanted: Collection[str]) -> frozenset[str]:
    """Return the names of the ids between which a page lies. A range of times has the lower bound in it."""
    return frozenset({"before"} if "created_from" in wanted else {"before", "not_before"})


def _wanted(filters: PaymentFilters) -> dict[str, Any]:
    """Return the values of the filters that are asked for, by their names in `page`."""
    values = {field.name: getattr(filters, field.name) for field in fields(filters)}
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

    Both bounds are always there, and never constants: the planner expects few ids between two parameters, and so
    chooses the same index for every page, whatever the statistics say.
    """
    yield payments.c.id < _end(wanted)
    yield payments.c.id >= _floor(wanted)


def _end(wanted: frozenset[str]) -> ColumnElement[UUID]:
    return func.least(_BEFORE, func.uuid7_floor(_CREATED_TO + _SLACK)) if "created_to" in wanted else _BEFORE


def _floor(wanted: frozenset[str]) -> ColumnElement[UUID]:
    return func.uuid7_floor(_CREATED_FROM - _SLACK) if "created_from" in wanted else _NOT_BEFORE
