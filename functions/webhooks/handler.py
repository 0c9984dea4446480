"""The webhooks function: deliver a batch of `webhooks` or, for slow receivers, of `webhooks.retry`."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import webhooks
from paybridge.wiring import broker

# How long a batch waits if the database is down or busy, before it is handed back to its queue. Of the function's 60 s,
# 35 s are left. The fast lane may then start attempts for two deadlines and await the last for a third: 30 s, if the
# deadline is the longest that its setting takes. The slow lane needs 1.7 deadlines, 25 s.
DATABASE_PATIENCE_SECONDS = 25.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handle the whole batch. Raises, and so returns all of it, only if the broker is down."""
    batch = broker.parse_batch(event, webhooks.HANDLED_TYPES)
    return wiring.run(webhooks.handle(batch, DATABASE_PATIENCE_SECONDS))
