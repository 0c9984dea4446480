"""Notifications: what one event tells one contact, and whether it has arrived at the provider."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.database.wire import Row
from paybridge.notifications.domain.notification import Channel, Notification, NotificationStatus

_COLUMNS = tuple(field.name for field in fields(Notification))

# In the order of their ids, because two batches that hold the same event must lock in the same order.
_INSERT = Statement("""
    INSERT INTO notifications (id, merchant_id, payment_id, subject_type, subject_id, event_id, event_type, pattern,
                               channel, contact, recipient, title, body, correlation_id, next_attempt_at)
    SELECT id, merchant_id, payment_id, subject_type, subject_id, event_id, event_type, pattern, channel, contact,
           recipient, title, body, correlation_id, now()
    FROM json_to_recordset(:rows::json) AS new (id uuid, merchant_id uuid, payment_id uuid, subject_type text,
        subject_id uuid, event_id uuid, event_type text, pattern text, channel text, contact text, recipient text,
        title text, body text, correlation_id text)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
""")

# The process that claimed these has died, or hangs beyond the time limit of its call. The contact may have the message.
_END_CLAIMS = Statement("""
    WITH interrupted AS (
        SELECT n.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN notifications n ON n.id = wanted.id
        WHERE n.status = 'sending' AND n.claimed_at <= now() - make_interval(secs => :claim_seconds::double precision)
        ORDER BY n.id
        FOR UPDATE OF n SKIP LOCKED
    )
    UPDATE notifications n
    SET status = CASE n.channel WHEN 'sms' THEN 'unclear' ELSE 'pending' END, error = 'interrupted',
        next_attempt_at = CASE n.channel WHEN 'sms' THEN NULL ELSE now() END,
        finished_at = CASE n.channel WHEN 'sms' THEN clock_timestamp() END
    FROM interrupted WHERE n.id = interrupted.id
    RETURNING n.id, n.merchant_id, n.payment_id, n.subject_type, n.subject_id, n.correlation_id, n.status, n.attempts
""")

_FIND_DUE = Statement("""
    SELECT n.id, n.channel FROM unnest(:ids::uuid[]) AS wanted (id) JOIN notifications n ON n.id = wanted.id
    WHERE n.status = 'pending' AND n.next_attempt_at <= now()
    ORDER BY n.id
""")

# Due like those above, and not claimed: another transaction holds their rows.
_FIND_LOCKED = Statement("""
    SELECT n.id, n.merchant_id, n.payment_id, n.subject_type, n.subject_id, n.correlation_id
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN notifications n ON n.id = wanted.id
    WHERE n.status = 'pending' AND n.next_attempt_at <= now()
""")

_FIND_CLAIMED = Statement("""
    SELECT n.id, n.merchant_id, n.payment_id, n.subject_type, n.subject_id, n.correlation_id
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN notifications n ON n.id = wanted.id
    WHERE n.status = 'sending'
""")

_FIND_UNKNOWN = Statement("""
    SELECT wanted.id FROM unnest(:ids::uuid[]) AS wanted (id)
    WHERE NOT EXISTS (SELECT FROM notifications n WHERE n.id = wanted.id)
""")

# Another process may claim the same ones at the same time. Each is claimed once.
_CLAIM = Statement(f"""
    WITH free AS (
        SELECT n.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN notifications n ON n.id = wanted.id
        WHERE n.status = 'pending' AND n.next_attempt_at <= now()
        ORDER BY n.id
        FOR UPDATE OF n SKIP LOCKED
    )
    UPDATE notifications n
    SET status = 'sending', attempts = n.attempts + 1, claimed_at = now(), next_attempt_at = NULL
    FROM free WHERE n.id = free.id
    RETURNING n.attempts, {", ".join(f"n.{column}" for column in _COLUMNS)}
""")

# A claim that was ended may still be answered: a late answer is the truth, unless another attempt has followed.
_FINISH = Statement("""
    UPDATE notifications n
    SET status = finished.status, provider_message_id = finished.provider_message_id, error = finished.error,
        next_attempt_at = now() + make_interval(secs => finished.delay_seconds),
        finished_at = CASE WHEN finished.status <> 'pending' THEN clock_timestamp() END
    FROM json_to_recordset(:rows::json) AS finished (id uuid, number smallint, status text, provider_message_id text,
        error text, delay_seconds double precision)
    WHERE n.id = finished.id AND n.attempts = finished.number AND n.status IN ('sending', 'unclear')
    RETURNING n.id
