"""Conditions for pages of a table whose ids are UUIDv7 and whose rows belong to merchants, newest first.

Import this module only where a query is built, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, FromClause, Interval, Uuid, bindparam, func, literal_column, tuple_

MERCHANT = bindparam("merchant_id", type_=Uuid)
# Bounds that every id keeps.
ID_BOUNDS = {"before": UUID(int=2**128 - 1), "not_before": UUID(int=0)}

_BEFORE = bindparam("before", type_=Uuid)
_NOT_BEFORE = bindparam("not_before", type_=Uuid)
_CREATED_FROM = bindparam("created_from", type_=DateTime(timezone=True))
_CREATED_TO = bindparam("created_to", type_=DateTime(timezone=True))
# An id is made moments before or after `created_at`, so a range of ids is wider than the range of times.
_SLACK = literal_column("interval '1 minute'", Interval)


def id_bounds(wanted: Collection[str]) -> frozenset[str]:
    """Return the names of the ids between which a page lies. A range of times has the lower bound in it."""
    return frozenset({"before"} if "created_from" in wanted else {"before", "not_before"})


def created_between(table: FromClause, wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    """Bound the times that are asked for: `created_from` is inclusive, `created_to` exclusive."""
    if "created_from" in wanted:
        yield table.c.created_at >= _CREATED_FROM
    if "created_to" in wanted:
        yield table.c.created_at < _CREATED_TO


def newest_first_of_all(table: FromClause) -> tuple[ColumnElement[UUID]]:
    """Return the order of a page of every merchant's rows, which the primary key has."""
    return (table.c.id.desc(),)


def merchant_and_ids_between(table: FromClause, wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    """Bound pairs of merchant and id, between which only rows of this merchant lie.

    With `merchant_id = …` the planner may prefer to read the rows of all merchants, newest first, until it has found
    enough of this one's.
    """
    pair = tuple_(table.c.merchant_id, table.c.id)
    yield pair < tuple_(MERCHANT, _end(wanted))
    yield pair >= tuple_(MERCHANT, _floor(wanted))


def ids_between(table: FromClause, wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    """Bound the ids alone, which spares the partitions of other months. Ids are UUIDv7: their order is that of time.

    Both bounds are always there, and never constants: the planner expects few ids between two parameters, and so
    chooses the same index for every page, whatever the statistics say.
    """
    yield table.c.id < _end(wanted)
    yield table.c.id >= _floor(wanted)


def newest_first(table: FromClause) -> tuple[ColumnElement[UUID], ColumnElement[UUID]]:
    """Return the order of a page, which an index of merchant and id has."""
    return table.c.merchant_id.desc(), table.c.id.desc()


def _end(wanted: frozenset[str]) -> ColumnElement[UUID]:
    return func.least(_BEFORE, func.uuid7_floor(_CREATED_TO + _SLACK)) if "created_to" in wanted else _BEFORE


def _floor(wanted: frozenset[str]) -> ColumnElement[UUID]:
    return func.uuid7_floor(_CREATED_FROM - _SLACK) if "created_from" in wanted else _NOT_BEFORE
