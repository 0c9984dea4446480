"""Webhook deliveries, their attempts, and which receivers are slow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import Event, parse_envelope
from paybridge.database.database import Statement, Transaction

# (merchant, origin): what is fast or slow as a whole.
Receiver = tuple[UUID, str]

_FIND_URLS = Statement("""
    SELECT p.id, p.webhook_url
    FROM json_to_recordset(:rows::json) AS wanted (payment_id uuid, merchant_id uuid)
    JOIN payments p ON p.id = wanted.payment_id AND p.merchant_id = wanted.merchant_id
    WHERE p.webhook_url IS NOT NULL
""")

# A receiver that has said 410 about a payment hears no more of it.
_INSERT = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id)
    SELECT id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id
    FROM json_to_recordset(:rows::json) AS new (id uuid, merchant_id uuid, payment_id uuid, event_id uuid,
        event_type text, url text, body text, correlation_id text)
    WHERE NOT EXISTS (
        SELECT FROM webhook_deliveries gone
        WHERE gone.payment_id = new.payment_id AND gone.url = new.url AND gone.status = 'gone'
    )
    ON CONFLICT (id) DO NOTHING
""")

# A delivery with `next_attempt_at` has a command under way in the outbox: only that command goes on with it, and only
# when it is due. So a message that comes again finds nothing to do. The order of the locks is that of the ids.
_LOCK = Statement("""
    SELECT d.id, d.merchant_id, d.payment_id, d.event_id, d.event_type, d.url, d.body, d.correlation_id, d.attempts,
           CASE WHEN d.attempts > 0 THEN (
               SELECT count(*) FROM webhook_attempts a
               WHERE a.delivery_id = d.id AND (a.status = 'started' OR a.error = 'interrupted')) ELSE 0 END,
           to_json(m.webhook_secrets)
    FROM json_to_recordset(:rows::json) AS wanted (id uuid, is_retry boolean)
    JOIN webhook_deliveries d ON d.id = wanted.id
    JOIN merchants m ON m.id = d.merchant_id
    WHERE d.status = 'pending'
      AND (d.next_attempt_at IS NULL OR (wanted.is_retry AND d.next_attempt_at <= now()))
    ORDER BY d.id
    FOR UPDATE OF d
""")

_FIND_UNKNOWN = Statement("""
    SELECT wanted.id FROM unnest(:ids::uuid[]) AS wanted (id)
    WHERE NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.id = wanted.id)
""")

_FIND_EVENTS = Statement("""
    SELECT body FROM unnest(:ids::uuid[]) AS wanted (id) JOIN outbox ON outbox.id = wanted.id
    WHERE sequence IS NOT NULL AND exchange IS NOT NULL
""")

# An attempt that is started and not the last one has nobody left to end it.
_CLOSE_INTERRUPTED = Statement("""
    UPDATE webhook_attempts a SET status = 'failed', error = 'interrupted', finished_at = clock_timestamp()
    FROM json_to_recordset(:rows::json) AS next (id uuid, number smallint)
    WHERE a.delivery_id = next.id AND a.number < next.number AND a.status = 'started'
""")

# Only what is still pending, and only as the attempt after the last one: a delivery that ended meanwhile stays ended.
_START = Statement("""
    WITH started AS (
        SELECT d.id, wanted.number
        FROM webhook_deliveries d
        JOIN json_to_recordset(:rows::json) AS wanted (id uuid, number smallint) ON wanted.id = d.id
        WHERE d.status = 'pending' AND d.attempts = wanted.number - 1
        ORDER BY d.id FOR UPDATE OF d
    ), counted AS (
        UPDATE webhook_deliveries d SET attempts = started.number FROM started WHERE d.id = started.id
    )
    INSERT INTO webhook_attempts (delivery_id, number, status) SELECT id, number, 'started' FROM started
    ON CONFLICT (delivery_id, number) DO NOTHING
    RETURNING delivery_id
""")

_POSTPONE = Statement("""
    UPDATE webhook_deliveries d SET next_attempt_at = now()
    FROM unnest(:ids::uuid[]) AS postponed (id) WHERE d.id = postponed.id AND d.status = 'pending'
""")

