"""The consumer function: charges the payments of a batch from the queue `payments.new`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import consumer
from paybridge.wiring import broker

# How long a batch waits for a database that is away: what is left of the function's 60 s is enough for the batch.
DATABASE_PATIENCE_SECONDS = 35.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Works on the batch. Raises, and so returns the whole of it, only when the database or the broker is away."""
    batch = broker.parse_batch(event, consumer.HANDLED_TYPES)
    return wiring.run(consumer.handle(batch, DATABASE_PATIENCE_SECONDS))
