"""Record a batch of a dead-letter queue, and log one line for each message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.raw_messages import RawMessage
from paybridge.database.await_database import await_database
from paybridge.dead_letters.record import Recorded, record_dead_letters
from paybridge.observability.logging import logger
from paybridge.observability.redaction import redact, redact_type
from paybridge.outbox.queues import DEAD_LETTER_QUEUES
from paybridge.wiring import broker
from paybridge.wiring import dead_letters as dead_letter_wiring

if TYPE_CHECKING:
    from paybridge.rabbitmq.subscription import Subscription, TakenMessage

# The largest batch to take. The function's mapping in template.yaml has the same number.
BATCH_MESSAGES = 100
# A few at a time, because each may be large. The mapping holds a message that it could not hand over, and returns it
# after a pause.
LEFT_MESSAGES = 5
LEFT_SECONDS = 5.0

log = logger()


async def handle(messages: Sequence[RawMessage], database_patience_seconds: float) -> dict[str, int]:
    """Record the messages; wait up to `database_patience_seconds` if the database is down.

    Raises DatabaseUnavailable or LockTimeout: the whole batch must be redelivered.
    """
    await asyncio.to_thread(await_database, wiring.database(), database_patience_seconds)
    return {"messages": len(messages), "recorded": await asyncio.to_thread(_record, messages)}


async def record_left() -> int:
    """Record what no invocation takes, such as a message above 6 MB, and return how many.

    Lambda's mapping returns such a message to its queue each time. A connection of our own has no limit. Raises
    DatabaseUnavailable, LockTimeout and BrokerUnavailable: the messages then stay in their queue.
    """
    recorded = 0
    give_up_at = time.monotonic() + LEFT_SECONDS
    async with broker.subscribe(DEAD_LETTER_QUEUES, LEFT_MESSAGES) as subscription:
        while messages := await _taken(subscription, give_up_at - time.monotonic()):
            # Not under a time limit: the thread would go on, on the connection that the next job uses.
            recorded += await asyncio.to_thread(_record, broker.raw_messages_of(messages))
            await subscription.acknowledge(messages[-1])
    return recorded


async def _taken(subscription: Subscription, seconds_max: float) -> list[TakenMessage]:
    """Return the next messages, none if none comes in time."""
    try:
        async with asyncio.timeout(seconds_max):
            return await subscription.batch(LEFT_MESSAGES)
    except TimeoutError:
        return []


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("dead_letters")
    dead_letter_wiring.services()


async def close() -> None:
    """Do nothing: recording keeps no connection but the database's."""


def _record(messages: Sequence[RawMessage]) -> int:
    recorded = record_dead_letters(dead_letter_wiring.services(), messages)
    for one in recorded:
        _log(one)
    return len(recorded)


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
