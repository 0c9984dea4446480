"""The months of which the bridge has recorded what it sent."""

from __future__ import annotations

from datetime import date

from paybridge.database.database import Database, Statement, Transaction

_MONTHS = Statement("""
    SELECT to_date(right(child.relname, 7), 'YYYY_MM') FROM pg_inherits i
    JOIN pg_class child ON child.oid = i.inhrelid
    WHERE i.inhparent = 'bridge.sent_events'::regclass AND child.relname ~ '_[0-9]{4}_[0-9]{2}$'
    ORDER BY 1
""")
_KEEP_LATER = Statement("""
    UPDATE bridge.recording
    SET kept_from = greatest(kept_from, uuid7_floor((:month::date + interval '1 month') AT TIME ZONE 'UTC'))
""")


def find_months(database: Database) -> list[date]:
    """Return the months that have a partition, oldest first."""
    return [month for (month,) in database.run(_MONTHS)]


def drop_month(transaction: Transaction, month: date) -> None:
    """Drop what was sent of the events of a month. They, and all older events, are not judged any more."""
    transaction.run(_KEEP_LATER, month=month)
    transaction.run(Statement(f"DROP TABLE IF EXISTS bridge.sent_events_{month:%Y_%m}"))
