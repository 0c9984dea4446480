"""Drain the outbox for as long as an invocation may run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from typing import Protocol

from paybridge.core.errors import Unavailable
from paybridge.core.retry import backoff_seconds
from paybridge.database.database import Database
from paybridge.outbox.ports import Publisher, Redrives, Replays
from paybridge.outbox.relay import Refusal, Relayed, relay_once
from paybridge.outbox.two_lanes import relay_in_two_lanes
from paybridge.outbox.wake_up import await_rows

IDLE_POLL_SECONDS_MIN = 0.02
# After a partial batch, pause briefly so the next one fills up; scale the pause with the last batch. A quiet outbox is
# relayed at once, a busy one in batches that are worth their transaction.
GATHER_SECONDS_PER_ROW = 0.002
GATHER_SECONDS_MAX = 0.02
OUTAGE_PAUSE_SECONDS_MIN = 0.2
OUTAGE_PAUSE_SECONDS_MAX = 3.0


class DrainObserver(Protocol):
    """Logs what an operator wants to see of a drain."""

    def relayed(self, relayed: Relayed) -> None:
        """Log a pass over due rows, which is committed."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """Log a row that the broker refused; it stays for a retry."""
        ...

    def outage(self, error: Unavailable) -> None:
        """Log that the database or the broker is away; the drain retries."""
        ...


@dataclass(slots=True)
class Drained:
    """The rows that a drain published, and those that the broker refused."""

    published: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """All that a drain needs; `remaining_seconds` returns how long it may still run."""

    database: Database
    open_publisher: Callable[[], AbstractAsyncContextManager[Publisher]]
    batch_rows: int
    idle_poll_seconds_max: float
    remaining_seconds: Callable[[], float]
    observer: DrainObserver
    # Without it the rows of dead letters wait.
    redrives: Redrives | None = None
    # Without it the rows of replays wait.
    replays: Replays | None = None


async def drain_outbox(drain: Drain) -> Drained:
    """Relay what is due until the time is up, through outages of the broker and the database.

    May be cancelled at any time: rows that are not confirmed and marked by then stay in the outbox.
    """
    drained = Drained()
    outages = 0
    with closing(drain.database.another()) as second:
        while drain.remaining_seconds() > 0:
            try:
                async with drain.open_publisher() as publisher:
                    outages = 0
                    await _relay_until_done(drain, (drain.database, second), publisher, drained)
            except Unavailable as error:
                outages += 1
                drain.observer.outage(error)
                await _pause(drain, backoff_seconds(outages, OUTAGE_PAUSE_SECONDS_MIN, OUTAGE_PAUSE_SECONDS_MAX))
    return drained


async def _relay_until_done(
    drain: Drain, databases: tuple[Database, Database], publisher: Publisher, drained: Drained
) -> None:
    """Relay one batch at a time, two at a time from a full batch on, and sleep while no row is due."""

    async def relay(database: Database) -> int:
        relayed = await relay_once(
            database, publisher, drain.batch_rows, drain.observer.refused, drain.redrives, drain.replays
        )
        drained.published += relayed.claimed - relayed.refused
        drained.refused += relayed.refused
        if relayed.claimed:
            drain.observer.relayed(relayed)
        return relayed.claimed

    async def relay_full(database: Database) -> bool:
        return await relay(database) == drain.batch_rows and drain.remaining_seconds() > 0

    empty_looks = 0
    while drain.remaining_seconds() > 0:
        claimed = await relay(databases[0])
        if claimed == drain.batch_rows:
            await relay_in_two_lanes(databases, relay_full)
        elif claimed:
            await _pause(drain, min(claimed * GATHER_SECONDS_PER_ROW, GATHER_SECONDS_MAX))
        empty_looks = 0 if claimed else empty_looks + 1
        if empty_looks:
            pause_seconds = backoff_seconds(empty_looks, IDLE_POLL_SECONDS_MIN, drain.idle_poll_seconds_max)
            await await_rows(drain.database, pause_seconds, drain.idle_poll_seconds_max, drain.remaining_seconds)


async def _pause(drain: Drain, seconds: float) -> None:
    await asyncio.sleep(max(0.0, min(seconds, drain.remaining_seconds())))
