"""The relay function: publishes the outbox to RabbitMQ until its time is nearly up."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.domain.errors import Unavailable
from paybridge.observability.logging import logger
from paybridge.usecases.events.drain import Drain, drain_outbox
from paybridge.usecases.events.relay import Refusal

# Left over for the last batch's confirms, the commit and closing the connection.
RESERVE_SECONDS = 3.0

log = logger()


class DrainLog:
    """Writes down what an operator wants to know of a drain."""

    def refused(self, refusal: Refusal) -> None:
        """Logs a row that the broker did not take."""
        log.warning("the broker did not take a message", extra=asdict(refusal))

    def outage(self, error: Unavailable) -> None:
        """Logs that the database or the broker is away."""
        log.warning("cannot relay now", extra={"reason": str(error)})


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Drains the outbox; the schedule's event says nothing that matters."""
    configuration = wiring.relay_configuration()
    drained = wiring.run(
        drain_outbox(
            Drain(
                database=wiring.database(),
                open_publisher=wiring.open_publisher,
                batch_rows=configuration.batch_rows,
                idle_poll_seconds_max=configuration.idle_poll_seconds_max,
                remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS,
                observer=DrainLog(),
            )
        )
    )
    log.info("relayed", extra={"published": drained.published, "refused": drained.refused})
    return {"published": drained.published, "refused": drained.refused}
