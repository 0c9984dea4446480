"""Run two passes of the relay at a time while more than one batch is due.

While the broker confirms one batch, the next one is claimed on another database connection. SKIP LOCKED skips the rows
that the first has claimed, as it does between two relays. Each batch stays one transaction; only the waiting overlaps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from paybridge.database.database import Database


async def relay_in_two_lanes(databases: Iterable[Database], relay_full: Callable[[Database], Awaitable[bool]]) -> None:
    """Repeat passes on each connection until one finds less than a full batch.

    `relay_full` makes one pass and returns whether its batch was full. If a pass raises, the other lanes are cancelled,
    which leaves their rows as they were. The error is raised once they have ended.
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
