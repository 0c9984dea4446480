"""Webhook deliveries: an event, one URL, and whether the event has arrived there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array

# A receiver that has answered 410 about a payment gets no more webhooks about it.
_INSERT = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, endpoint_id, event_id, event_type, url, body,
                                    correlation_id)
    SELECT id, merchant_id, payment_id, endpoint_id, event_id, event_type, url, body, correlation_id
    FROM json_to_recordset(:rows::json) AS new (id uuid, merchant_id uuid, payment_id uuid, endpoint_id uuid,
        event_id uuid, event_type text, url text, body text, correlation_id text)
    WHERE new.endpoint_id IS NOT NULL OR NOT EXISTS (
        SELECT FROM webhook_deliveries gone
        WHERE gone.payment_id = new.payment_id AND gone.url = new.url AND gone.status = 'gone'
          AND gone.endpoint_id IS NULL
    )
    ON CONFLICT (id) DO NOTHING
""")

# A delivery with `next_attempt_at` has a command in the outbox. Only that command continues it, and only once it is
# due, so a redelivered message finds nothing to do. A row that another transaction holds is skipped, because the batch
# shall not wait for it. Where an endpoint is, whether it wants the event and how it is signed is as it stands now.
_LOCK = Statement("""
    SELECT d.id, d.merchant_id, d.payment_id, d.event_id, d.event_type, coalesce(e.url, d.url), d.body,
           d.correlation_id, d.attempts, d.schedule_offset,
           CASE WHEN d.attempts > d.schedule_offset THEN (
               SELECT count(*) FROM webhook_attempts a
               WHERE a.delivery_id = d.id AND a.number > d.schedule_offset
                 AND (a.status = 'started' OR a.error = 'interrupted')) ELSE 0 END,
           CASE WHEN d.endpoint_id IS NULL THEN to_json(m.webhook_secrets) ELSE (
               SELECT json_agg(s.entry ->> 'secret' ORDER BY s.place)
               FROM json_array_elements(e.secrets) WITH ORDINALITY AS s (entry, place)
               WHERE coalesce((s.entry ->> 'valid_until')::timestamptz > now(), true)) END,
           d.endpoint_id, CASE WHEN e.deleted_at IS NULL THEN e.status ELSE 'deleted' END, to_json(e.events),
           e.first_failure_at IS NOT NULL, e.url IS NOT NULL AND e.url <> d.url
    FROM json_to_recordset(:rows::json) AS wanted (id uuid, is_retry boolean)
    JOIN webhook_deliveries d ON d.id = wanted.id
    JOIN merchants m ON m.id = d.merchant_id
    LEFT JOIN webhook_endpoints e ON e.id = d.endpoint_id
    WHERE d.status = 'pending'
      AND (d.next_attempt_at IS NULL OR (wanted.is_retry AND d.next_attempt_at <= now()))
    ORDER BY d.id
    FOR UPDATE OF d SKIP LOCKED
""")

# Due like those above, and not among them: another transaction holds their rows.
_FIND_LOCKED = Statement("""
    SELECT d.id, d.merchant_id, d.payment_id, d.correlation_id, d.endpoint_id
    FROM json_to_recordset(:rows::json) AS wanted (id uuid, is_retry boolean)
    JOIN webhook_deliveries d ON d.id = wanted.id
    WHERE d.status = 'pending'
      AND (d.next_attempt_at IS NULL OR (wanted.is_retry AND d.next_attempt_at <= now()))
""")

_FIND_UNKNOWN = Statement("""
    SELECT wanted.id FROM unnest(:ids::uuid[]) AS wanted (id)
    WHERE NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.id = wanted.id)
""")

_POSTPONE = Statement("""
    UPDATE webhook_deliveries d SET next_attempt_at = now() + make_interval(secs => postponed.delay_seconds)
    FROM json_to_recordset(:rows::json) AS postponed (id uuid, delay_seconds double precision)
    WHERE d.id = postponed.id AND d.status = 'pending'
""")

# An UPDATE alone locks rows in the order in which its plan finds them; two batches must lock in the same order.
_END_GONE = Statement("""
    WITH locked AS (
        SELECT d.id FROM json_to_recordset(:rows::json) AS gone (payment_id uuid, url text)
        JOIN webhook_deliveries d ON d.payment_id = gone.payment_id AND d.url = gone.url
        WHERE d.status = 'pending' AND d.endpoint_id IS NULL
        ORDER BY d.id
        FOR UPDATE OF d
    )
    UPDATE webhook_deliveries d SET status = 'gone', next_attempt_at = NULL, finished_at = clock_timestamp()
    FROM locked WHERE d.id = locked.id AND d.status = 'pending'
""")


