"""Publish the due rows of the outbox.

A claimed row stays locked until its batch is confirmed and marked, in one transaction. A relay that dies in between
leaves the rows as they were, to be published again. Two relays never hold the same row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paybridge.database.database import Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.outbox.ports import Message, Publisher

CONFIRM_DEADLINE_SECONDS = 10.0
REFUSED_DELAY_SECONDS_FIRST = 1.0
REFUSED_DELAY_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the broker refused, and why; it stays in the outbox for a retry."""

    event_id: str
    event_type: str
    exchange: str
    routing_key: str
    correlation_id: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Relayed:
    """The number of rows that a pass claimed, and how many of them the broker refused.

    `lag_seconds` is the longest time from due to published; None if no row was published.
    """

    claimed: int
    refused: int
    lag_seconds: float | None = None


async def relay_once(
    database: Database,
    publisher: Publisher,
    rows_max: int,
    on_refused: Callable[[Refusal], None],
) -> Relayed:
    """Publish one batch of due rows, up to `rows_max`, the oldest first.

    Nothing else runs in this event loop from the claim until the batch is sent. Parallel passes, each on another
    database connection, therefore publish in the order in which they claimed.

    A refused or unroutable row stays, with its error and its number of attempts, for a later retry. It never delays
    the others. Raises DatabaseUnavailable or BrokerUnavailable, and then leaves every row as it was.
    """
    with database.transaction() as transaction:
        messages = outbox.claim(transaction, rows_max)
        if not messages:
            return Relayed(claimed=0, refused=0)
        reasons = await publisher.publish(messages, CONFIRM_DEADLINE_SECONDS)
        published = [message.id for message, reason in zip(messages, reasons, strict=True) if reason is None]
        lag_seconds = outbox.mark_published(transaction, published) if published else None
        refusals = _put_off(transaction, messages, reasons) if len(published) < len(messages) else []
    for refusal in refusals:
        on_refused(refusal)
    return Relayed(claimed=len(messages), refused=len(refusals), lag_seconds=lag_seconds)


def _put_off(transaction: Transaction, messages: Sequence[Message], reasons: Sequence[str | None]) -> list[Refusal]:
    refused = [(message, reason) for message, reason in zip(messages, reasons, strict=True) if reason is not None]
    attempts = outbox.mark_refused(
        transaction,
        [(message.id, reason) for message, reason in refused],
        REFUSED_DELAY_SECONDS_FIRST,
        REFUSED_DELAY_SECONDS_MAX,
    )
    return [
        Refusal(
            event_id=message.id,
            event_type=message.type,
            exchange=message.exchange,
            routing_key=message.routing_key,
            correlation_id=message.correlation_id,
            attempts=attempts[message.id],
            reason=reason,
        )
        for message, reason in refused
    ]
