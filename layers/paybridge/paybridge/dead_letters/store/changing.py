"""What operators do with dead letters: each change is one conditional statement, with its action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.dead_letters.domain import DeadLetter, Selection
from paybridge.dead_letters.store.row import COLUMNS, letter_from_row
from paybridge.dead_letters.store.selecting import condition, parameters_of

_LOCK_ONE = Statement(f"SELECT {COLUMNS} FROM dead_letters WHERE id = :id::uuid FOR UPDATE")

_DISCARD = Statement("""
    WITH discarded AS (
        UPDATE dead_letters SET state = 'discarded', closed_at = :now::timestamptz, closed_by = :actor::text,
            note = :note::text
        WHERE id = :id::uuid AND state = 'dead'
        RETURNING id
    )
    INSERT INTO dead_letter_actions (dead_letter_id, action, actor, note, at)
    SELECT id, 'discard', :actor::text, :note::text, :now::timestamptz FROM discarded
""")

_INSERT_REDRIVE = Statement("""
    INSERT INTO dead_letter_redrives (id, actor, selection, rate_per_second, matched, answer, idempotency_key,
                                      request_fingerprint, created_at)
    VALUES (:id::uuid, :actor::text, :selection::json, :rate::double precision, :matched::integer, :answer::json,
            :key::text, :request_fingerprint::bytea, :now::timestamptz)
""")

_START = Statement("""
    WITH redriving AS (
        UPDATE dead_letters SET state = 'redriving', redrives = redrives + 1, redrive_id = :redrive_id::uuid,
            outbox_id = new.outbox_id
        FROM json_to_recordset(:rows::json) AS new (id uuid, outbox_id uuid)
        WHERE dead_letters.id = new.id AND state = 'dead'
        RETURNING dead_letters.id
    )
    INSERT INTO dead_letter_actions (dead_letter_id, action, actor, redrive_id, at)
    SELECT id, 'redrive', :actor::text, :redrive_id::uuid, :now::timestamptz FROM redriving
""")

_LOCK_KEY = Statement("SELECT pg_advisory_xact_lock(hashtextextended(:actor::text || ' ' || :key::text, 0))")
_FIND_KEY = Statement("""
    SELECT request_fingerprint, answer FROM dead_letter_redrives
    WHERE actor = :actor::text AND idempotency_key = :key::text
""")

# A row that another transaction holds is left for later: `settle` must wait for none, because the relay publishes the
# messages of payments in the same transaction.
_LOCK_WANTED = Statement("""
    SELECT outbox_id::text FROM dead_letters WHERE outbox_id = ANY(:ids::uuid[]) FOR UPDATE SKIP LOCKED
""")
# A row that died again meanwhile has no `outbox_id` any more, and is not published for the old redrive. The running
# sum keeps a batch within what the relay may hold in memory.
_LOAD = Statement("""
    SELECT outbox_id::text, id, queue, message_id, message_type, correlation_id, payment_id, body, headers, redrive_id
    FROM (
        SELECT *, sum(octet_length(body)) OVER (ORDER BY outbox_id) - octet_length(body) AS bytes_before
        FROM dead_letters WHERE outbox_id = ANY(:ids::uuid[])
    ) AS wanted
    WHERE bytes_before < :bytes_max::bigint
""")
_WANTED = Statement("SELECT outbox_id::text FROM dead_letters WHERE outbox_id = ANY(:ids::uuid[])")
_SETTLE = Statement("""
    UPDATE dead_letters SET state = 'redriven', outbox_id = NULL
    WHERE outbox_id = ANY(:ids::uuid[]) AND state = 'redriving'
""")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A dead letter that a redrive may take."""

    id: UUID
    queue: str
    reason: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveRow:
    """A redrive as it is stored."""

    id: UUID
    actor: str
    selection: Mapping[str, Any]
    rate_per_second: float
    matched: int
    answer: Mapping[str, Any]
    key: str | None
    request_fingerprint: bytes | None


@dataclass(frozen=True, slots=True)
class WantedMessage:
    """What to publish for a row of the outbox."""

    row_id: str
    id: UUID
    queue: str
    message_id: str
    message_type: str
    correlation_id: str
    payment_id: UUID | None
    body: bytes
    headers: Mapping[str, Any]
    redrive_id: UUID


