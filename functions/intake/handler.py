"""The intake function: accept the payments that a batch of the queue `payments.intake` orders."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import intake
from paybridge.wiring import broker

# How long a batch waits if the database is down or busy, before it is handed back to its queue. The rest of the
# function's 60 s is enough for the batch.
DATABASE_PATIENCE_SECONDS = 35.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Accept the payments of the batch. Raise, so that all of it is redelivered, only if the broker is down."""
    return wiring.run(intake.handle(broker.parse_unread(event), DATABASE_PATIENCE_SECONDS))
