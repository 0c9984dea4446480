"""Close months that have left the database: delete what their figures were made from, and keep the figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows

_MONTH_DAYS = "day >= :month::date AND day < (:month::date + interval '1 month')::date"

# A worker that holds a cursor may still change a day of the month, so closing takes every cursor.
_LOCK_CURSORS = (
    Statement("SELECT FROM analytics.event_cursors ORDER BY merchant_id FOR UPDATE"),
    Statement("SELECT FROM analytics.delivery_cursor WHERE is_only FOR UPDATE"),
)
_FIND_OPEN = Statement("""
    SELECT gone.month FROM json_to_recordset(:months::json) AS gone (month date)
    WHERE NOT EXISTS (SELECT FROM analytics.closed_months c WHERE c.month = gone.month) ORDER BY gone.month
""")
_CLOSE = Statement(f"""
    INSERT INTO analytics.closed_months (month, closed_at)
    SELECT :month::date, now() WHERE NOT EXISTS (SELECT FROM analytics.dirty_days WHERE {_MONTH_DAYS})
    ON CONFLICT (month) DO NOTHING
    RETURNING month
""")
_FIND_FULL = Statement("SELECT month FROM analytics.closed_months WHERE emptied_at IS NULL ORDER BY month")
_EMPTIED = Statement("UPDATE analytics.closed_months SET emptied_at = now() WHERE month = :month::date")
# A day without figures has no rows: all have been computed. The rows are deleted where they lie, because nothing moves
# them any more.
_DELETE = [
    Statement(f"""
        WITH deleted AS (
            DELETE FROM analytics.{table} WHERE ctid = ANY (ARRAY(
                SELECT one.ctid FROM (SELECT merchant_id, day, currency FROM analytics.days WHERE {_MONTH_DAYS}) AS d
                JOIN analytics.{table} one
                  ON one.merchant_id = d.merchant_id AND one.day = d.day AND one.currency = d.currency
                LIMIT :limit::integer))
            RETURNING 1
        )
        SELECT count(*) FROM deleted
    """)
    for table in ("counted_payments", "counted_refunds", "counted_deliveries")
]


def find_open(database: Database, months: Sequence[date]) -> list[date]:
    """Return those of the months that are not closed, oldest first."""
    return [month for (month,) in database.run(_FIND_OPEN, months=json_rows({"month": each} for each in months))]


def close(transaction: Transaction, month: date) -> bool:
    """Close the month unless one of its days is waiting to be computed. Return whether it is closed.

    Raises LockTimeout while another worker reads.
    """
    for statement in _LOCK_CURSORS:
        transaction.run(statement)
    return bool(transaction.run(_CLOSE, month=month))


def find_full(database: Database) -> list[date]:
    """Return the closed months that still have rows, oldest first."""
    return [month for (month,) in database.run(_FIND_FULL)]


def delete_some(database: Database, month: date, limit: int) -> int:
    """Delete rows of a closed month, at most `limit` of each table, and return how many."""
    return sum(database.run(statement, month=month, limit=limit)[0][0] for statement in _DELETE)


def note_emptied(database: Database, month: date) -> None:
    """Note that the month has no rows any more."""
    database.run(_EMPTIED, month=month)
