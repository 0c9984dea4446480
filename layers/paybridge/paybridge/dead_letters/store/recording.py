"""Record deaths: one row for each message, however often it dies."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.dead_letters.domain import Death

# A second delivery of a death that is recorded already, whose acknowledgement was lost.
_IS_KNOWN = """
    known.state = 'dead' AND known.death = excluded.death
    AND encode(excluded.identity, 'hex') = ANY(:redelivered::text[])"""

# A message that dies again is dead again, whatever had become of it: its redrive or its discard is over. A death that
# is known changes nothing, and is returned all the same: its line may be missing in the log.
_RECORD = Statement(f"""
    INSERT INTO dead_letters AS known (id, identity, death, queue, dead_letter_queue, reason, fingerprint, count,
        message_id, message_type, correlation_id, payment_id, body, headers, deaths, first_seen_at, last_seen_at)
    SELECT id, decode(identity, 'hex'), decode(death, 'hex'), queue, dead_letter_queue, reason, fingerprint, count,
        message_id, message_type, correlation_id, payment_id, decode(body, 'base64'), headers, deaths, at, at
    FROM json_to_recordset(:rows::json) AS new (id uuid, identity text, death text, queue text, dead_letter_queue text,
        reason text, fingerprint text, count integer, message_id text, message_type text, correlation_id text,
        payment_id uuid, body text, headers json, deaths json, at timestamptz)
    ORDER BY identity
    ON CONFLICT (identity) DO UPDATE SET
        state = 'dead', count = known.count + CASE WHEN {_IS_KNOWN} THEN 0 ELSE excluded.count END,
        death = excluded.death,
        dead_letter_queue = excluded.dead_letter_queue, queue = excluded.queue, reason = excluded.reason,
        fingerprint = excluded.fingerprint, headers = excluded.headers, deaths = excluded.deaths,
        correlation_id = excluded.correlation_id, message_type = excluded.message_type,
        last_seen_at = CASE WHEN {_IS_KNOWN} THEN known.last_seen_at
                            ELSE greatest(known.last_seen_at, excluded.last_seen_at) END,
        outbox_id = NULL, closed_at = NULL, closed_by = NULL, note = NULL
    RETURNING id, encode(identity, 'hex'), count,
        count - coalesce((SELECT before.count FROM dead_letters before WHERE before.identity = known.identity), 0)
""")


class Arrival(NamedTuple):
    """A death to record: the id of its row if the message is new, and the payment that its body names."""

    id: UUID
    death: Death
    payment_id: UUID | None
    # How many times the message is in the batch.
    times: int


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """The row of a message after its death was recorded. `added` is by how much its count has grown."""

    id: UUID
    identity: bytes
    count: int
    added: int


def record(transaction: Transaction, arrivals: Sequence[Arrival], now: datetime) -> list[RecordedRow]:
    """Insert or update a row for each arrival, and return the rows.

    Identities in `arrivals` are distinct.
    """
    redelivered = [arrival.death.identity.hex() for arrival in arrivals if _is_redelivered(arrival)]
    rows = transaction.run(
        _RECORD,
        rows=json_rows(_row_of(arrival, now) for arrival in arrivals),
        redelivered="{" + ",".join(redelivered) + "}",
    )
    return [RecordedRow(id_, bytes.fromhex(identity), count, added) for id_, identity, count, added in rows]


def _is_redelivered(arrival: Arrival) -> bool:
    return arrival.death.redelivered and arrival.times == 1


def _row_of(arrival: Arrival, now: datetime) -> dict[str, object]:
    death = arrival.death
    return {
        "id": arrival.id,
        "identity": death.identity.hex(),
        "death": death.digest.hex(),
        "queue": death.queue,
        "dead_letter_queue": death.dead_letter_queue,
        "reason": death.reason,
        "fingerprint": death.fingerprint,
        "count": arrival.times,
        "message_id": death.message_id,
        "message_type": death.message_type,
        "correlation_id": death.correlation_id,
        "payment_id": arrival.payment_id,
        "body": base64.b64encode(death.body).decode(),
        "headers": death.headers,
        "deaths": death.deaths,
        "at": now,
    }
