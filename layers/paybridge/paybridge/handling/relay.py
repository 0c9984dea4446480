"""Drains the outbox to RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from paybridge import wiring
from paybridge.domain.errors import Unavailable
from paybridge.observability.logging import logger
from paybridge.usecases.events.drain import Drain, Drained, drain_outbox
from paybridge.usecases.events.relay import Refusal

log = logger()


class DrainLog:
    """Writes down what an operator wants to know of a drain."""

    def refused(self, refusal: Refusal) -> None:
        """Logs a row that the broker did not take."""
        log.warning("the broker did not take a message", extra=asdict(refusal))

    def outage(self, error: Unavailable) -> None:
        """Logs that the database or the broker is away."""
        log.warning("cannot relay now", extra={"reason": str(error)})


async def drain(remaining_seconds: Callable[[], float]) -> Drained:
    """Publishes what is due until `remaining_seconds` says 0, and tells how many rows it published."""
    configuration = wiring.relay_configuration()
    drained = await drain_outbox(
        Drain(
            database=wiring.database(),
            open_publisher=wiring.open_publisher,
            batch_rows=configuration.batch_rows,
            idle_poll_seconds_max=configuration.idle_poll_seconds_max,
            remaining_seconds=remaining_seconds,
            observer=DrainLog(),
        )
    )
    log.info("relayed", extra={"published": drained.published, "refused": drained.refused})
    return drained
