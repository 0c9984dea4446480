"""Consume queues batch after batch, acknowledge each batch once it is committed, and survive outages.

A batch ends in one of four ways:

    it is committed                       acknowledged
    the database or broker is away        returned by a nack; nothing more is taken until the outage is over
    it fails for another reason           retried message by message; a message that fails alone is rejected, which
                                          counts toward its delivery limit and in the end dead-letters it alone
    this process dies                     redelivered by the broker; every step decides by the state in the database
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.errors import LockTimeout, Unavailable
from paybridge.core.retry import backoff_seconds
from paybridge.database.await_database import await_database
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.wiring import broker

if TYPE_CHECKING:
    from paybridge.rabbitmq.subscription import Subscription, TakenMessage

# Returning a batch counts as a delivery, so an outage of the database is first waited for with the batch in hand. The
# wait is short enough for a stop to keep its bound.
PATIENCE_SECONDS = 10.0
# At the start no batch is in hand, so the outage may be logged sooner.
START_PATIENCE_SECONDS = 2.0
OUTAGE_PAUSE_SECONDS_MIN = 0.2
OUTAGE_PAUSE_SECONDS_MAX = 5.0
# After this long without an outage the next one counts as the first.
STEADY_SECONDS = 60.0
# The broker redelivers a rejected message at once. Without a pause it would use up its deliveries in milliseconds.
REFUSED_PAUSE_SECONDS = 1.0

log = logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWork:
    """The queues of one process and the function that handles their batches."""

    queues: tuple[str, ...]
    batch_messages: int
    # Works on messages, and waits for the database for at most the given seconds.
    handle: Callable[[Sequence[TakenMessage], float], Awaitable[dict[str, int]]]


async def work_queues(work: QueueWork, stopping: asyncio.Event) -> None:
    """Handle batches until `stopping` is set, then finish the messages already taken. Retry after outages."""
    outages = 0
    while not stopping.is_set():
        began = time.monotonic()
        try:
            await asyncio.to_thread(await_database, wiring.database(), START_PATIENCE_SECONDS)
            async with broker.subscribe(work.queues, work.batch_messages) as subscription:
                log.info("worker ready", extra={"queues": work.queues})
                await _serve(work, subscription, stopping)
        except (Unavailable, LockTimeout) as error:
            outages = 1 if time.monotonic() - began > STEADY_SECONDS else outages + 1
            log.warning("cannot work now", extra={"queues": work.queues, "reason": str(error)})
            await _pause(stopping, backoff_seconds(outages, OUTAGE_PAUSE_SECONDS_MIN, OUTAGE_PAUSE_SECONDS_MAX))


async def _serve(work: QueueWork, subscription: Subscription, stopping: asyncio.Event) -> None:
    ending = asyncio.create_task(_end_when(stopping, subscription))
    try:
        while messages := await subscription.batch(work.batch_messages):
            await _work_batch(work, subscription, messages)
    finally:
        ending.cancel()


async def _end_when(stopping: asyncio.Event, subscription: Subscription) -> None:
    await stopping.wait()
    # Without a connection there is nothing to end. The next call of `batch` raises the error.
    with suppress(Unavailable):
        await subscription.end()


async def _work_batch(work: QueueWork, subscription: Subscription, messages: Sequence[TakenMessage]) -> None:
    try:
        await _handle(work, messages)
    except (Unavailable, LockTimeout):
        await subscription.give_back(messages[-1])
        raise
    except Exception as error:  # noqa: BLE001 - no error may stop the queue: the message behind it is found below
        _log_failure("a batch failed: trying its messages one by one", messages, error)
        await _work_one_by_one(work, subscription, messages)
    else:
        await subscription.acknowledge(messages[-1])


async def _work_one_by_one(work: QueueWork, subscription: Subscription, messages: Sequence[TakenMessage]) -> None:
    refused = 0
    for message in messages:
        try:
            await _handle(work, [message])
        except (Unavailable, LockTimeout):
            await subscription.give_back(messages[-1])
            raise
        except Exception as error:  # noqa: BLE001 - the failing message is found; the others continue
            _log_failure("a message failed", [message], error)
            await subscription.refuse(message)
            refused += 1
        else:
            await subscription.acknowledge_one(message)
    if refused:
        await asyncio.sleep(REFUSED_PAUSE_SECONDS)


async def _handle(work: QueueWork, messages: Sequence[TakenMessage]) -> None:
    await work.handle(messages, PATIENCE_SECONDS)


def _log_failure(what: str, messages: Sequence[TakenMessage], error: Exception) -> None:
    # The text of an error may contain values of a row, so only its type and frames are logged.
    found = {"messages": len(messages), "first_message_id": messages[0].message_id}
    log.error(what, extra={**found, "error": type(error).__name__, "frames": stack_frames(error)})


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