# Whoever closed an attempt as interrupted may have been wrong: an answer that comes late is still the truth.
_FINISH = Statement("""
    WITH finished AS (
        SELECT * FROM json_to_recordset(:rows::json) AS row (delivery_id uuid, number smallint, attempt_status text,
            response_status smallint, error text, response_excerpt text, latency_ms integer, status text,
            delay_seconds double precision)
    ), attempts AS (
        UPDATE webhook_attempts a
        SET status = finished.attempt_status, response_status = finished.response_status, error = finished.error,
            response_excerpt = finished.response_excerpt, latency_ms = finished.latency_ms,
            finished_at = clock_timestamp()
        FROM finished
        WHERE a.delivery_id = finished.delivery_id AND a.number = finished.number
          AND (a.status = 'started' OR a.error = 'interrupted')
    )
    UPDATE webhook_deliveries d
    SET status = finished.status,
        next_attempt_at = now() + make_interval(secs => finished.delay_seconds),
        finished_at = CASE WHEN finished.status <> 'pending' THEN clock_timestamp() END
    FROM finished
    WHERE d.id = finished.delivery_id AND d.status = 'pending'
    RETURNING d.id
""")

# An UPDATE alone locks rows in whatever order its plan finds them; two batches must do so in the same one.
_END_GONE = Statement("""
    WITH locked AS (
        SELECT d.id FROM json_to_recordset(:rows::json) AS gone (payment_id uuid, url text)
        JOIN webhook_deliveries d ON d.payment_id = gone.payment_id AND d.url = gone.url
        WHERE d.status = 'pending'
        ORDER BY d.id
        FOR UPDATE OF d
    )
    UPDATE webhook_deliveries d SET status = 'gone', next_attempt_at = NULL, finished_at = clock_timestamp()
    FROM locked WHERE d.id = locked.id AND d.status = 'pending'
""")

_TAKE_SEQUENCES = Statement("""
    WITH locked AS (
        SELECT p.id, taken.count FROM json_to_recordset(:rows::json) AS taken (id uuid, count integer)
        JOIN payments p ON p.id = taken.id
        ORDER BY p.id
        FOR UPDATE OF p
    )
    UPDATE payments p SET last_sequence = p.last_sequence + locked.count
    FROM locked WHERE p.id = locked.id
    RETURNING p.id, p.last_sequence
""")

_FIND_RECEIVERS = Statement("""
    SELECT r.merchant_id, r.origin, coalesce(r.slow_until > now(), false)
    FROM json_to_recordset(:rows::json) AS wanted (merchant_id uuid, origin text)
    JOIN webhook_receivers r ON r.merchant_id = wanted.merchant_id AND r.origin = wanted.origin
""")

_NOTE_FAILURES = Statement("""
    INSERT INTO webhook_receivers AS known (merchant_id, origin, consecutive_failures, slow_until)
    SELECT merchant_id, origin, failures,
           CASE WHEN timed_out OR failures >= :threshold::integer
                THEN now() + make_interval(secs => :slow_seconds::double precision) END
    FROM json_to_recordset(:rows::json) AS new (merchant_id uuid, origin text, failures integer, timed_out boolean)
    ORDER BY merchant_id, origin
    ON CONFLICT (merchant_id, origin) DO UPDATE
    SET consecutive_failures = least(known.consecutive_failures + excluded.consecutive_failures, 1000000),
        slow_until = CASE
            WHEN excluded.slow_until IS NOT NULL THEN excluded.slow_until
            WHEN known.consecutive_failures + excluded.consecutive_failures >= :threshold::integer
            THEN now() + make_interval(secs => :slow_seconds::double precision)
            ELSE known.slow_until END
""")

