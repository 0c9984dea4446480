"""The skeleton of a runner that works through batches: wait for the database, work, dead-letter the poison."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, MalformedMessage, Unavailable
from paybridge.core.isolation import run_each_item
from paybridge.core.retry import backoff_seconds
from paybridge.database.await_database import await_database
from paybridge.observability.logging import logger
from paybridge.wiring import broker

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import AnyBatch, Batch, Received

# Keeps a log line below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200
# Between two tries at a batch while the database is away or busy.
BUSY_PAUSE_SECONDS_MIN = 0.5
BUSY_PAUSE_SECONDS_MAX = 5.0

log = logger()

TakenBatch = TypeVar("TakenBatch", bound="AnyBatch")


def for_each_event(batch: Batch, work: Callable[[Received], None]) -> None:
    """Do the work for each event of the batch. An event that fails becomes poison, and the others go on."""

    def on_bad_event(received: Received, error: Exception) -> None:
        # Another error's text may repeat the content of the message.
        detail = f": {error}" if isinstance(error, MalformedMessage) else ""
        batch.poison.append(received.poison(f"{type(error).__name__}{detail}"))

    run_each_item(work, batch.events, on_bad_event)


async def run_batch(
    batch: TakenBatch, work: Callable[[TakenBatch], Awaitable[Mapping[str, int]]], database_patience_seconds: float
) -> dict[str, int]:
    """Work through the batch, then dead-letter its poison; wait up to `database_patience_seconds` for the database.

    `work` returns its counts, and may add to the batch's poison. The result has them between the numbers of messages
    and of poison. While the database is down, or its tables are locked, the work is repeated. If that lasts, the
    messages are handed back to their queue, which uses up none of their deliveries (decision 0027).

    Raises BrokerUnavailable and what else `work` raises: the whole batch must be redelivered.
    """
    counts = await _work_patiently(batch, work, database_patience_seconds)
    if counts is None:
        await broker.hand_back(batch.events)
        counts = {"handed_back": len(batch.events)}
    if batch.poison:
        log.error("poison messages", extra={"reasons": [poison.reason for poison in batch.poison[:LOGGED_MAX]]})
        await broker.dead_letter(batch.poison)
    return {"messages": len(batch.events), **counts, "poison": len(batch.poison)}


async def _work_patiently(
    batch: TakenBatch, work: Callable[[TakenBatch], Awaitable[Mapping[str, int]]], patience_seconds: float
) -> Mapping[str, int] | None:
    """Return the counts of the work, which may be repeated; None if the database was away or busy for too long."""
    give_up_at = time.monotonic() + patience_seconds
    poison = len(batch.poison)
    failures = 0
    while True:
        try:
            shared_time = await asyncio.to_thread(await_database, wiring.database(), give_up_at - time.monotonic())
            wiring.clock().follow(shared_time)
            return await work(batch)
        except BrokerUnavailable:
            raise
        except Unavailable as error:
            # The work finds its poison again.
            del batch.poison[poison:]
            failures += 1
            pause_seconds = backoff_seconds(failures, BUSY_PAUSE_SECONDS_MIN, BUSY_PAUSE_SECONDS_MAX)
            is_last = time.monotonic() + pause_seconds > give_up_at
            log.warning(
                "cannot work on a batch now",
                extra={"reason": str(error), "messages": len(batch.events), "handed_back": is_last},
            )
            if is_last:
                return None
        await asyncio.sleep(pause_seconds)


def log_results(message: str, name: str, results: Sequence[Mapping[str, object]], **context: object) -> None:
    """Log the results under `name`, up to LOGGED_MAX a line; every line repeats the context.

    A line for each result would cost more than the work. Without results there is one line, with an empty list.
    """
    for start in range(0, max(len(results), 1), LOGGED_MAX):
        log.info(message, extra={**context, name: results[start : start + LOGGED_MAX]})
