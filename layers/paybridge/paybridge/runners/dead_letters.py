"""Record a batch of a dead-letter queue, and log one line for each message."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from paybridge import wiring
from paybridge.core.raw_messages import RawMessage
from paybridge.database.await_database import await_database
from paybridge.dead_letters.record import Recorded, record_dead_letters
from paybridge.observability.logging import logger
from paybridge.observability.redaction import redact, redact_type
from paybridge.wiring import dead_letters as dead_letter_wiring

# The largest batch to take. The function's mapping in template.yaml has the same number.
BATCH_MESSAGES = 100

log = logger()


async def handle(messages: Sequence[RawMessage], database_patience_seconds: float) -> dict[str, int]:
    """Record the messages; wait up to `database_patience_seconds` if the database is down.

    Raises DatabaseUnavailable or LockTimeout: the whole batch must be redelivered.
    """
    await asyncio.to_thread(await_database, wiring.database(), database_patience_seconds)
    recorded = await asyncio.to_thread(record_dead_letters, dead_letter_wiring.services(), messages)
    for one in recorded:
        _log(one)
    return {"messages": len(messages), "recorded": len(recorded)}


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("dead_letters")
    dead_letter_wiring.services()


async def close() -> None:
    """Do nothing: recording keeps no connection but the database's."""


def _log(recorded: Recorded) -> None:
    """Log what an operator needs to find the dead letter. Texts of other senders are redacted; the body stays out."""
    death = recorded.death
    log.error(
        "dead letter from %s: %s",
        redact(death.queue),
        redact(death.reason),
        extra={
            "dead_letter_id": str(recorded.id),
            "queue": redact(death.queue),
            "reason": redact(death.reason),
            "fingerprint": death.fingerprint,
            "count": recorded.count,
            "message_id": redact(death.message_id),
            "type": redact_type(death.message_type) if death.message_type else "",
            "payment_id": str(recorded.payment_id) if recorded.payment_id else None,
            "correlation_id": redact(death.correlation_id),
            "body_bytes": len(death.body),
        },
    )
