"""The list of refunds, of a merchant or of all: one query for each set of filters, built by SQLAlchemy Core.

Import this module only where refunds are listed, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    TableClause,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

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
from paybridge.database.wire import Row
from paybridge.payments.domain.operation import OperationStatus
from paybridge.payments.domain.refund import REFUND_STATUSES, RefundStatus
from paybridge.payments.store.table import payments
from paybridge.refunds.domain import RefundFilters
from paybridge.refunds.store.row import OPERATION_COLUMNS, PAYMENT_COLUMNS

operations = table_of("operations", OPERATION_COLUMNS)


def list_newest_first(
    database: Database, merchant_id: UUID | None, filters: RefundFilters, *, before: UUID | None, limit: int
) -> list[Row]:
    """Return at most `limit` refunds that match, newest first, with ids below `before`.

    They are the merchant's, or those of every merchant if it is None: rows for `refund_from_row`, which begin with the
    id.
    """
    wanted = _wanted(filters)
    bounds = {name: ID_BOUNDS[name] for name in id_bounds(wanted)} | ({"before": before} if before else {})
    if merchant_id is None:
        return database.run(page(frozenset(wanted), is_of_all=True), limit=limit, **bounds, **wanted)
    return database.run(page(frozenset(wanted)), merchant_id=merchant_id, limit=limit, **bounds, **wanted)


@cache
def page(wanted: frozenset[str], *, is_of_all: bool = False) -> Statement:
    """Build the query of a page with the `wanted` filters: `payment_id`, `statuses`, `created_from`, `created_to`.

    Its parameters are these filters, the merchant unless it `is_of_all`, the limit, and `id_bounds`.
    """
    table = _of_payment() if "payment_id" in wanted else operations
    columns = [*(table.c[name] for name in OPERATION_COLUMNS), *(payments.c[name] for name in PAYMENT_COLUMNS)]
    clause = (
        select(*columns)
        .join_from(table, payments, payments.c.id == table.c.payment_id)
        .where(*_conditions(table, wanted, is_of_all=is_of_all))
        .order_by(*(newest_first_of_all(table) if is_of_all else newest_first(table)))
    )
    return compiled(clause.limit(bindparam("limit", type_=Integer)))


def statuses_array(statuses: Collection[OperationStatus]) -> str:
    """Return the statuses as the parameter `statuses`."""
    return "{" + ",".join(sorted(statuses)) + "}"


def _of_payment() -> CTE:
    """Return the few operations of one payment.

    On its own, because the planner may otherwise prefer to read the refunds of the merchant until it finds them.
    """
    of_payment = select(operations).where(
        operations.c.payment_id == bindparam("payment_id", type_=Uuid), operations.c.id != operations.c.payment_id
    )
    return of_payment.cte("of_payment").prefix_with("MATERIALIZED")


def _conditions(table: TableClause | CTE, wanted: frozenset[str], *, is_of_all: bool) -> Iterator[ColumnElement[bool]]:
    yield from ids_between(table, wanted)
    yield from created_between(table, wanted)
    if not is_of_all:
        yield from merchant_and_ids_between(table, wanted)
    # Literals, as in the condition of the index.
    yield table.c.kind == literal_column("'refund'")
    yield table.c.cause.in_([literal_column("'merchant'"), literal_column("'gateway'")])
    if "statuses" in wanted:
        yield table.c.status == any_(cast(bindparam("statuses", type_=Text), ARRAY(Text)))


def _wanted(filters: RefundFilters) -> dict[str, Any]:
    """Return the values of the filters that are asked for, by their names in `page`."""
    values = {
        "payment_id": filters.payment_id,
        "statuses": None if filters.status is None else statuses_array(_statuses_of(filters.status)),
        "created_from": filters.created_from,
        "created_to": filters.created_to,
    }
    return {name: value for name, value in values.items() if value is not None}


def _statuses_of(status: RefundStatus) -> list[OperationStatus]:
    return [operation_status for operation_status, shown in REFUND_STATUSES.items() if shown is status]
