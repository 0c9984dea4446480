"""Receivers that have failed or been slow, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows

_FIND_RECEIVERS = Statement("""
    SELECT r.merchant_id, r.origin, coalesce(r.slow_until > now(), false),
           greatest(0, extract(epoch FROM coalesce(r.resume_at, now()) - now()))::float8
    FROM json_to_recordset(:rows::json) AS wanted (merchant_id uuid, origin text)
    JOIN webhook_receivers r ON r.merchant_id = wanted.merchant_id AND r.origin = wanted.origin
""")

# A record that another transaction holds is left as it is: no delivery shall wait for it.
_NOTE_FAULTS = Statement("""
    WITH new AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json)
            AS row (merchant_id uuid, origin text, failures integer, is_slow boolean, waits boolean)
    ), ours AS MATERIALIZED (
        SELECT known.merchant_id, known.origin FROM new
        JOIN webhook_receivers known ON known.merchant_id = new.merchant_id AND known.origin = new.origin
        FOR UPDATE OF known SKIP LOCKED
    )
    INSERT INTO webhook_receivers AS known (merchant_id, origin, consecutive_failures, slow_until, resume_at)
    SELECT new.merchant_id, new.origin, failures,
           CASE WHEN is_slow OR failures >= :threshold::integer
                THEN now() + make_interval(secs => :slow_seconds::double precision) END,
           CASE WHEN waits AND failures >= :wait_threshold::integer
                THEN now() + make_interval(secs => :wait_seconds::double precision) END
    FROM new
    WHERE EXISTS (SELECT FROM ours WHERE ours.merchant_id = new.merchant_id AND ours.origin = new.origin)
       OR NOT EXISTS (SELECT FROM webhook_receivers known
                      WHERE known.merchant_id = new.merchant_id AND known.origin = new.origin)
    ORDER BY new.merchant_id, new.origin
    ON CONFLICT (merchant_id, origin) DO UPDATE
    SET consecutive_failures = CASE
            WHEN excluded.consecutive_failures = 0 THEN 0
            ELSE least(known.consecutive_failures + excluded.consecutive_failures, 1000000) END,
        resume_at = (
            SELECT now() + make_interval(secs => :wait_seconds::double precision) FROM new
            WHERE new.merchant_id = known.merchant_id AND new.origin = known.origin AND waits
              AND known.consecutive_failures + excluded.consecutive_failures >= :wait_threshold::integer),
        slow_until = CASE
            WHEN excluded.slow_until IS NOT NULL THEN excluded.slow_until
            WHEN known.consecutive_failures + excluded.consecutive_failures >= :threshold::integer
            THEN now() + make_interval(secs => :slow_seconds::double precision)
            ELSE known.slow_until END
""")

_FORGET_RECEIVERS = Statement("""
    WITH ours AS MATERIALIZED (
        SELECT known.merchant_id, known.origin
        FROM json_to_recordset(:rows::json) AS good (merchant_id uuid, origin text)
        JOIN webhook_receivers known ON known.merchant_id = good.merchant_id AND known.origin = good.origin
        FOR UPDATE OF known SKIP LOCKED
    )
    DELETE FROM webhook_receivers r USING ours
    WHERE r.merchant_id = ours.merchant_id AND r.origin = ours.origin
""")


class Receiver(NamedTuple):
    """What is fast or slow as a whole: one origin (`scheme://host:port`) as one merchant's receiver."""

    merchant_id: UUID
    origin: str


class ReceiverRecord(NamedTuple):
    """Whether a receiver is slow now, and for how long its deliveries still wait: 0 if they do not."""

    is_slow: bool
    resume_in_seconds: float


@dataclass(frozen=True, slots=True)
class ReceiverFaults:
    """How often a receiver has just failed, whether it was slow, and whether it kept the slow lane waiting in vain.

    A receiver that has not failed was slow: its failures in a row are over.
    """

    receiver: Receiver
    failures: int
    is_slow: bool
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultLimits:
    """From how many failures in a row a receiver is slow, and its deliveries wait, and for how long each."""

    slow_failures: int
    slow_seconds: float
    wait_failures: int
    wait_seconds: float


def find_receivers(transaction: Transaction, receivers: Iterable[Receiver]) -> dict[Receiver, ReceiverRecord]:
    """Return the receivers with recorded faults, and what follows from them."""
    rows = transaction.run(_FIND_RECEIVERS, rows=_sorted_rows(receivers))
    return {Receiver(row[0], row[1]): ReceiverRecord(row[2], row[3]) for row in rows}


def note_faults(transaction: Transaction, faults: Iterable[ReceiverFaults], limits: FaultLimits) -> None:
    """Add the faults to the record of their receivers."""
    rows = json_rows(
        {**fault.receiver._asdict(), "failures": fault.failures, "is_slow": fault.is_slow, "waits": fault.waits}
        for fault in faults
    )
    transaction.run(
        _NOTE_FAULTS,
        rows=rows,
        threshold=limits.slow_failures,
        slow_seconds=limits.slow_seconds,
        wait_threshold=limits.wait_failures,
        wait_seconds=limits.wait_seconds,
    )


def forget_receivers(transaction: Transaction, receivers: Iterable[Receiver]) -> None:
    """Delete the record of receivers that have answered well."""
    transaction.run(_FORGET_RECEIVERS, rows=_sorted_rows(receivers))


def _sorted_rows(receivers: Iterable[Receiver]) -> str:
    # Sorted, so that two transactions lock them in the same order.
    return json_rows(receiver._asdict() for receiver in sorted(receivers))