_FORGET_RECEIVERS = Statement("""
    DELETE FROM webhook_receivers r
    USING json_to_recordset(:rows::json) AS good (merchant_id uuid, origin text)
    WHERE r.merchant_id = good.merchant_id AND r.origin = good.origin
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An event that is to be delivered to one URL; `id` depends on both, so that it is made once."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    event_id: UUID
    event_type: str
    url: str
    body: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A pending delivery, locked.

    `attempts` are those begun so far, `interrupted` those of them that nobody knows the end of; `secrets` are the
    merchant's, newest first.
    """

    id: UUID
    merchant_id: UUID
    payment_id: UUID
    event_id: UUID
    event_type: str
    url: str
    body: str
    correlation_id: str
    attempts: int
    interrupted: int
    secrets: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedAttempt:
    """How one attempt ended and what becomes of its delivery; `delay_seconds` None means no further attempt."""

    delivery_id: UUID
    number: int
    attempt_status: str
    response_status: int | None
    error: str | None
    response_excerpt: str
    latency_ms: int
    status: str
    delay_seconds: float | None


def find_urls(transaction: Transaction, payments: Iterable[tuple[UUID, UUID]]) -> dict[UUID, str]:
    """The webhook URL of each (payment, merchant) that has one."""
    rows = [{"payment_id": payment_id, "merchant_id": merchant_id} for payment_id, merchant_id in payments]
    return {row[0]: row[1] for row in transaction.run(_FIND_URLS, rows=_json(rows))}


def insert(transaction: Transaction, deliveries: Iterable[NewDelivery]) -> None:
    """Makes the deliveries that are not known yet, unless their receiver wants no more of the payment."""
    transaction.run(_INSERT, rows=_json(list(deliveries)))


def lock_due(transaction: Transaction, wanted: Iterable[tuple[UUID, bool]]) -> list[Delivery]:
    """Locks, of (delivery, whether a retry command asks for it), those that an attempt is to be made of now."""
    rows = transaction.run(_LOCK, rows=_json([{"id": id_, "is_retry": is_retry} for id_, is_retry in wanted]))
    return [Delivery(*row) for row in rows]


def find_unknown(transaction: Transaction, ids: Iterable[UUID]) -> set[UUID]:
    """Those of the ids that no delivery has."""
    return {row[0] for row in transaction.run(_FIND_UNKNOWN, ids=_array(ids))}


def find_events(transaction: Transaction, ids: Iterable[UUID]) -> list[Event]:
    """The published facts with these ids, out of the event log; one that can no longer be read counts as not there."""
    found = []
    for (body,) in transaction.run(_FIND_EVENTS, ids=_array(ids)):
        with suppress(MalformedMessage, orjson.JSONDecodeError):
            found.append(parse_envelope(orjson.loads(body)))
    return found


def close_interrupted(transaction: Transaction, attempts: Iterable[tuple[UUID, int]]) -> None:
    """Ends as failed, with the error `interrupted`, what is started and comes before these attempts."""
    rows = [{"id": id_, "number": number} for id_, number in attempts]
    transaction.run(_CLOSE_INTERRUPTED, rows=_json(rows))


def start(transaction: Transaction, attempts: Iterable[tuple[UUID, int]]) -> set[UUID]:
    """Records attempts (delivery, number) as started.

    Returns the deliveries whose attempt is ours: another process may have begun the same attempt in the meantime.
    """
    rows = [{"id": id_, "number": number} for id_, number in attempts]
    return {row[0] for row in transaction.run(_START, rows=_json(rows))}


def postpone(transaction: Transaction, ids: Iterable[UUID]) -> None:
    """Notes that a command in the outbox will go on with these deliveries, at once."""
    transaction.run(_POSTPONE, ids=_array(ids))


def finish(transaction: Transaction, attempts: Iterable[FinishedAttempt]) -> set[UUID]:
    """Records how attempts ended; returns the deliveries that were still pending until now."""
    rows = transaction.run(_FINISH, rows=_json(list(attempts)))
    return {row[0] for row in rows}


def end_gone(transaction: Transaction, endings: Iterable[tuple[UUID, str]]) -> None:
    """Ends every other pending delivery about these payments to these URLs."""
    transaction.run(_END_GONE, rows=_json([{"payment_id": id_, "url": url} for id_, url in endings]))


def take_sequences(transaction: Transaction, counts: dict[UUID, int]) -> dict[UUID, int]:
    """Reserves so many sequence numbers of each payment and returns the last of them."""
    rows = [{"id": id_, "count": count} for id_, count in sorted(counts.items())]
    return {row[0]: row[1] for row in transaction.run(_TAKE_SEQUENCES, rows=_json(rows))}


def find_receivers(transaction: Transaction, receivers: Iterable[Receiver]) -> dict[Receiver, bool]:
    """The receivers with failures on record, and whether each of them is to be treated as slow."""
    rows = transaction.run(_FIND_RECEIVERS, rows=_receivers_json(receivers))
    return {(merchant_id, origin): is_slow for merchant_id, origin, is_slow in rows}


def note_failures(
    transaction: Transaction, failures: Iterable[tuple[Receiver, int, bool]], threshold: int, slow_seconds: float
) -> None:
    """Adds (receiver, number of failures, whether one was a timeout) to the record.

    A receiver counts as slow for `slow_seconds` after a timeout, and from `threshold` failures in a row.
    """
    rows = [
        {"merchant_id": merchant_id, "origin": origin, "failures": count, "timed_out": timed_out}
        for (merchant_id, origin), count, timed_out in failures
    ]
    transaction.run(_NOTE_FAILURES, rows=_json(rows), threshold=threshold, slow_seconds=slow_seconds)


def forget_receivers(transaction: Transaction, receivers: Iterable[Receiver]) -> None:
    """Removes receivers from the record, because they have answered well."""
    transaction.run(_FORGET_RECEIVERS, rows=_receivers_json(receivers))


def _receivers_json(receivers: Iterable[Receiver]) -> str:
    # Sorted, so that two transactions lock them in the same order.
    return _json([{"merchant_id": merchant_id, "origin": origin} for merchant_id, origin in sorted(receivers)])


def _array(ids: Iterable[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"


def _json(rows: Sequence[dict[str, Any] | NewDelivery | FinishedAttempt]) -> str:
    return orjson.dumps(rows).decode()
