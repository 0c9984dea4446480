"""Several worker processes under one parent: started, started again when they die, and stopped together."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from paybridge.core.retry import backoff_seconds
from paybridge.observability.logging import logger
from paybridge.worker.assignments import Assignment

# A process that ends with this code has settings that no restart will mend.
UNUSABLE_SETTINGS = 2
RESTART_PAUSE_SECONDS_MIN = 0.5
RESTART_PAUSE_SECONDS_MAX = 30.0
# A process that lived this long died of something new.
STEADY_SECONDS = 60.0
# A process ends by itself within 25 s; a container service kills after 30 s.
STOP_SECONDS_MAX = 28.0

log = logger()


async def supervise(assignments: Sequence[Assignment]) -> int:
    """Keeps a process for each assignment running until SIGTERM or SIGINT, and returns the exit code."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    log.info("supervising", extra={"processes": [[one.worker, *one.queues] for one in assignments]})
    codes = await asyncio.gather(*(_keep(one, stopping) for one in assignments))
    return max(codes)


async def _keep(assignment: Assignment, stopping: asyncio.Event) -> int:
    failures = 0
    while not stopping.is_set():
        began = time.monotonic()
        code = await _run(assignment, stopping)
        if code == UNUSABLE_SETTINGS:
            stopping.set()
            return code
        if stopping.is_set():
            return 0 if code == 0 else 1
        failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
        pause_seconds = backoff_seconds(failures, RESTART_PAUSE_SECONDS_MIN, RESTART_PAUSE_SECONDS_MAX)
        details = {"queues": assignment.queues, "exit_code": code, "restart_in_seconds": pause_seconds}
        log.error("a worker process ended", extra={"worker": assignment.worker, **details})
        await _stopped_within(stopping, pause_seconds)
    return 0


async def _run(assignment: Assignment, stopping: asyncio.Event) -> int:
    """One life of the process; its exit code, which for a signal is below 0."""
    # Nothing is ever written to its standard input: that it ends tells the process that this one has died.
    process = await asyncio.create_subprocess_exec(*_command(assignment), stdin=PIPE)
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        await _stop(process, ended)
    return await ended


def _command(assignment: Assignment) -> list[str]:
    queues = [part for queue in assignment.queues for part in ("--queue", queue)]
    return [sys.executable, "-m", "paybridge.cli", "worker", assignment.worker, *queues, "--supervised"]


async def _stop(process: Process, ended: asyncio.Task[int]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    await asyncio.wait({ended}, timeout=STOP_SECONDS_MAX)
    if not ended.done():
        with suppress(ProcessLookupError):
            process.kill()


async def _stopped_within(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
