"""The ledger function: post a batch of events to the books."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.runners import ledger
from paybridge.wiring import broker

# How long a batch waits if the database is down or busy, before it is handed back to its queue. Posting takes a second,
# and looking for locked accounts 8 s, of the 60 s.
DATABASE_PATIENCE_SECONDS = 30.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Handle the whole batch. Raises, and so returns all of it, only if the broker is down."""
    batch = broker.parse_batch(event, ledger.HANDLED_TYPES)
    return wiring.run(ledger.handle(batch, DATABASE_PATIENCE_SECONDS))
