"""The list of payouts, of a merchant or of all: one query for each set of filters, built by SQLAlchemy Core.

Import this module only where payouts are listed, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Text, bindparam, select

from paybridge.database.clauses import compiled, table_of
from paybridge.database.database import Database, Statement
from paybridge.database.pages import (
    ID_BOUNDS,
    created_between,
    id_bounds,
    ids_between,
    merchant_and_ids_between,
    newest_first,
    newest_first_of_all,
)
from paybridge.ledger.domain.payouts import Payout, PayoutFilters
from paybridge.ledger.store.payouts import COLUMN_TYPES, payout_from_row

payouts = table_of("payouts", COLUMN_TYPES, schema="ledger")


def list_newest_first(
    database: Database, merchant_id: UUID | None, filters: PayoutFilters, *, before: UUID | None, limit: int
) -> list[Payout]:
    """Return at most `limit` payouts that match, newest first, with ids below `before`.

    They are the merchant's, or those of every merchant if it is None.
    """
    wanted = _wanted(filters)
    bounds = {name: ID_BOUNDS[name] for name in id_bounds(wanted)} | ({"before": before} if before else {})
    if merchant_id is None:
        rows = database.run(page(frozenset(wanted), is_of_all=True), limit=limit, **bounds, **wanted)
    else:
        rows = database.run(page(frozenset(wanted)), merchant_id=merchant_id, limit=limit, **bounds, **wanted)
    return [payout_from_row(row) for row in rows]


@cache
def page(wanted: frozenset[str], *, is_of_all: bool = False) -> Statement:
    """Build the query of a page with the `wanted` filters: `status`, `currency`, `created_from`, `created_to`.

    Its parameters are these filters, the merchant unless it `is_of_all`, the limit, and `id_bounds`.
    """
    clause = (
        select(*(payouts.c[name] for name in COLUMN_TYPES))
        .where(*_conditions(wanted, is_of_all=is_of_all))
        .order_by(*(newest_first_of_all(payouts) if is_of_all else newest_first(payouts)))
    )
    return compiled(clause.limit(bindparam("limit", type_=Integer)))


def _conditions(wanted: frozenset[str], *, is_of_all: bool) -> Iterator[ColumnElement[bool]]:
    # The table has no months to spare, so one of the two bounds is enough.
    yield from (ids_between if is_of_all else merchant_and_ids_between)(payouts, wanted)
    yield from created_between(payouts, wanted)
    for name in ("status", "currency"):
        if name in wanted:
            yield payouts.c[name] == bindparam(name, type_=Text)


def _wanted(filters: PayoutFilters) -> dict[str, Any]:
    """Return the values of the filters that are asked for, by their names in `page`."""
    values = {
        "status": None if filters.status is None else str(filters.status),
        "currency": filters.currency,
        "created_from": filters.created_from,
        "created_to": filters.created_to,
    }
    return {name: value for name, value in values.items() if value is not None}
