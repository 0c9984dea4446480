"""Operations that have ended and that the gateway is still asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.payments.domain.operation import OperationRef

# How long the consumer may take to receive the message for a check. After that it is sent again.
SENT_SECONDS = 300

_PLAN = Statement("""
    INSERT INTO late_checks (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at)
    SELECT operation_id, payment_id, merchant_id, correlation_id, :now::timestamptz,
           now() + make_interval(secs => delay_seconds)
    FROM json_to_recordset(:rows::json) AS row (operation_id uuid, payment_id uuid, merchant_id uuid,
        correlation_id text, delay_seconds double precision)
    ON CONFLICT (operation_id) DO NOTHING
""")

# A notice is a reason to ask now, even about an operation whose checks are over.
_SEND_NOW = Statement(f"""
    INSERT INTO late_checks AS c (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at, is_sent)
    SELECT o.id, o.payment_id, o.merchant_id, o.correlation_id, coalesce(o.finished_at, o.updated_at),
           now() + interval '{SENT_SECONDS} seconds', true
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN operations o ON o.id = wanted.id
    ORDER BY o.id
    ON CONFLICT (operation_id) DO UPDATE SET ask_at = excluded.ask_at, is_sent = true
""")

# What is due is marked as sent, so that the next job does not send it again.
_SEND_DUE = Statement(f"""
    UPDATE late_checks SET ask_at = now() + interval '{SENT_SECONDS} seconds', is_sent = true
    WHERE operation_id IN (
        SELECT operation_id FROM late_checks WHERE ask_at <= now()
        ORDER BY ask_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED)
    RETURNING operation_id, payment_id, merchant_id, correlation_id
""")

# A check that is taken is due again after the lease, should its process die. A second message finds it not sent.
_TAKE = Statement("""
    WITH sent AS MATERIALIZED (
        SELECT c.operation_id
        FROM unnest(:ids::uuid[]) AS wanted (id) JOIN late_checks c ON c.operation_id = wanted.id
        WHERE c.is_sent ORDER BY c.operation_id FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE late_checks c SET ask_at = now() + make_interval(secs => :lease_seconds::double precision),
           is_sent = false, asks = c.asks + 1
    FROM sent WHERE c.operation_id = sent.operation_id
    RETURNING c.operation_id, c.ended_at, c.payment_id, c.correlation_id
""")

_POSTPONE = Statement("""
    UPDATE late_checks c SET ask_at = now() + make_interval(secs => row.delay_seconds)
    FROM json_to_recordset(:rows::json) AS row (operation_id uuid, delay_seconds double precision)
    WHERE c.operation_id = row.operation_id
""")

_END = Statement("""
    DELETE FROM late_checks USING unnest(:ids::uuid[]) AS ended (id) WHERE operation_id = ended.id
    RETURNING operation_id
""")


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """An operation that ends now, and the seconds until the gateway is asked about it again."""

    operation_id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    delay_seconds: float


class TakenCheck(NamedTuple):
    """A check to make now, and when its operation ended."""

    operation_id: UUID
    ended_at: datetime
    payment_id: UUID
    correlation_id: str


def plan(transaction: Transaction, checks: Sequence[PlannedCheck], now: datetime) -> None:
    """Record that these operations end now, and when to ask about them again."""
    if checks:
        transaction.run(_PLAN, rows=json_rows(checks), now=now)


def send_now(transaction: Transaction, operation_ids: Sequence[UUID]) -> None:
    """Record that the message for a check of each of these operations is sent now."""
    if operation_ids:
        transaction.run(_SEND_NOW, ids=uuid_array(operation_ids))


def send_due(transaction: Transaction, limit: int) -> list[OperationRef]:
    """Return up to `limit` operations whose checks are due, and record that their messages are sent now."""
    return [OperationRef(*row) for row in transaction.run(_SEND_DUE, limit=limit)]


def take(transaction: Transaction, operation_ids: Iterable[UUID], lease_seconds: float) -> list[TakenCheck]:
    """Take the checks of these operations that were sent; no other process gets them for `lease_seconds`."""
    ids = uuid_array(operation_ids)
    return [TakenCheck(*row) for row in transaction.run(_TAKE, ids=ids, lease_seconds=lease_seconds)]


def postpone(transaction: Transaction, delays: Sequence[tuple[UUID, float]]) -> None:
    """Make the check of each operation due again after its delay in seconds."""
    if delays:
        rows = json_rows({"operation_id": id_, "delay_seconds": seconds} for id_, seconds in delays)
        transaction.run(_POSTPONE, rows=rows)


def end(transaction: Transaction, operation_ids: Sequence[UUID]) -> set[UUID]:
    """Ask about these operations no more, and return those that this call ended: another process may have."""
    if not operation_ids:
        return set()
    return {row[0] for row in transaction.run(_END, ids=uuid_array(sorted(operation_ids)))}