def lock(transaction: Transaction, id_: UUID) -> DeadLetter | None:
    """Lock the dead letter until the transaction ends, and return it."""
    rows = transaction.run(_LOCK_ONE, id=id_)
    return letter_from_row(rows[0]) if rows else None


def discard(transaction: Transaction, id_: UUID, actor: str, note: str, now: datetime) -> None:
    """Discard the dead letter if it is dead."""
    transaction.run(_DISCARD, id=id_, actor=actor, note=note, now=now)


def candidates(
    transaction: Transaction, selection: Selection, queues: Sequence[str], limit: int, *, locked: bool
) -> list[Candidate]:
    """Return the dead letters of the selection that died in one of the queues, oldest first, at most `limit`.

    With `locked`, leave out those that another redrive or a discard holds, and lock the others.
    """
    parameters = parameters_of(selection)
    rows = transaction.run(
        _candidates(frozenset(parameters), locked), queues=_text_array(queues), limit=limit, **parameters
    )
    return [Candidate(*row) for row in rows]


def count_others(transaction: Transaction, selection: Selection, queues: Sequence[str], limit: int) -> int:
    """Return how many dead letters of the selection died in none of the queues, at most `limit`."""
    parameters = parameters_of(selection)
    rows = transaction.run(_others(frozenset(parameters)), queues=_text_array(queues), limit=limit, **parameters)
    return int(rows[0][0])


def find_redrive(transaction: Transaction, actor: str, key: str) -> tuple[bytes, dict[str, Any]] | None:
    """Lock the actor's idempotency key, and return the request and the answer of its redrive."""
    transaction.run(_LOCK_KEY, actor=actor, key=key)
    rows = transaction.run(_FIND_KEY, actor=actor, key=key)
    return (rows[0][0], rows[0][1]) if rows else None


def start_redrive(
    transaction: Transaction, redrive: RedriveRow, outbox_ids: Mapping[UUID, UUID], now: datetime
) -> None:
    """Store the redrive and mark its dead letters, given with the ids of their rows in the outbox."""
    transaction.run(
        _INSERT_REDRIVE,
        id=redrive.id,
        actor=redrive.actor,
        selection=orjson.dumps(redrive.selection).decode(),
        rate=redrive.rate_per_second,
        matched=redrive.matched,
        answer=orjson.dumps(redrive.answer).decode(),
        key=redrive.key,
        request_fingerprint=redrive.request_fingerprint,
        now=now,
    )
    rows = json_rows({"id": id_, "outbox_id": outbox_id} for id_, outbox_id in outbox_ids.items())
    transaction.run(_START, redrive_id=redrive.id, rows=rows, actor=redrive.actor, now=now)


def load(transaction: Transaction, row_ids: Sequence[str], bytes_max: int) -> list[WantedMessage]:
    """Lock the dead letters of the rows, and return what to publish, up to about `bytes_max` of bodies.

    Those that another transaction holds are left out, and of the others at least one is returned.
    """
    free = [row[0] for row in transaction.run(_LOCK_WANTED, ids=uuid_array(row_ids))]
    if not free:
        return []
    return [WantedMessage(*row) for row in transaction.run(_LOAD, ids=uuid_array(free), bytes_max=bytes_max)]


def still_wanted(transaction: Transaction, row_ids: Sequence[str]) -> set[str]:
    """Return the rows whose dead letters are still to be published."""
    return {row[0] for row in transaction.run(_WANTED, ids=uuid_array(row_ids))}


def settle(transaction: Transaction, row_ids: Sequence[str]) -> None:
    """Mark the dead letters of these rows as redriven, unless they died again meanwhile."""
    transaction.run(_SETTLE, ids=uuid_array(row_ids))


def _text_array(texts: Sequence[str]) -> str:
    return "{" + ",".join(texts) + "}"


@cache
def _candidates(names: frozenset[str], locked: bool) -> Statement:
    return Statement(f"""
        SELECT id, queue, reason, fingerprint FROM dead_letters
        WHERE {condition(names)} AND state = 'dead' AND queue = ANY(:queues::text[])
        ORDER BY id LIMIT :limit::integer {"FOR UPDATE SKIP LOCKED" if locked else ""}
    """)


@cache
def _others(names: frozenset[str]) -> Statement:
    return Statement(f"""
        SELECT count(*) FROM (
            SELECT FROM dead_letters
            WHERE {condition(names)} AND state = 'dead' AND queue <> ALL(:queues::text[]) LIMIT :limit::integer
        ) AS others
    """)
