"""Drains the outbox to RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict

from paybridge import wiring
from paybridge.core.errors import Unavailable
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, tell
from paybridge.outbox.drain import Drained, drain_outbox
from paybridge.outbox.relay import Refusal, Relayed
from paybridge.wiring.outbox import draining

# CloudWatch's own step. A worker's drain lasts for days, and is to be seen meanwhile.
TELL_EVERY_SECONDS = 60.0

log = logger()


class DrainLog:
    """Writes down what an operator wants to know of a drain, and measures it."""

    def __init__(self, environment_name: str) -> None:
        self._environment_name = environment_name
        self._published = 0
        self._lag_seconds: float | None = None

    def relayed(self, relayed: Relayed) -> None:
        """Counts what was published, until it is told."""
        self._published += relayed.claimed - relayed.refused
        if relayed.lag_seconds is not None:
            self._lag_seconds = max(relayed.lag_seconds, self._lag_seconds or 0.0)

    def refused(self, refusal: Refusal) -> None:
        """Logs a row that the broker did not take."""
        log.warning("the broker did not take a message", extra=asdict(refusal))

    def outage(self, error: Unavailable) -> None:
        """Logs that the database or the broker is away."""
        log.warning("cannot relay now", extra={"reason": str(error)})

    def tell(self) -> None:
        """Tells what was published since it was told last; a relay that published nothing was not late either."""
        values: dict[Metric, float] = {Metric.PUBLISHED: self._published}
        if self._lag_seconds is not None:
            values[Metric.RELAY_LAG] = self._lag_seconds
        tell(log, self._environment_name, values)
        self._published, self._lag_seconds = 0, None


async def drain(remaining_seconds: Callable[[], float]) -> Drained:
    """Publishes what is due until `remaining_seconds` says 0, and tells how many rows it published."""
    observer = DrainLog(wiring.environment_name())
    telling = asyncio.create_task(_tell_every_minute(observer))
    try:
        drained = await drain_outbox(draining(remaining_seconds, observer))
    finally:
        telling.cancel()
        await asyncio.wait({telling})
        observer.tell()
    log.info("relayed", extra={"published": drained.published, "refused": drained.refused})
    return drained


async def _tell_every_minute(observer: DrainLog) -> None:
    while True:
        await asyncio.sleep(TELL_EVERY_SECONDS)
        observer.tell()
