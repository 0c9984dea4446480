"""Read the outbox as the log of events: what each merchant's facts were, in the order of their transactions.

A position never passes an event that commits later: events are read only below the oldest transaction that may still
commit, and every later event has a higher number. A long transaction holds a reader up, and nothing is skipped.

Import this module only where a query is built, because SQLAlchemy would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from paybridge.database.clauses import Xid8, table_of
from paybridge.database.database import Database, Statement
from paybridge.database.parameters import uuid_array

_log = table_of(
    "outbox",
    {
        "id": "uuid",
        "xid": "xid8",
        "merchant_id": "uuid",
        "payment_id": "uuid",
        "subject_id": "uuid",
        "sequence": "integer",
        "type": "text",
        "created_at": "timestamptz",
        "body": "text",
    },
)
_MERCHANT = bindparam("merchant_id", type_=Uuid)
_AFTER_XID, _AFTER_ID = cast(bindparam("after_xid", type_=Text), Xid8), bindparam("after_id", type_=Uuid)
_HORIZON = literal_column("pg_snapshot_xmin(pg_current_snapshot())", Xid8)

# One step in the index for each merchant, and not one row for each event.
_MERCHANTS = Statement("""
    WITH RECURSIVE merchant (id) AS (
        (SELECT merchant_id FROM outbox
         WHERE sequence > 0 AND merchant_id > :after::uuid ORDER BY merchant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT o.merchant_id FROM outbox o
                WHERE o.sequence > 0 AND o.merchant_id > merchant.id ORDER BY o.merchant_id LIMIT 1)
        FROM merchant WHERE merchant.id IS NOT NULL
    )
    SELECT id FROM merchant WHERE id IS NOT NULL LIMIT :limit::integer
""")

_WITH_NEWS = Statement("""
    SELECT reader.merchant_id
    FROM unnest(:merchant_ids::uuid[], :xids::xid8[], :ids::uuid[]) AS reader (merchant_id, xid, id)
    WHERE EXISTS (
        SELECT FROM outbox o
        WHERE o.sequence > 0 AND (o.merchant_id, o.xid, o.id) > (reader.merchant_id, reader.xid, reader.id)
          AND (o.merchant_id, o.xid) < (reader.merchant_id, pg_snapshot_xmin(pg_current_snapshot()))
    )
""")


class LogPosition(NamedTuple):
    """A place in the log of a merchant's events: the number of an event's transaction as text, and its id."""

    xid: str
    event_id: UUID


START = LogPosition("0", UUID(int=0))


def merchants_with_events(database: Database, after: UUID, limit: int) -> list[UUID]:
    """Return merchants that have events, in the order of their ids, the first `limit` after this one.

    Raises DatabaseUnavailable.
    """
    return [merchant_id for (merchant_id,) in database.run(_MERCHANTS, after=after, limit=limit)]


def merchants_with_news(database: Database, positions: Mapping[UUID, LogPosition]) -> list[UUID]:
    """Return those of the merchants that have events after their positions. Raises DatabaseUnavailable."""
    rows = database.run(
        _WITH_NEWS,
        merchant_ids=uuid_array(positions),
        xids="{" + ",".join(place.xid for place in positions.values()) + "}",
        ids=uuid_array(place.event_id for place in positions.values()),
    )
    return [merchant_id for (merchant_id,) in rows]


def next_events() -> CTE:
    """Return the next events of a merchant, as a part of a statement that works with them.

    Its parameters are `merchant_id`, the position `after_xid` and `after_id`, `limit`, and `wanted`. Only events of
    these types have their body in the column `body`. The others have null there.
    """
    wanted = any_(cast(bindparam("wanted", type_=Text), ARRAY(Text)))
    body = case((_log.c.type == wanted, _log.c.body)).label("body")
    place = tuple_(_log.c.merchant_id, _log.c.xid, _log.c.id)
    return (
        select(*(one for one in _log.c if one.name != "body"), body)
        .where(
            # As in the condition of the index.
            _log.c.sequence > literal_column("0"),
            place > tuple_(_MERCHANT, _AFTER_XID, _AFTER_ID),
            tuple_(_log.c.merchant_id, _log.c.xid) < tuple_(_MERCHANT, _HORIZON),
        )
        .order_by(_log.c.merchant_id, _log.c.xid, _log.c.id)
        .limit(bindparam("limit", type_=Integer))
        .cte("next_events")
        .prefix_with("MATERIALIZED")
    )


def last_position(events: CTE) -> tuple[ColumnElement[Any], ...]:
    """Return the columns `xid`, as text, and `id` of the last of these events, and `events`, how many they are."""
    last = select(events.c.xid, events.c.id).order_by(events.c.xid.desc(), events.c.id.desc())
    last_one = last.limit(literal_column("1")).subquery("last_event")
    return (
        select(cast(last_one.c.xid, Text)).scalar_subquery().label("xid"),
        select(last_one.c.id).scalar_subquery().label("id"),
        select(func.count()).select_from(events).scalar_subquery().label("events"),
    )
