"""The bridge function: bring a batch of events to an EventBridge bus."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import bridge
from paybridge.wiring import broker

# How long a batch waits if the database is down or busy, before it is handed back to its queue. Of the 60 s the sending
# may then need 12 s to start its last call and 7 s for that.
DATABASE_PATIENCE_SECONDS = 25.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handle the whole batch. Raises, and so returns all of it, only if the broker is down."""
    batch = broker.parse_batch(event, bridge.HANDLED_TYPES)
    return wiring.run(bridge.handle(batch, DATABASE_PATIENCE_SECONDS))
