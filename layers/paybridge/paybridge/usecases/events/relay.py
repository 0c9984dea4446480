"""Publishes what is due in the outbox.

A claimed row stays locked until its batch is confirmed and marked, in one transaction: a relay that dies in between
leaves the rows as they were, to be published again, and two relays side by side never hold the same row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paybridge.domain.retry import backoff_seconds
from paybridge.ports import Message, Publisher
from paybridge.store import outbox
from paybridge.store.database import Database
from paybridge.store.outbox import OutboxRow

CONFIRM_DEADLINE_SECONDS = 10.0
REFUSED_DELAY_SECONDS_FIRST = 1.0
REFUSED_DELAY_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the broker did not take, and why; it stays in the outbox and comes again."""

    event_id: str
    event_type: str
    exchange: str
    routing_key: str
    correlation_id: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Relayed:
    """How many rows one pass claimed, and how many of these the broker refused."""

    claimed: int
    refused: int


async def relay_once(
    database: Database,
    publisher: Publisher,
    batch_rows: int,
    on_refused: Callable[[Refusal], None],
) -> Relayed:
    """Publishes one batch of due rows.

    A refused or unroutable row stays, with its error and its number of attempts, and comes again later; it never holds
    up the rest. Raises DatabaseUnavailable or BrokerUnavailable, with every row left as it was.
    """
    with database.transaction() as transaction:
        rows = outbox.claim(transaction, batch_rows)
        if not rows:
            return Relayed(claimed=0, refused=0)
        reasons = await publisher.publish([_message_of(row) for row in rows], CONFIRM_DEADLINE_SECONDS)
        published = [row.id for row, reason in zip(rows, reasons, strict=True) if reason is None]
        refused = [_refusal(row, reason) for row, reason in zip(rows, reasons, strict=True) if reason is not None]
        if published:
            outbox.mark_published(transaction, published)
        if refused:
            outbox.mark_refused(transaction, [_next_try(refusal) for refusal in refused])
    for refusal in refused:
        on_refused(refusal)
    return Relayed(claimed=len(rows), refused=len(refused))


def _message_of(row: OutboxRow) -> Message:
    return Message(
        id=row.id,
        type=row.type,
        exchange=row.exchange,
        routing_key=row.routing_key,
        body=row.body.encode(),
        correlation_id=row.correlation_id,
    )


def _refusal(row: OutboxRow, reason: str) -> Refusal:
    return Refusal(
        event_id=row.id,
        event_type=row.type,
        exchange=row.exchange,
        routing_key=row.routing_key,
        correlation_id=row.correlation_id,
        attempts=row.attempts + 1,
        reason=reason,
    )


def _next_try(refusal: Refusal) -> tuple[str, str, float]:
    delay_seconds = backoff_seconds(refusal.attempts, REFUSED_DELAY_SECONDS_FIRST, REFUSED_DELAY_SECONDS_MAX)
    return refusal.event_id, refusal.reason, delay_seconds
