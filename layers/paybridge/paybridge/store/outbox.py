"""The outbox: every event and command, written with the change it tells of, published later by the relay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from paybridge.domain.events import Event, route
from paybridge.store.database import Statement, Transaction
from paybridge.store.wake_up import IS_RELAY_BUSY, WAKE_RELAY

# What is only recorded concerns no relay.
_INSERT = Statement(f"""
    WITH added AS (
        INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
                            created_at, available_at)
        SELECT id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id, time,
               now() + make_interval(secs => delay_seconds)
        FROM json_to_recordset(:rows::json) AS new (id uuid, payment_id uuid, merchant_id uuid, sequence integer,
            type text, exchange text, routing_key text, body text, correlation_id text, time timestamptz,
            delay_seconds double precision)
    )
    SELECT CASE WHEN :is_published::boolean THEN {IS_RELAY_BUSY} ELSE true END
""")

# SKIP LOCKED lets several relays work side by side; the order is that of becoming due.
_CLAIM = Statement("""
    SELECT id::text, type, exchange, routing_key, body, correlation_id, attempts
    FROM outbox
    WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()
    ORDER BY available_at
    LIMIT :limit::integer
    FOR UPDATE SKIP LOCKED
""")

# A join, because ANY(…) would look for each id in every month.
_MARK_PUBLISHED = Statement("""
    UPDATE outbox SET published_at = clock_timestamp()
    FROM unnest(:ids::uuid[]) AS published (id) WHERE outbox.id = published.id
""")

_MARK_REFUSED = Statement("""
    UPDATE outbox
    SET attempts = attempts + 1, last_error = refused.error,
        available_at = clock_timestamp() + make_interval(secs => refused.delay_seconds)
    FROM json_to_recordset(:rows::json) AS refused (id uuid, error text, delay_seconds double precision)
    WHERE outbox.id = refused.id
""")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A claimed row: what to publish, where, and how often that failed already."""

    id: str
    type: str
    exchange: str
    routing_key: str
    body: str
    correlation_id: str
    attempts: int


def add(transaction: Transaction, events: Iterable[Event], delay_seconds: float = 0) -> None:
    """Adds the events, to be published `delay_seconds` from now."""
    add_delayed(transaction, [(event, delay_seconds) for event in events])


def add_delayed(transaction: Transaction, events: Sequence[tuple[Event, float]]) -> None:
    """Adds the events, each with its own delay in seconds; a relay that waits is woken after the commit.

    A delayed row wakes it as well, because it does not know of it when it decides how long to sleep.
    """
    if not events:
        return
    rows = [_row_of(event, delay_seconds) for event, delay_seconds in events]
    is_published = any(row["exchange"] is not None for row in rows)
    ((is_relay_busy,),) = transaction.run(_INSERT, rows=orjson.dumps(rows).decode(), is_published=is_published)
    if not is_relay_busy:
        transaction.after_commit.add(WAKE_RELAY)


def claim(transaction: Transaction, limit: int) -> list[OutboxRow]:
    """Locks up to `limit` due rows, oldest first, that no other relay holds, until the transaction ends."""
    return [OutboxRow(*row) for row in transaction.run(_CLAIM, limit=limit)]


def mark_published(transaction: Transaction, ids: Sequence[str]) -> None:
    """Notes that the broker has taken responsibility for these rows."""
    transaction.run(_MARK_PUBLISHED, ids="{" + ",".join(ids) + "}")


def mark_refused(transaction: Transaction, refusals: Sequence[tuple[str, str, float]]) -> None:
    """Notes for each (id, error) that publishing failed, and puts its next try off by that many seconds."""
    rows = [{"id": id_, "error": error, "delay_seconds": delay} for id_, error, delay in refusals]
    transaction.run(_MARK_REFUSED, rows=orjson.dumps(rows).decode())


def _row_of(event: Event, delay_seconds: float) -> dict[str, object]:
    exchange, routing_key = route(event.type)
    return {
        "id": event.id,
        "payment_id": event.payment_id,
        "merchant_id": event.merchant_id,
        "sequence": event.sequence,
        "type": event.type,
        "exchange": exchange,
        "routing_key": routing_key,
        "body": orjson.dumps(event.envelope()).decode(),
        "correlation_id": event.correlation_id,
        "time": event.time,
        "delay_seconds": delay_seconds,
    }
