"""Read the facts of the outbox for a rebuild, merchant by merchant, in the order of their transactions.

Rows below the oldest transaction that may still commit are final, so a range of transactions that ends there is read
once and completely, however long the reading takes.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from paybridge.core.errors import QueryFailed
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.ledger.domain.rebuild import LogPlace

# Above every number of a transaction.
XID_MAX = 2**64 - 1

# Each merchant's events follow each other in the index outbox_feed. Only the first merchant is entered in the middle.
# Sorting by more than the merchant would read the events of all merchants for each slice. They come in the order of the
# index, because merchants are joined one by one.
_READ = Statement("""
    SELECT m.id, part.xid::text, part.id, part.body
    FROM (SELECT id FROM merchants WHERE id >= :at_merchant::uuid ORDER BY id) AS m
    CROSS JOIN LATERAL (
        SELECT o.xid, o.id, o.body FROM outbox o
        WHERE o.sequence > 0 AND o.type = ANY (:wanted::text[])
          AND (o.merchant_id, o.xid, o.id) > (
              m.id, CASE WHEN m.id = :at_merchant::uuid THEN :at_xid::xid8 ELSE :from_xid::xid8 END,
              CASE WHEN m.id = :at_merchant::uuid THEN :at_event::uuid
                   ELSE '00000000-0000-0000-0000-000000000000' END)
          AND (o.merchant_id, o.xid) < (m.id, :until_xid::xid8)
        ORDER BY o.merchant_id, o.xid, o.id
        LIMIT :limit::integer
    ) AS part
    ORDER BY m.id
    LIMIT :limit::integer
""")

_FIND_HORIZON = Statement("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")

_FIND_LATER = Statement("""
    SELECT id FROM outbox WHERE id = ANY (:ids::uuid[]) AND xid >= :until_xid::xid8
""")


class LoggedEvent(NamedTuple):
    """An event of the log: its place and its CloudEvent."""

    position: LogPlace
    body: str


def read_log(
    transaction: Transaction,
    types: Collection[str],
    *,
    after: LogPlace,
    from_xid: int,
    until_xid: int,
    limit: int,
) -> list[LoggedEvent]:
    """Return the next events of these types in transactions from `from_xid` on and before `until_xid`."""
    rows = transaction.run(
        _READ,
        wanted="{" + ",".join(types) + "}",
        at_merchant=after.merchant_id,
        at_xid=str(max(after.xid, from_xid)),
        at_event=after.event_id,
        from_xid=str(from_xid),
        until_xid=str(until_xid),
        limit=limit,
    )
    logged = [LoggedEvent(LogPlace(row[0], int(row[1]), row[2]), row[3]) for row in rows]
    # Out of order, the end of the slice would not be its last position, and events would be skipped.
    if any(one.position >= next_.position for one, next_ in pairwise(logged)):
        raise QueryFailed("", "the events of the log are out of order")
    return logged


def find_horizon(transaction: Transaction) -> int:
    """Return the number below which no transaction is left that may still commit."""
    return int(transaction.run(_FIND_HORIZON)[0][0])


def later_events(transaction: Transaction, event_ids: Collection[UUID], until_xid: int) -> frozenset[UUID]:
    """Return those of the events that transactions from `until_xid` on have written."""
    if not event_ids:
        return frozenset()
    rows = transaction.run(_FIND_LATER, ids=uuid_array(event_ids), until_xid=str(until_xid))
    return frozenset(row[0] for row in rows)
