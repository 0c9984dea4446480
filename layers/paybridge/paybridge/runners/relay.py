"""Drain the outbox to RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict

from paybridge import wiring
from paybridge.core.errors import Unavailable
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit
from paybridge.outbox.drain import Drained, drain_outbox
from paybridge.outbox.relay import Refusal, Relayed
from paybridge.wiring.outbox import draining

# CloudWatch's resolution. A worker's drain lasts for days and must be visible meanwhile.
EMIT_EVERY_SECONDS = 60.0

log = logger()


class DrainLog:
    """Logs a drain and emits its metrics."""

    def __init__(self, environment_name: str) -> None:
        self._environment_name = environment_name
        self._published = 0
        self._lag_seconds: float | None = None

    def relayed(self, relayed: Relayed) -> None:
        """Count what was published since the last `emit`."""
        self._published += relayed.claimed - relayed.refused
        if relayed.lag_seconds is not None:
            self._lag_seconds = max(relayed.lag_seconds, self._lag_seconds or 0.0)

    def refused(self, refusal: Refusal) -> None:
        """Log a row that the broker did not take."""
        log.warning("the broker did not take a message", extra=asdict(refusal))

    def outage(self, error: Unavailable) -> None:
        """Log that the database or the broker is down."""
        log.warning("cannot relay now", extra={"reason": str(error)})

    def emit(self) -> None:
        """Emit the counts since the last call. No lag is reported if nothing was published."""
        values: dict[Metric, float] = {Metric.PUBLISHED: self._published}
        if self._lag_seconds is not None:
            values[Metric.RELAY_LAG] = self._lag_seconds
        emit(log, self._environment_name, values)
        self._published, self._lag_seconds = 0, None


def prepare() -> None:
    """Read every setting and login that a drain needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("relay")
    wiring.database()


async def drain(remaining_seconds: Callable[[], float]) -> Drained:
    """Publish due rows until `remaining_seconds` returns 0, and return how many were published."""
    observer = DrainLog(wiring.environment_name())
    emitting = asyncio.create_task(_emit_every_minute(observer))
    try:
        drained = await drain_outbox(draining(remaining_seconds, observer))
    finally:
        emitting.cancel()
        await asyncio.wait({emitting})
        observer.emit()
    log.info("relayed", extra={"published": drained.published, "refused": drained.refused})
    return drained


async def _emit_every_minute(observer: DrainLog) -> None:
    while True:
        await asyncio.sleep(EMIT_EVERY_SECONDS)
        observer.emit()
