"""Two passes of the relay at a time, for an outbox in which more waits than one batch.

While the broker confirms one batch, the next one is claimed on another database connection: SKIP LOCKED skips what the
first has claimed, as it does between two relays, so that each batch stays a transaction of its own and nothing but the
waiting is shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from paybridge.database.database import Database


async def relay_side_by_side(databases: Iterable[Database], relay_full: Callable[[Database], Awaitable[bool]]) -> None:
    """Lets pass follow pass on each connection, until one finds less than a full batch there.

    `relay_full` makes one pass and says whether its batch was full. When one raises, the others are cancelled, which
    leaves their rows as they were, and the error is raised once they have ended.
    """
    lanes = [asyncio.ensure_future(_lane(database, relay_full)) for database in databases]
    try:
        await asyncio.gather(*lanes)
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def _lane(database: Database, relay_full: Callable[[Database], Awaitable[bool]]) -> None:
    while await relay_full(database):
        pass
