"""Wait until the feed shows what was committed."""

from __future__ import annotations

from local.testkit.live import eventually
from paybridge.database.database import Database, Statement

_NEXT = Statement("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
_IS_PAST = Statement("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= :number::xid8")


def await_horizon(database: Database) -> None:
    """Wait until every transaction that has begun by now is over, such as one of autovacuum."""
    ((number,),) = database.run(_NEXT)
    eventually(lambda: bool(database.run(_IS_PAST, number=number)[0][0]), "the end of older transactions")
