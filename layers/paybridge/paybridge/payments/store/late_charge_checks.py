"""Payments that were given up and whose charge the gateway is still asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array

_PLAN = Statement("""
    INSERT INTO late_charge_checks (payment_id, merchant_id, correlation_id, given_up_at, ask_at)
    SELECT payment_id, merchant_id, correlation_id, :now::timestamptz, now() + make_interval(secs => delay_seconds)
    FROM json_to_recordset(:rows::json) AS row (payment_id uuid, merchant_id uuid, correlation_id text,
        delay_seconds double precision)
    ON CONFLICT (payment_id) DO NOTHING
""")

# A check that is taken is due again after the lease, should its process die. A second message finds it not due.
_TAKE = Statement("""
    WITH due AS MATERIALIZED (
        SELECT c.payment_id
        FROM unnest(:ids::uuid[]) AS wanted (id) JOIN late_charge_checks c ON c.payment_id = wanted.id
        WHERE c.ask_at <= now() ORDER BY c.payment_id FOR UPDATE OF c SKIP LOCKED
    ), taken AS (
        UPDATE late_charge_checks c SET ask_at = now() + make_interval(secs => :lease_seconds::double precision),
               asks = c.asks + 1
        FROM due WHERE c.payment_id = due.payment_id
        RETURNING c.payment_id, c.given_up_at
    )
    SELECT * FROM taken
""")

_POSTPONE = Statement("""
    UPDATE late_charge_checks c SET ask_at = now() + make_interval(secs => row.delay_seconds)
    FROM json_to_recordset(:rows::json) AS row (payment_id uuid, delay_seconds double precision)
    WHERE c.payment_id = row.payment_id
""")

_END = Statement("""
    DELETE FROM late_charge_checks USING unnest(:ids::uuid[]) AS ended (id) WHERE payment_id = ended.id
""")

# A message that was lost leaves its check overdue. Making it due from now on keeps the next sweep from doing it again.
_LOCK_OVERDUE = Statement("""
    UPDATE late_charge_checks SET ask_at = now()
    WHERE payment_id IN (
        SELECT payment_id FROM late_charge_checks
        WHERE ask_at < now() - make_interval(secs => :overdue_seconds::double precision)
        ORDER BY ask_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED)
    RETURNING payment_id, merchant_id, correlation_id
""")


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A payment that was given up, and the seconds until the gateway is asked for its charge."""

    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    delay_seconds: float


class TakenCheck(NamedTuple):
    """A check to make now, of a payment that was given up at that time."""

    payment_id: UUID
    given_up_at: datetime


class OverdueCheck(NamedTuple):
    """A check whose message was lost."""

    payment_id: UUID
    merchant_id: UUID
    correlation_id: str


def plan(transaction: Transaction, checks: Sequence[PlannedCheck], now: datetime) -> None:
    """Record that these payments were given up now, and when to ask for their charges."""
    if checks:
        transaction.run(_PLAN, rows=json_rows(checks), now=now)


def take(transaction: Transaction, ids: Iterable[UUID], lease_seconds: float) -> list[TakenCheck]:
    """Take the checks among these payments that are due; no other process gets them for `lease_seconds`."""
    return [TakenCheck(*row) for row in transaction.run(_TAKE, ids=uuid_array(ids), lease_seconds=lease_seconds)]


def postpone(transaction: Transaction, delays: Sequence[tuple[UUID, float]]) -> None:
    """Make each check due again after its delay in seconds."""
    if delays:
        rows = json_rows({"payment_id": id_, "delay_seconds": seconds} for id_, seconds in delays)
        transaction.run(_POSTPONE, rows=rows)


def end(transaction: Transaction, ids: Sequence[UUID]) -> None:
    """Ask for these charges no more."""
    if ids:
        transaction.run(_END, ids=uuid_array(ids))


def lock_overdue(transaction: Transaction, overdue_seconds: float, limit: int) -> list[OverdueCheck]:
    """Make up to `limit` checks that are overdue for so long due now, and return them."""
    rows = transaction.run(_LOCK_OVERDUE, overdue_seconds=overdue_seconds, limit=limit)
    return [OverdueCheck(*row) for row in rows]
