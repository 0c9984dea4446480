"""The consumer function: charge the payments of a batch from the queue `payments.new`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import consumer
from paybridge.wiring import broker

# How long a batch waits if the database is down or busy, before it is handed back to its queue. The rest of the
# function's 60 s is enough for the batch.
DATABASE_PATIENCE_SECONDS = 35.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Charge the payments of the batch. Raise, so that all of it is redelivered, only if the broker is down."""
    batch = broker.parse_batch(event, consumer.HANDLED_TYPES)
    return wiring.run(consumer.handle(batch, DATABASE_PATIENCE_SECONDS))
