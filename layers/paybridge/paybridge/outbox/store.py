"""The outbox: every event and command, written with the change it reports, published later by the relay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from paybridge.core.events import REDRIVE, REPLAY, Event
from paybridge.database.counters import ADD_COUNTS
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.database.wire import Row
from paybridge.outbox.ports import Message
from paybridge.outbox.routes import NEW_PAYMENTS_KEY, REDRIVE_EXCHANGE, REPLAY_KEY, SHARD_HEADER
from paybridge.outbox.rows import INSERT_ROWS, counts_of_events, row_of
from paybridge.outbox.wake_up import IS_RELAY_BUSY, wake_relay_after_commit

# An event that is only recorded needs no relay.
_INSERT = Statement(f"""
    WITH counted AS ({ADD_COUNTS}), added AS ({INSERT_ROWS})
    SELECT CASE WHEN :is_published::boolean THEN {IS_RELAY_BUSY} ELSE true END
""")

# SKIP LOCKED lets several relays work in parallel. Rows are claimed in the order in which they became due.
_CLAIM = Statement("""
    SELECT id::text, type, exchange, routing_key, body, correlation_id, payment_id::text
    FROM outbox
    WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()
    ORDER BY available_at
    LIMIT :limit::integer
    FOR UPDATE SKIP LOCKED
""")

# A join, because ANY(…) would look for each id in every month. The lag is read from one row alone.
_MARK_PUBLISHED = Statement("""
    WITH marked AS (
        UPDATE outbox SET published_at = clock_timestamp()
        FROM unnest(:ids::uuid[]) AS published (id) WHERE outbox.id = published.id
    )
    SELECT extract(epoch FROM clock_timestamp() - available_at)::float8 FROM outbox WHERE id = :oldest::uuid
""")

# The message itself stays with the dead letter until the relay publishes it.
_INSERT_REDRIVES = Statement(f"""
    WITH added AS (
        INSERT INTO outbox (id, type, exchange, routing_key, body, correlation_id, available_at)
        SELECT id, '{REDRIVE}', '{REDRIVE_EXCHANGE}', queue, '', '', now() + make_interval(secs => delay_seconds)
        FROM json_to_recordset(:rows::json) AS new (id uuid, queue text, delay_seconds double precision)
    )
    SELECT {IS_RELAY_BUSY}
""")

# One row for a whole replay. It is due again and again, until the replay ends.
_INSERT_REPLAY = Statement(f"""
    WITH added AS (
        INSERT INTO outbox (id, type, exchange, routing_key, body, correlation_id)
        VALUES (:id::uuid, '{REPLAY}', '{REDRIVE_EXCHANGE}', '{REPLAY_KEY}', '', '')
    )
    SELECT {IS_RELAY_BUSY}
""")

# The next time follows from the last one, so that the rate is exact. What an outage has cost is not caught up.
_PUT_OFF = Statement("""
    UPDATE outbox
    SET attempts = 0, last_error = NULL,
        available_at = greatest(available_at + make_interval(secs => :delay_seconds::double precision),
                                clock_timestamp())
    WHERE id = :id::uuid
""")

_MARK_REFUSED = Statement("""
    UPDATE outbox
    SET attempts = attempts + 1, last_error = refused.error,
        available_at = clock_timestamp() + make_interval(secs => least(
            :delay_seconds_max::double precision, :delay_seconds_first::double precision * 2 ^ least(attempts, 32)))
    FROM json_to_recordset(:rows::json) AS refused (id uuid, error text)
    WHERE outbox.id = refused.id
    RETURNING outbox.id::text, attempts
""")


def add(transaction: Transaction, events: Iterable[Event], *, is_counted: bool = True) -> None:
    """Add the events, due now."""
    add_delayed(transaction, [(event, 0.0) for event in events], is_counted=is_counted)


def add_delayed(
    transaction: Transaction,
    events: Sequence[tuple[Event, float]],
    *,
    routing_key: str | None = None,
    is_counted: bool = True,
) -> None:
    """Add the events, each with its delay in seconds, and wake a waiting relay after the commit.

    `routing_key` replaces that of their type, on the same exchange. Without `is_counted` the counters of their types
    stay as they are.

    A delayed row wakes the relay as well: it chose how long to sleep before the row was there.
    """
    if not events:
        return
    rows = [row_of(event, delay_seconds, routing_key) for event, delay_seconds in events]
    is_published = any(row["exchange"] is not None for row in rows)
    counts = counts_of_events(event for event, _ in events if is_counted)
    ((is_relay_busy,),) = transaction.run(_INSERT, rows=json_rows(rows), is_published=is_published, counts=counts)
    if not is_relay_busy:
        wake_relay_after_commit(transaction)


def add_redrives(transaction: Transaction, rows: Sequence[tuple[UUID, str, float]]) -> None:
    """Add a row for each dead letter to publish again: its id, the queue, and the delay in seconds."""
    if not rows:
        return
    values = [{"id": id_, "queue": queue, "delay_seconds": delay} for id_, queue, delay in rows]
    ((is_relay_busy,),) = transaction.run(_INSERT_REDRIVES, rows=json_rows(values))
    if not is_relay_busy:
        wake_relay_after_commit(transaction)


def add_replay(transaction: Transaction, row_id: UUID) -> None:
    """Add the row by which the relay goes on with a replay, due now."""
    ((is_relay_busy,),) = transaction.run(_INSERT_REPLAY, id=row_id)
    if not is_relay_busy:
        wake_relay_after_commit(transaction)


def put_off(transaction: Transaction, row_id: str, delay_seconds: float) -> None:
    """Let the row be due again this long after it was due last, at the earliest now."""
    transaction.run(_PUT_OFF, id=row_id, delay_seconds=delay_seconds)


def claim(transaction: Transaction, limit: int) -> list[Message]:
    """Lock up to `limit` due rows that no other relay holds, oldest first, until the transaction ends."""
    return [_message_of(row) for row in transaction.run(_CLAIM, limit=limit)]


def _message_of(row: Row) -> Message:
    id_, type_, exchange, routing_key, body, correlation_id, payment_id = row
    headers = {SHARD_HEADER: payment_id} if routing_key == NEW_PAYMENTS_KEY else None
    return Message(id_, type_, exchange, routing_key, body.encode(), correlation_id, headers)


def mark_published(transaction: Transaction, ids: Sequence[str]) -> float:
    """Mark the rows as published, the oldest first; return the seconds from due to published of that one."""
    lag_seconds: float = transaction.run(_MARK_PUBLISHED, ids=uuid_array(ids), oldest=ids[0])[0][0]
    return lag_seconds


def mark_refused(
    transaction: Transaction, refusals: Sequence[tuple[str, str]], delay_seconds_first: float, delay_seconds_max: float
) -> dict[str, int]:
    """Mark each (id, error) as refused, delay its next attempt, and return the attempts so far by id.

    The delay doubles with every attempt, from `delay_seconds_first` to `delay_seconds_max`.
    """
    rows = transaction.run(
        _MARK_REFUSED,
        rows=json_rows({"id": id_, "error": error} for id_, error in refusals),
        delay_seconds_first=delay_seconds_first,
        delay_seconds_max=delay_seconds_max,
    )
    return {id_: attempts for id_, attempts in rows}  # noqa: C416 -- rows are lists to the type checker.
