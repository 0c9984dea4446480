"""Receivers that have failed, and which of them are slow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows

_FIND_RECEIVERS = Statement("""
    SELECT r.merchant_id, r.origin, coalesce(r.slow_until > now(), false)
    FROM json_to_recordset(:rows::json) AS wanted (merchant_id uuid, origin text)
    JOIN webhook_receivers r ON r.merchant_id = wanted.merchant_id AND r.origin = wanted.origin
""")

# A record that another transaction holds is left as it is: no delivery shall wait for it.
_NOTE_FAILURES = Statement("""
    WITH new AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json)
            AS row (merchant_id uuid, origin text, failures integer, timed_out boolean)
    ), ours AS MATERIALIZED (
        SELECT known.merchant_id, known.origin FROM new
        JOIN webhook_receivers known ON known.merchant_id = new.merchant_id AND known.origin = new.origin
        FOR UPDATE OF known SKIP LOCKED
    )
    INSERT INTO webhook_receivers AS known (merchant_id, origin, consecutive_failures, slow_until)
    SELECT new.merchant_id, new.origin, failures,
           CASE WHEN timed_out OR failures >= :threshold::integer
                THEN now() + make_interval(secs => :slow_seconds::double precision) END
    FROM new
    WHERE EXISTS (SELECT FROM ours WHERE ours.merchant_id = new.merchant_id AND ours.origin = new.origin)
       OR NOT EXISTS (SELECT FROM webhook_receivers known
                      WHERE known.merchant_id = new.merchant_id AND known.origin = new.origin)
    ORDER BY new.merchant_id, new.origin
    ON CONFLICT (merchant_id, origin) DO UPDATE
    SET consecutive_failures = least(known.consecutive_failures + excluded.consecutive_failures, 1000000),
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


@dataclass(frozen=True, slots=True)
class ReceiverFailures:
    """How often a receiver has just failed, and whether one of the failures was a timeout."""

    receiver: Receiver
    count: int
    timed_out: bool


def find_receivers(transaction: Transaction, receivers: Iterable[Receiver]) -> dict[Receiver, bool]:
    """Return the receivers with recorded failures, each with whether it is slow now."""
    rows = transaction.run(_FIND_RECEIVERS, rows=_sorted_rows(receivers))
    return {Receiver(merchant_id, origin): is_slow for merchant_id, origin, is_slow in rows}


def note_failures(
    transaction: Transaction, failures: Iterable[ReceiverFailures], threshold: int, slow_seconds: float
) -> None:
    """Add the failures to the record.

    A receiver counts as slow for `slow_seconds` after a timeout, and from `threshold` failures in a row.
    """
    rows = json_rows(
        {**failure.receiver._asdict(), "failures": failure.count, "timed_out": failure.timed_out}
        for failure in failures
    )
    transaction.run(_NOTE_FAILURES, rows=rows, threshold=threshold, slow_seconds=slow_seconds)


def forget_receivers(transaction: Transaction, receivers: Iterable[Receiver]) -> None:
    """Delete the record of receivers that have answered well."""
    transaction.run(_FORGET_RECEIVERS, rows=_sorted_rows(receivers))


def _sorted_rows(receivers: Iterable[Receiver]) -> str:
    # Sorted, so that two transactions lock them in the same order.
    return json_rows(receiver._asdict() for receiver in sorted(receivers))
