"""The dead-letters function: record every message of the dead-letter queues."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import dead_letters
from paybridge.wiring import broker

# How long a batch waits if the database is down. A batch that returns costs nothing but the time until its next turn.
DATABASE_PATIENCE_SECONDS = 25.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Record the whole batch. Raises, and so returns all of it, only if the database is down or busy."""
    return wiring.run(dead_letters.handle(broker.parse_raw(event), DATABASE_PATIENCE_SECONDS))
