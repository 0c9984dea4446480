"""The relay function: publishes the outbox to RabbitMQ until its time is nearly up."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import relay

# Reserved for the last batch's confirms, the commit and closing the connection.
RESERVE_SECONDS = 3.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Drain the outbox and return the counts. The schedule's event carries nothing."""
    drained = wiring.run(relay.drain(lambda: context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS))
    return {"published": drained.published, "refused": drained.refused}
