"""Drains the outbox for as long as an invocation may run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from paybridge.domain.errors import Unavailable
from paybridge.domain.retry import backoff_seconds
from paybridge.ports import Publisher
from paybridge.store.database import Database
from paybridge.usecases.events.relay import Refusal, relay_once

IDLE_POLL_SECONDS_MIN = 0.02
OUTAGE_PAUSE_SECONDS_MIN = 0.2
OUTAGE_PAUSE_SECONDS_MAX = 3.0


class DrainObserver(Protocol):
    """Is told what an operator wants to see in the log."""

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
    """Relays batch after batch until the time is up, and outlives outages of the broker and the database."""
    drained = Drained()
    outages = 0
    while drain.remaining_seconds() > 0:
        try:
            async with drain.open_publisher() as publisher:
                outages = 0
                await _relay_until_done(drain, publisher, drained)
        except Unavailable as error:
            outages += 1
            drain.observer.outage(error)
            await _pause(drain, backoff_seconds(outages, OUTAGE_PAUSE_SECONDS_MIN, OUTAGE_PAUSE_SECONDS_MAX))
    return drained


async def _relay_until_done(drain: Drain, publisher: Publisher, drained: Drained) -> None:
    """While the outbox is empty it is polled after 20 ms first, then less and less often."""
    idle_polls = 0
    while drain.remaining_seconds() > 0:
        relayed = await relay_once(drain.database, publisher, drain.batch_rows, drain.observer.refused)
        drained.published += relayed.claimed - relayed.refused
        drained.refused += relayed.refused
        if relayed.claimed:
            idle_polls = 0
            continue
        idle_polls += 1
        await _pause(drain, backoff_seconds(idle_polls, IDLE_POLL_SECONDS_MIN, drain.idle_poll_seconds_max))


async def _pause(drain: Drain, seconds: float) -> None:
    await asyncio.sleep(max(0.0, min(seconds, drain.remaining_seconds())))
