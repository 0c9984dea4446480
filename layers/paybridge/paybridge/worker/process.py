"""Run one worker process: start, handle signals, work, and stop within a bound."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from paybridge import wiring
from paybridge.core.errors import SettingsInvalid, Unavailable
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.wiring import broker
from paybridge.worker.assignments import BRIDGE, CONSUMER, DEAD_LETTERS, INTAKE, LEDGER, NOTIFIER, RELAY, Assignment
from paybridge.worker.queues import QueueWork, work_queues

if TYPE_CHECKING:
    from paybridge.core.raw_messages import RawMessage
    from paybridge.rabbitmq.batch import Batch
    from paybridge.rabbitmq.subscription import TakenMessage
    from paybridge.rabbitmq.unread import UnreadBatch

# Container services leave 30 s between SIGTERM and SIGKILL.
STOP_SECONDS_MAX = 25.0
# The relay asks how long it may still run. This means for ever, and is still a number of seconds to sleep for.
RELAY_SECONDS = 3600.0

log = logger()


Handle = Callable[[Sequence["TakenMessage"], float], Awaitable[dict[str, int]]]


class Handling(Protocol):
    """A module of `paybridge.runners` that works on messages."""

    BATCH_MESSAGES: int

    def prepare(self) -> None:
        """Read every setting. Raises SettingsInvalid."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class EventHandling(Handling, Protocol):
    """One that works on events of ours."""

    HANDLED_TYPES: frozenset[str]

    async def handle(self, batch: Batch, database_patience_seconds: float) -> dict[str, int]:
        """Work on a batch and count its outcomes. Wait for the database for at most the given seconds."""
        ...


class UnreadHandling(Handling, Protocol):
    """One that reads messages of strangers."""

    async def handle(self, batch: UnreadBatch, database_patience_seconds: float) -> dict[str, int]:
        """Work on a batch and count its outcomes. Wait for the database for at most the given seconds."""
        ...


class RawHandling(Handling, Protocol):
    """One that works on any message."""

    async def handle(self, messages: Sequence[RawMessage], database_patience_seconds: float) -> dict[str, int]:
        """Work on the messages and count the outcomes. Wait for the database for at most the given seconds."""
        ...


def run_process(assignment: Assignment) -> int:
    """Work until SIGTERM or SIGINT and return the exit code. Raises SettingsInvalid or Unavailable."""
    # The worker logs one line when the broker is away; these libraries would add a traceback for every attempt.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return wiring.run(_run(assignment))


async def _run(assignment: Assignment) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    work = asyncio.create_task(_work(assignment, stopping))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({work}, timeout=STOP_SECONDS_MAX)
    if not work.done():
        _leave_at_once()
    stopped.cancel()
    return _exit_code(work)


async def _work(assignment: Assignment, stopping: asyncio.Event) -> None:
    if assignment.worker == RELAY:
        from paybridge.runners import relay

        relay.prepare()
        log.info("worker ready")
        await relay.drain(lambda: 0.0 if stopping.is_set() else RELAY_SECONDS)
    elif assignment.worker == CONSUMER:
        from paybridge.runners import consumer

        await _work_queues(assignment.queues, consumer, _in_batches(consumer), stopping)
    elif assignment.worker == INTAKE:
        from paybridge.runners import intake

        await _work_queues(assignment.queues, intake, _to_read(intake), stopping)
    elif assignment.worker == DEAD_LETTERS:
        from paybridge.runners import dead_letters

        await _work_queues(assignment.queues, dead_letters, _unread(dead_letters), stopping)
    elif assignment.worker == NOTIFIER:
        from paybridge.runners import notifier

        await _work_queues(assignment.queues, notifier, _in_batches(notifier), stopping)
    elif assignment.worker == LEDGER:
        from paybridge.runners import ledger

        await _work_queues(assignment.queues, ledger, _in_batches(ledger), stopping)
    elif assignment.worker == BRIDGE:
        from paybridge.runners import bridge

        await _work_queues(assignment.queues, bridge, _in_batches(bridge), stopping)
    else:
        from paybridge.runners import webhooks

        await _work_queues(assignment.queues, webhooks, _in_batches(webhooks), stopping)


async def _work_queues(queues: tuple[str, ...], handling: Handling, handle: Handle, stopping: asyncio.Event) -> None:
    # A missing setting ends the worker here. Found in the middle of a batch, it would be blamed on the messages.
    handling.prepare()
    try:
        work = QueueWork(queues=queues, batch_messages=handling.BATCH_MESSAGES, handle=handle)
        await work_queues(work, stopping)
    finally:
        await handling.close()


def _in_batches(handling: EventHandling) -> Handle:
    return lambda messages, seconds: handling.handle(broker.batch_of(messages, handling.HANDLED_TYPES), seconds)


def _to_read(handling: UnreadHandling) -> Handle:
    return lambda messages, seconds: handling.handle(broker.unread_of(messages), seconds)


def _unread(handling: RawHandling) -> Handle:
    return lambda messages, seconds: handling.handle(broker.raw_messages_of(messages), seconds)


def _exit_code(work: asyncio.Task[None]) -> int:
    error = work.exception()
    if error is None:
        return 0
    if isinstance(error, SettingsInvalid | Unavailable):
        raise error
    log.error("the worker failed", extra={"error": type(error).__name__, "frames": stack_frames(error)})
    return 1


def _leave_at_once() -> None:
    """End the process as SIGKILL would, without waiting for threads. The broker redelivers the batch in hand."""
    log.warning("stopped before the batch in hand was done: the broker redelivers its messages")
    os._exit(0)
