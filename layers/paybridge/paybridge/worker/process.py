"""The life of one worker process: start, signals, work, and an end within a bound."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Protocol

from paybridge import wiring
from paybridge.core.errors import Unavailable
from paybridge.observability.logging import logger
from paybridge.observability.stack import frames_of
from paybridge.wiring.settings import SettingsInvalid
from paybridge.worker.assignments import CONSUMER, RELAY, Assignment
from paybridge.worker.queues import QueueWork, work_queues

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch

# Below the 30 s that a container service leaves between SIGTERM and SIGKILL.
STOP_SECONDS_MAX = 25.0
# The relay asks how long it may still run; this is for ever, and still a number that can be slept for.
RELAY_SECONDS = 3600.0

log = logger()


class Handling(Protocol):
    """What a module of `paybridge.runners` brings that works queues off."""

    HANDLED_TYPES: frozenset[str]
    BATCH_MESSAGES: int

    def prepare(self) -> None:
        """Reads every setting; raises SettingsInvalid."""
        ...

    async def handle(self, batch: Batch, database_patience_seconds: float) -> dict[str, int]:
        """Works on a batch."""
        ...

    async def close(self) -> None:
        """Closes what was opened."""
        ...


def run_process(assignment: Assignment, *, is_supervised: bool) -> int:
    """Does the work until SIGTERM or SIGINT, and returns the exit code. Raises SettingsInvalid or Unavailable.

    `is_supervised` ends it as well when its standard input ends, which is when its supervisor has died.
    """
    # The worker says in one line that the broker is away; these would add a traceback for every attempt.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return wiring.run(_run(assignment, is_supervised))


async def _run(assignment: Assignment, is_supervised: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if is_supervised:
        loop.add_reader(sys.stdin.fileno(), stopping.set)
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

        log.info("worker ready")
        await relay.drain(lambda: 0.0 if stopping.is_set() else RELAY_SECONDS)
    elif assignment.worker == CONSUMER:
        from paybridge.runners import consumer

        await _work_queues(assignment.queues, consumer, stopping)
    else:
        from paybridge.runners import webhooks

        await _work_queues(assignment.queues, webhooks, stopping)


async def _work_queues(queues: tuple[str, ...], handling: Handling, stopping: asyncio.Event) -> None:
    # A setting that is missing ends the worker here: found out by a batch, it would look like the messages' fault.
    handling.prepare()
    try:
        work = QueueWork(
            queues=queues,
            known_types=handling.HANDLED_TYPES,
            batch_messages=handling.BATCH_MESSAGES,
            handle=handling.handle,
        )
        await work_queues(work, stopping)
    finally:
        await handling.close()


def _exit_code(work: asyncio.Task[None]) -> int:
    error = work.exception()
    if error is None:
        return 0
    if isinstance(error, SettingsInvalid | Unavailable):
        raise error
    log.error("the worker failed", extra={"error": type(error).__name__, "frames": frames_of(error)})
    return 1


def _leave_at_once() -> None:
    """Ends the process as SIGKILL would, without waiting for threads: what is in hand comes again."""
    log.warning("stopped before the batch in hand was done: its messages come again")
    os._exit(0)
