"""The webhooks function: deliver a batch of `webhooks` or, for slow receivers, of `webhooks.retry`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import webhooks
from paybridge.wiring import broker

# How long a batch waits if the database is down or busy, before it is handed back to its queue. Of the 60 s the slow
# lane may then need twice its deadline, 30 s.
DATABASE_PATIENCE_SECONDS = 25.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handle the whole batch. Raises, and so returns all of it, only if the broker is down."""
    batch = broker.parse_batch(event, webhooks.HANDLED_TYPES)
    return wiring.run(webhooks.handle(batch, DATABASE_PATIENCE_SECONDS))
