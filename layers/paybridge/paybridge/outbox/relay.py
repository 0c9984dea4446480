"""Publish the due rows of the outbox.

A claimed row stays locked until its batch is confirmed and marked, in one transaction. A relay that dies in between
leaves the rows as they were, to be published again. Two relays never hold the same row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paybridge.core.events import REDRIVE, REPLAY
from paybridge.database.database import Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.outbox.ports import Message, Publisher, Redrives, Replays, ReplaySlice
from paybridge.outbox.routes import REDRIVE_EXCHANGE

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
    redrives: Redrives | None = None,
    replays: Replays | None = None,
) -> Relayed:
    """Publish one batch of due rows, up to `rows_max`, the oldest first.

    Nothing else runs in this event loop from the claim until the batch is sent. Parallel passes, each on another
    database connection, therefore publish in the order in which they claimed.

    A refused or unroutable row stays, with its error and its number of attempts, for a later retry. It never delays
    the others. Raises DatabaseUnavailable or BrokerUnavailable, and then leaves every row as it was.
    """
    with database.transaction() as transaction:
        rows = messages = outbox.claim(transaction, rows_max)
        if not rows:
            return Relayed(claimed=0, refused=0)
        replayed = None
        if any(row.type == REPLAY for row in rows):
            replayed = _load_slice(transaction, rows, replays)
            rows = messages = [row for row in rows if row.type != REPLAY]
        if any(row.type == REDRIVE for row in rows):
            rows, messages = _with_redrives(transaction, rows, redrives)
        sent = messages if replayed is None else [*messages, *replayed.messages]
        reasons = await publisher.publish(sent, CONFIRM_DEADLINE_SECONDS) if sent else []
        own, slices = reasons[: len(rows)], reasons[len(rows) :]
        published = [row.id for row, reason in zip(rows, own, strict=True) if reason is None]
        lag_seconds = outbox.mark_published(transaction, published) if published else None
        if redrives is not None and messages is not rows:
            _settle(transaction, rows, published, redrives)
        refusals = _put_off(transaction, rows, own) if len(published) < len(rows) else []
        if replayed is not None:
            refusals += _settle_slice(transaction, replayed, slices)
    for refusal in refusals:
        on_refused(refusal)
    claimed = len(rows) + (replayed is not None)
    return Relayed(claimed=claimed, refused=len(refusals), lag_seconds=lag_seconds)


def _load_slice(transaction: Transaction, claimed: Sequence[Message], replays: Replays | None) -> ReplaySlice | None:
    """Return the next slice of one of the claimed replays. The others are left as they were, for the next pass."""
    if replays is None:
        return None
    loaded = (replays.load(transaction, row.id) for row in claimed if row.type == REPLAY)
    return next((slice_ for slice_ in loaded if slice_ is not None), None)


def _settle_slice(transaction: Transaction, replayed: ReplaySlice, reasons: Sequence[str | None]) -> list[Refusal]:
    """Save the slice that the broker has, or let all of it be published again later."""
    reason = next((reason for reason in reasons if reason is not None), None)
    if reason is not None:
        row = Message(replayed.row_id, REPLAY, REDRIVE_EXCHANGE, replayed.messages[0].routing_key, b"", "")
        return _put_off(transaction, [row], [reason])
    replayed.save()
    if replayed.delay_seconds is None:
        outbox.mark_published(transaction, [replayed.row_id])
    else:
        outbox.put_off(transaction, replayed.row_id, replayed.delay_seconds)
    return []


def _with_redrives(
    transaction: Transaction, claimed: Sequence[Message], redrives: Redrives | None
) -> tuple[list[Message], list[Message]]:
    """Return the rows to work on and the messages to publish for them.

    The rows of dead letters hold no message themselves. Those that are no longer wanted are marked as published here.
    Those that are too much for this batch are left as they were.
    """
    ids = [row.id for row in claimed if row.type == REDRIVE]
    loaded = redrives.load(transaction, ids) if redrives is not None else {}
    unwanted = [id_ for id_, message in loaded.items() if message is None]
    if unwanted:
        outbox.mark_published(transaction, unwanted)
    rows: list[Message] = []
    messages: list[Message] = []
    for row in claimed:
        message = loaded.get(row.id) if row.type == REDRIVE else row
        if message is not None:
            rows.append(row)
            messages.append(message)
    return rows, messages


def _settle(transaction: Transaction, rows: Sequence[Message], published: Sequence[str], redrives: Redrives) -> None:
    redriven = {row.id for row in rows if row.type == REDRIVE}.intersection(published)
    if redriven:
        redrives.settle(transaction, sorted(redriven))


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
