"""The deliveries to an endpoint: one query for each set of filters, built by SQLAlchemy Core.

Import this module only where deliveries are listed, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, and_, bindparam, select, tuple_

from paybridge.database.clauses import compiled, table_of
from paybridge.database.database import Database, Statement
from paybridge.database.pages import ID_BOUNDS, ids_between
from paybridge.webhooks.domain.delivery_log import DeliveryFilters, ListedDelivery, LoggedAttempt
from paybridge.webhooks.store.delivery_log import ATTEMPT_COLUMNS, DELIVERY_COLUMNS, delivery_from_row

deliveries = table_of("webhook_deliveries", DELIVERY_COLUMNS)
attempts = table_of("webhook_attempts", {"delivery_id": "uuid", **ATTEMPT_COLUMNS})

_ENDPOINT = bindparam("endpoint_id", type_=Uuid)
_BEFORE = bindparam("before", type_=Uuid)


def list_newest_first(
    database: Database, endpoint_id: UUID, filters: DeliveryFilters, *, before: UUID | None, limit: int
) -> list[ListedDelivery]:
    """Return at most `limit` deliveries to the endpoint that match, with ids below `before`, newest first."""
    wanted = _wanted(filters)
    bounds = ID_BOUNDS | ({"before": before} if before else {})
    rows = database.run(page(frozenset(wanted)), endpoint_id=endpoint_id, limit=limit, **bounds, **wanted)
    count = len(DELIVERY_COLUMNS)
    return [
        ListedDelivery(delivery_from_row(row[:count]), LoggedAttempt(*row[count:]) if row[count] is not None else None)
        for row in rows
    ]


@cache
def page(wanted: frozenset[str]) -> Statement:
    """Build the query of a page with the `wanted` filters, which are fields of DeliveryFilters.

    Its parameters are these filters, the endpoint, the limit, and the bounds of the ids.
    """
    # Pairs of endpoint and id, between which only deliveries to this endpoint lie: see `merchant_and_ids_between`.
    pair = tuple_(deliveries.c.endpoint_id, deliveries.c.id)
    newest = (
        select(deliveries)
        .where(
            *ids_between(deliveries, wanted),
            # As in the condition of the index, which the comparison of pairs does not prove.
            deliveries.c.endpoint_id.is_not(None),
            pair < tuple_(_ENDPOINT, _BEFORE),
            pair >= tuple_(_ENDPOINT, bindparam("not_before", type_=Uuid)),
            *(deliveries.c[name] == bindparam(name, type_=Text) for name in sorted(wanted)),
        )
        .order_by(deliveries.c.endpoint_id.desc(), deliveries.c.id.desc())
        .limit(bindparam("limit", type_=Integer))
        .subquery("newest")
    )
    last = and_(attempts.c.delivery_id == newest.c.id, attempts.c.number == newest.c.attempts)
    clause = select(newest, *(attempts.c[name].label(f"attempt_{name}") for name in ATTEMPT_COLUMNS))
    joined = clause.join_from(newest, attempts, last, isouter=True)
    return compiled(joined.order_by(newest.c.endpoint_id.desc(), newest.c.id.desc()))


def _wanted(filters: DeliveryFilters) -> dict[str, Any]:
    """Return the values of the filters that are asked for, by their names in `page`."""
    values = {field.name: getattr(filters, field.name) for field in fields(filters)}
    return {name: value for name, value in values.items() if value is not None}