# They are locked already.
_CANCEL = Statement("""
    UPDATE webhook_deliveries d SET status = 'canceled', next_attempt_at = NULL, finished_at = clock_timestamp()
    FROM unnest(:ids::uuid[]) AS canceled (id) WHERE d.id = canceled.id AND d.status = 'pending'
""")

_MOVE = Statement("""
    UPDATE webhook_deliveries d SET url = moved.url
    FROM json_to_recordset(:rows::json) AS moved (id uuid, url text) WHERE d.id = moved.id
""")


class PaymentUrl(NamedTuple):
    """A payment and a URL that its webhooks go to."""

    payment_id: UUID
    url: str


class Postponement(NamedTuple):
    """A delivery that waits, and for how long."""

    id: UUID
    delay_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An event to deliver to one URL. `id` follows from both, so that the delivery is created once."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    event_id: UUID
    event_type: str
    url: str
    body: str
    correlation_id: str
    endpoint_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A pending delivery, locked.

    `attempts` counts those started so far, and `schedule_offset` those among them that were made before the present
    schedule began. `interrupted` counts those of the present schedule whose outcome was never recorded. `secrets` are
    the merchant's, newest first.
    """

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    event_id: UUID
    event_type: str
    url: str
    body: str
    correlation_id: str
    attempts: int
    schedule_offset: int
    interrupted: int
    secrets: list[str]
    endpoint_id: UUID | None = None
    endpoint_status: str | None = None
    endpoint_events: list[str] | None = None
    is_endpoint_failing: bool = False
    has_moved: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryKey:
    """A delivery, without what is sent."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    correlation_id: str
    endpoint_id: UUID | None


def insert(transaction: Transaction, deliveries: Iterable[NewDelivery]) -> None:
    """Create the deliveries that do not exist yet, except to receivers that are gone for that payment."""
    transaction.run(_INSERT, rows=json_rows(deliveries))


def lock_due(transaction: Transaction, fresh: Iterable[UUID], retries: Collection[UUID]) -> list[PendingDelivery]:
    """Lock and return the deliveries that are due: the `fresh` ones, and the `retries` that a command asks for.

    Those that another transaction holds are left out.
    """
    rows = _wanted_rows(fresh, retries)
    return [PendingDelivery(*row) for row in transaction.run(_LOCK, rows=json_rows(rows))]


def find_locked(
    transaction: Transaction, fresh: Iterable[UUID], retries: Collection[UUID], due: Iterable[PendingDelivery]
) -> list[DeliveryKey]:
    """Return what `lock_due` left out because another transaction holds it; `due` is what it returned."""
    ours = {delivery.id for delivery in due}
    rows = [row for row in _wanted_rows(fresh, retries) if row["id"] not in ours]
    return [DeliveryKey(*row) for row in transaction.run(_FIND_LOCKED, rows=json_rows(rows))] if rows else []


def _wanted_rows(fresh: Iterable[UUID], retries: Collection[UUID]) -> list[dict[str, UUID | bool]]:
    return [{"id": id_, "is_retry": id_ in retries} for id_ in dict.fromkeys([*fresh, *retries])]


def find_unknown(transaction: Transaction, ids: Iterable[UUID]) -> set[UUID]:
    """Return the ids that no delivery has."""
    return {id_ for (id_,) in transaction.run(_FIND_UNKNOWN, ids=uuid_array(ids))}


def postpone(transaction: Transaction, postponements: Iterable[Postponement]) -> None:
    """Note that commands in the outbox continue these deliveries, each due after its delay."""
    transaction.run(_POSTPONE, rows=json_rows(postponement._asdict() for postponement in postponements))


def cancel(transaction: Transaction, ids: Collection[UUID]) -> None:
    """End these pending deliveries, which are locked, without a further attempt."""
    if ids:
        transaction.run(_CANCEL, ids=uuid_array(ids))


def move(transaction: Transaction, moved: Sequence[PendingDelivery]) -> None:
    """Note the URL to which these deliveries go now."""
    if moved:
        transaction.run(_MOVE, rows=json_rows({"id": each.id, "url": each.url} for each in moved))


def end_gone(transaction: Transaction, endings: Iterable[PaymentUrl]) -> None:
    """End every pending delivery about these payments to these URLs."""
    transaction.run(_END_GONE, rows=json_rows(ending._asdict() for ending in endings))
