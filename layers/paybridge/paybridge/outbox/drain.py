"""Drains the outbox for as long as an invocation may run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from typing import Protocol

from paybridge.core.errors import Unavailable
from paybridge.core.retry import backoff_seconds
from paybridge.database.database import Database
from paybridge.outbox import store as outbox
from paybridge.outbox.ports import Publisher
from paybridge.outbox.relay import Refusal, Relayed, relay_once
from paybridge.outbox.two_lanes import relay_side_by_side
from paybridge.outbox.wake_up import listening, wake_relay

IDLE_POLL_SECONDS_MIN = 0.02
# After a batch that was not full, what comes may gather: the more there was, the longer, so that a quiet outbox is
# answered at once and a busy one in batches that are worth their transaction.
GATHER_SECONDS_PER_ROW = 0.002
GATHER_SECONDS_MAX = 0.02
OUTAGE_PAUSE_SECONDS_MIN = 0.2
OUTAGE_PAUSE_SECONDS_MAX = 3.0


class DrainObserver(Protocol):
    """Is told what an operator wants to see in the log."""

    def relayed(self, relayed: Relayed) -> None:
        """One pass over due rows is committed."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """The broker did not take a row; it stays and comes again."""
        ...

    def outage(self, error: Unavailable) -> None:
        """The database or the broker is away; the drain goes on trying."""
        ...


@dataclass(slots=True)
class Drained:
    """What one drain did, in rows."""

    published: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """All that a drain needs; `remaining_seconds` says how long it may still run."""

    database: Database
    open_publisher: Callable[[], AbstractAsyncContextManager[Publisher]]
    batch_rows: int
    idle_poll_seconds_max: float
    remaining_seconds: Callable[[], float]
    observer: DrainObserver


async def drain_outbox(drain: Drain) -> Drained:
    """Relays what is due until the time is up, and outlives outages of the broker and the database.

    May be cancelled at any time: what is not confirmed and marked by then stays in the outbox.
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
    """One batch at a time while little waits, two at a time from a full batch on; sleeps when nothing waits."""

    async def relay(database: Database) -> int:
        relayed = await relay_once(database, publisher, drain.batch_rows, drain.observer.refused)
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
            await relay_side_by_side(databases, relay_full)
        elif claimed:
            await _pause(drain, min(claimed * GATHER_SECONDS_PER_ROW, GATHER_SECONDS_MAX))
        empty_looks = 0 if claimed else empty_looks + 1
        if empty_looks:
            await _await_rows(drain, backoff_seconds(empty_looks, IDLE_POLL_SECONDS_MIN, drain.idle_poll_seconds_max))


async def _await_rows(drain: Drain, pause_seconds: float) -> None:
    """Sleeps until a row is due, or a writer says that it has added one; see `paybridge.outbox.wake_up`.

    No longer than `pause_seconds` when another relay holds what is due, or is the one that writers wake.
    """
    if _is_now(outbox.seconds_until_due(drain.database)):
        await _pause(drain, pause_seconds)
        return
    with listening(drain.database) as wake_up:
        seconds_max = drain.idle_poll_seconds_max if wake_up.is_told else pause_seconds
        while (remaining_seconds := drain.remaining_seconds()) > 0:
            until_due = outbox.seconds_until_due(wake_up.session)
            if _is_now(until_due):
                return
            seconds = min(seconds_max, remaining_seconds, seconds_max if until_due is None else until_due)
            if await wake_up.session.heard(seconds) or not wake_up.is_told:
                return
    # Whoever waits beside us without the lock now takes our place.
    wake_relay(drain.database)


def _is_now(seconds_until_due: float | None) -> bool:
    return seconds_until_due is not None and seconds_until_due <= 0


async def _pause(drain: Drain, seconds: float) -> None:
    await asyncio.sleep(max(0.0, min(seconds, drain.remaining_seconds())))