""")

_PUT_OFF = Statement("""
    WITH waiting AS (
        SELECT n.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN notifications n ON n.id = wanted.id
        WHERE n.status = 'pending'
        ORDER BY n.id
        FOR UPDATE OF n SKIP LOCKED
    )
    UPDATE notifications n SET next_attempt_at = now() + make_interval(secs => greatest(
        :seconds_min::double precision,
        least(extract(epoch FROM now() - n.created_at)::double precision * :part_of_age::double precision,
              :seconds_max::double precision)))
    FROM waiting WHERE n.id = waiting.id
    RETURNING n.id, n.merchant_id, n.payment_id, n.subject_type, n.subject_id, n.correlation_id,
              extract(epoch FROM n.next_attempt_at - now())::double precision
""")


@dataclass(frozen=True, slots=True)
class NotificationKey:
    """A notification, without what is sent."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    subject_type: str
    subject_id: UUID
    correlation_id: str


@dataclass(frozen=True, slots=True)
class InterruptedNotification:
    """A notification whose process died in attempt `number`, and where it is now."""

    key: NotificationKey
    status: NotificationStatus
    number: int


@dataclass(frozen=True, slots=True)
class ClaimedNotification:
    """A notification that only this process sends now, as its attempt `number`."""

    number: int
    notification: Notification


class DueNotification(NamedTuple):
    """A notification to send now, unless another process is faster."""

    id: UUID
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedSending:
    """How attempt `number` ended. `delay_seconds` is None if no attempt follows."""

    id: UUID
    number: int
    status: NotificationStatus
    provider_message_id: str | None = None
    error: str | None = None
    delay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """How long to put a notification off: a part of its age, within limits."""

    part_of_age: float
    seconds_min: float
    seconds_max: float


def insert(transaction: Transaction, notifications: Iterable[Notification]) -> None:
    """Create the notifications that do not exist yet, due now."""
    transaction.run(_INSERT, rows=json_rows(notifications))


def end_claims(transaction: Transaction, ids: Collection[UUID], claim_seconds: float) -> list[InterruptedNotification]:
    """End the claims that are older than `claim_seconds`: an e-mail is due again, an SMS stays unclear."""
    rows = transaction.run(_END_CLAIMS, ids=uuid_array(ids), claim_seconds=claim_seconds)
    return [InterruptedNotification(NotificationKey(*row[:6]), NotificationStatus(row[6]), row[7]) for row in rows]


def find_due(transaction: Transaction, ids: Collection[UUID]) -> list[DueNotification]:
    """Return those of the notifications that are due, in the order of their ids."""
    return [DueNotification(id_, Channel(channel)) for id_, channel in transaction.run(_FIND_DUE, ids=uuid_array(ids))]


def find_claimed(transaction: Transaction, ids: Collection[UUID]) -> list[NotificationKey]:
    """Return those of the notifications that a process has claimed."""
    return [NotificationKey(*row) for row in transaction.run(_FIND_CLAIMED, ids=uuid_array(ids))]


def find_locked(transaction: Transaction, ids: Collection[UUID]) -> list[NotificationKey]:
    """Return those of the notifications that are due and that `claim` left out, because their rows are locked."""
    return [NotificationKey(*row) for row in transaction.run(_FIND_LOCKED, ids=uuid_array(ids))]


def find_unknown(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Return the ids that no notification has."""
    return {id_ for (id_,) in transaction.run(_FIND_UNKNOWN, ids=uuid_array(ids))}


def claim(transaction: Transaction, ids: Collection[UUID]) -> list[ClaimedNotification]:
    """Begin an attempt at each of these that is due, and return them. The others belong to another process."""
    return [_claimed(row) for row in transaction.run(_CLAIM, ids=uuid_array(ids))]


def _claimed(row: Row) -> ClaimedNotification:
    number, *values = row
    named = dict(zip(_COLUMNS, values, strict=True))
    return ClaimedNotification(number, Notification(**{**named, "channel": Channel(named["channel"])}))


def finish(transaction: Transaction, finished: Iterable[FinishedSending]) -> set[UUID]:
    """Record how attempts ended; return the notifications to which that still mattered."""
    rows = json_rows(asdict(each) for each in finished)
    return {id_ for (id_,) in transaction.run(_FINISH, rows=rows)}


def put_off(transaction: Transaction, ids: Collection[UUID], delay: Delay) -> list[tuple[NotificationKey, float]]:
    """Let these wait, if they are pending; return them with their delays: their commands are yet to be written."""
    rows = transaction.run(_PUT_OFF, ids=uuid_array(ids), **asdict(delay))
    return [(NotificationKey(*row[:-1]), row[-1]) for row in rows]
