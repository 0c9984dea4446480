"""The list of payments, of a merchant or of all: one query for each set of filters, built by SQLAlchemy Core.

Import this module only where payments are listed, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Text, bindparam, select

from paybridge.database.clauses import compiled
from paybridge.database.database import Database, Statement
from paybridge.database.pages import (
    ID_BOUNDS,
    MERCHANT,
    created_between,
    id_bounds,
    ids_between,
    merchant_and_ids_between,
    newest_first,
    newest_first_of_all,
)
from paybridge.database.wire import Row
from paybridge.payments.domain.payment import Status
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.store.table import PAYMENT_COLUMNS, payments

# As in the index `payments_unsettled`.
UNSETTLED = frozenset({Status.PENDING, Status.PROCESSING})


def list_newest_first(
    database: Database, merchant_id: UUID | None, filters: PaymentFilters, *, before: UUID | None, limit: int
) -> list[Row]:
    """Return at most `limit` payments that match, newest first, with ids below `before`.

    They are the merchant's, or those of every merchant if it is None: rows for `payment_from_row`, which begin with the
    id.
    """
    wanted = _wanted(filters)
    bounds = {name: ID_BOUNDS[name] for name in id_bounds(wanted)} | ({"before": before} if before else {})
    if merchant_id is None:
        statement = page_of_all(frozenset(wanted), is_unsettled=filters.status in UNSETTLED)
        return database.run(statement, limit=limit, **bounds, **wanted)
    statement = page(frozenset(wanted), is_unsettled=filters.status in UNSETTLED)
    return database.run(statement, merchant_id=merchant_id, limit=limit, **bounds, **wanted)


@cache
def page(wanted: frozenset[str], *, is_unsettled: bool) -> Statement:
    """Build the query of a page with the `wanted` filters, which are fields of PaymentFilters.

    Its parameters are these filters, the merchant, the limit, and `id_bounds`.

    `is_unsettled` says that the status asked for is one of UNSETTLED, which have an index.
    """
    conditions = [*ids_between(payments, wanted), *_exactly(wanted), *created_between(payments, wanted)]
    if "customer" in wanted:
        conditions.append(payments.c.merchant_id == MERCHANT)
    elif is_unsettled:
        conditions += [payments.c.merchant_id == MERCHANT, payments.c.is_unsettled]
    else:
        conditions += merchant_and_ids_between(payments, wanted)
    clause = select(*PAYMENT_COLUMNS).where(*conditions).order_by(*newest_first(payments))
    return compiled(clause.limit(bindparam("limit", type_=Integer)))


@cache
def page_of_all(wanted: frozenset[str], *, is_unsettled: bool) -> Statement:
    """Build the query of a page of every merchant's payments; see `page`. It has no parameter for the merchant."""
    conditions = [*ids_between(payments, wanted), *_exactly(wanted), *created_between(payments, wanted)]
    if is_unsettled:
        conditions.append(payments.c.is_unsettled)
    clause = select(*PAYMENT_COLUMNS).where(*conditions).order_by(*newest_first_of_all(payments))
    return compiled(clause.limit(bindparam("limit", type_=Integer)))


def _wanted(filters: PaymentFilters) -> dict[str, Any]:
    """Return the values of the filters that are asked for, by their names in `page`."""
    values = {field.name: getattr(filters, field.name) for field in fields(filters)}
    return {name: value for name, value in values.items() if value is not None}


def _exactly(wanted: frozenset[str]) -> Iterator[ColumnElement[bool]]:
    for name in ("status", "currency", "customer"):
        if name in wanted:
            yield payments.c[name] == bindparam(name, type_=Text)
