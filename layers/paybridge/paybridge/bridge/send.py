"""Send the events of a batch to the bus, and record those that it took. The others wait in the outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from paybridge.bridge.domain.answers import OUT_OF_TIME, Answer, NotTaken, Taken
from paybridge.bridge.domain.commands import bridge_event
from paybridge.bridge.domain.entries import Entry, calls_of
from paybridge.bridge.ports import BridgeServices, EventBus
from paybridge.bridge.store.sent import record_sent
from paybridge.core.events import Event
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.outbox import store as outbox

# Calls at the same time. Each takes ten events.
CALLS_MAX = 8
# No call starts later than this after the first. A batch may wait 25 s for the database before, the last call may take
# 7 s, and the function has 60 s.
START_SECONDS = 12.0
# The waits before what failed is sent again within a batch. They mend one throttled call.
PAUSES_SECONDS = (0.2, 1.0)
TOO_LARGE = "larger than the 255 KB that the bridge sends to EventBridge"

log = logger()


@dataclass(frozen=True, slots=True)
class Bridged:
    """One event on its way: the event, the body of its message, and the number of this attempt."""

    event: Event
    body: str
    attempt: int = 1

    @property
    def entry(self) -> Entry:
        """Return the event as EventBridge takes it."""
        return Entry(self.event.type, self.event.time, self.body)


@dataclass(slots=True)
class Report:
    """What has become of the events of a batch, by their places in it."""

    sent: set[int] = field(default_factory=set)
    retried: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


async def send(services: BridgeServices, batch: Sequence[Bridged]) -> Report:
    """Send the batch and return what EventBridge took, what is tried again later and what is refused for good.

    Raises nothing for what EventBridge does: see `note` for what is recorded and what waits.
    """
    report = Report()
    for place, one in enumerate(batch):
        if one.entry.is_too_large:
            report.refused[place] = TOO_LARGE
    waiting = [place for place in range(len(batch)) if place not in report.refused]
    start_until = time.monotonic() + START_SECONDS
    with ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="bridge") as threads:
        for pause_seconds in (0.0, *PAUSES_SECONDS):
            await asyncio.sleep(pause_seconds)
            waiting = await _round(services.bus, threads, batch, waiting, start_until, report)
            # While EventBridge takes nothing at all, another round would only keep the batch.
            if not waiting or not report.sent or time.monotonic() > start_until:
                break
    _give_up_last_attempts(services, batch, report)
    return report


def note(services: BridgeServices, sent: Collection[UUID], batch: Sequence[Bridged], report: Report) -> None:
    """Record the events that are on the bus, and write a command for each of the batch that is tried again.

    Raises DatabaseUnavailable and LockTimeout.
    """
    now = services.clock.now()
    commands = []
    for place in report.retried:
        one = batch[place]
        command = bridge_event(services.ids.new(), one.event, one.body, one.attempt + 1, now)
        commands.append((command, services.retry_delays_seconds[one.attempt - 1]))
    if not sent and not commands:
        return
    with services.database.transaction() as transaction:
        if sent:
            record_sent(transaction, sent)
        outbox.add_delayed(transaction, commands)


async def _round(
    bus: EventBus,
    threads: ThreadPoolExecutor,
    batch: Sequence[Bridged],
    places: Sequence[int],
    start_until: float,
    report: Report,
) -> list[int]:
    """Send the events at these places, report on each, and return the places of those that may be sent again."""
    loop = asyncio.get_running_loop()
    calls = [*calls_of(batch[place].entry for place in places)]
    answers = await asyncio.gather(*(loop.run_in_executor(threads, _put, bus, call, start_until) for call in calls))
    again = []
    for place, answer in zip(places, (answer for call in answers for answer in call), strict=True):
        report.retried.pop(place, None)
        match answer:
            case Taken():
                report.sent.add(place)
            case NotTaken(reason, is_permanent=True):
                report.refused[place] = f"EventBridge refuses it: {reason}"
            case NotTaken(reason):
                report.retried[place] = reason
                again.append(place)
    return again


def _put(bus: EventBus, entries: Sequence[Entry], start_until: float) -> list[Answer]:
    if time.monotonic() > start_until:
        return [NotTaken(OUT_OF_TIME)] * len(entries)
    # The one place that catches everything: one call never fails the batch of all merchants.
    try:
        return bus.put(entries, start_until)
    except Exception as error:  # noqa: BLE001 - see above
        _log_failure(error)
        return [NotTaken(type(error).__name__)] * len(entries)


def _log_failure(error: Exception) -> None:
    log.error("cannot send events", extra={"error_type": type(error).__name__, "stack": stack_frames(error)})


def _give_up_last_attempts(services: BridgeServices, batch: Sequence[Bridged], report: Report) -> None:
    for place, reason in [*report.retried.items()]:
        attempt = batch[place].attempt
        if attempt > len(services.retry_delays_seconds):
            del report.retried[place]
            report.refused[place] = f"EventBridge took it in none of {attempt} attempts: {reason}"
