"""The skeleton of a runner that works through batches: wait for the database, work, dead-letter the poison."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.database.await_database import await_database
from paybridge.observability.logging import logger
from paybridge.wiring import broker

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch

# Keeps a log line below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200

log = logger()


async def run_batch(
    batch: Batch, work: Callable[[Batch], Awaitable[Mapping[str, int]]], database_patience_seconds: float
) -> dict[str, int]:
    """Work through the batch, then dead-letter its poison; wait up to `database_patience_seconds` for the database.

    `work` returns its counts, and may add to the batch's poison. The result has them between the numbers of messages
    and of poison. Raises what `work` raises, DatabaseUnavailable and BrokerUnavailable: the whole batch must be
    redelivered.
    """
    await asyncio.to_thread(await_database, wiring.database(), database_patience_seconds)
    counts = await work(batch)
    if batch.poison:
        log.error("poison messages", extra={"reasons": [poison.reason for poison in batch.poison[:LOGGED_MAX]]})
        await broker.dead_letter(batch.poison)
    return {"messages": len(batch.events), **counts, "poison": len(batch.poison)}


def log_results(message: str, name: str, results: Sequence[Mapping[str, object]], **context: object) -> None:
    """Log the results under `name`, up to LOGGED_MAX a line; every line repeats the context.

    A line for each result would cost more than the work. Without results there is one line, with an empty list.
    """
    for start in range(0, max(len(results), 1), LOGGED_MAX):
        log.info(message, extra={**context, name: results[start : start + LOGGED_MAX]})
