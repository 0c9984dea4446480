"""The months of the archive."""

from __future__ import annotations

from datetime import date, datetime

from paybridge.archive.domain import ArchivedMonth, MonthState
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row

_COLUMNS = "month, state, reason, checked_at, restored_until, created_at, updated_at"
_ALL = Statement(f"SELECT {_COLUMNS} FROM archive_months ORDER BY month DESC")
_ONE = Statement(f"SELECT {_COLUMNS} FROM archive_months WHERE month = :month::date")
_PUT = Statement("""
    INSERT INTO archive_months AS m (month, state, reason, checked_at, created_at, updated_at)
    VALUES (:month::date, :state::text, :reason::text, :now::timestamptz, :now::timestamptz, :now::timestamptz)
    ON CONFLICT (month) DO UPDATE
    SET state = excluded.state, reason = excluded.reason, checked_at = excluded.checked_at,
        updated_at = excluded.updated_at,
        restored_until = CASE WHEN excluded.state = 'waiting' THEN m.restored_until END
    WHERE m.state = 'waiting'
""")
_MOVE = Statement("""
    UPDATE archive_months
    SET state = :after::text, updated_at = :now::timestamptz,
        restored_until = CASE WHEN :after::text IN ('restoring', 'restored')
                              THEN coalesce(:until::timestamptz, restored_until) END
    WHERE month = :month::date AND state = :before::text
      -- An order may have extended it since it was read.
      AND (:before::text <> 'restored' OR restored_until <= :now::timestamptz)
    RETURNING month
""")
_THAW = Statement("""
    UPDATE archive_months
    SET state = 'waiting', reason = :reason::text, checked_at = :now::timestamptz, updated_at = :now::timestamptz
    WHERE month = :month::date AND state = :before::text
    RETURNING month
""")
_LOOK_AGAIN = Statement("UPDATE archive_months SET checked_at = 'epoch' WHERE state = 'waiting'")
_EXTEND = Statement("""
    UPDATE archive_months SET restored_until = greatest(restored_until, :until::timestamptz),
                              updated_at = :now::timestamptz
    WHERE month = :month::date AND state IN ('restoring', 'restored')
""")

_DROPPED = Statement("""
    SELECT m.month FROM archive_months m
    WHERE m.state = 'archived'
      AND NOT EXISTS (SELECT FROM archives a WHERE a.month = m.month AND a.state <> 'dropped')
    ORDER BY m.month
""")

# Readers that need months to stay hold this lock shared, and choosing a month to archive takes it exclusively. A row
# lock is not enough, because a month that has never been looked at has no row.
_SHARE_CHOICE = Statement("SELECT pg_advisory_xact_lock_shared(hashtextextended('archive_months', 0))")
_LOCK_CHOICE = Statement("SELECT pg_advisory_xact_lock(hashtextextended('archive_months', 0))")

# Locked, so that none of these months moves before the replay is there for the archive to see.
_OVERLAPPING = Statement("""
    SELECT month, state FROM archive_months
    WHERE month::timestamp AT TIME ZONE 'UTC' < :end_at::timestamptz
      AND (month + interval '1 month') AT TIME ZONE 'UTC' > :begin_at::timestamptz
    ORDER BY month FOR SHARE
""")


def all_months(database: Database) -> list[ArchivedMonth]:
    """Return every month that was looked at, newest first."""
    return [_from_row(row) for row in database.run(_ALL)]


def find(database: Database, month: date) -> ArchivedMonth | None:
    """Return the month, None if it was never looked at."""
    rows = database.run(_ONE, month=month)
    return _from_row(rows[0]) if rows else None


def find_dropped(database: Database) -> list[date]:
    """Return the archived months of which every table was dropped, oldest first."""
    return [month for (month,) in database.run(_DROPPED)]


def lock_between(transaction: Transaction, begin_at: datetime, end_at: datetime) -> list[tuple[date, MonthState]]:
    """Return the months from `begin_at` to before `end_at` that were looked at.

    They stay in their states, and no other month is chosen, until the transaction ends.
    """
    transaction.run(_SHARE_CHOICE)
    return [
        (month, MonthState(state)) for month, state in transaction.run(_OVERLAPPING, begin_at=begin_at, end_at=end_at)
    ]


def lock_choice(transaction: Transaction) -> None:
    """Wait for the transactions that rely on the months that were looked at, and let no other begin to."""
    transaction.run(_LOCK_CHOICE)


def put(database: Database | Transaction, month: date, state: MonthState, reason: str | None, now: datetime) -> None:
    """Note what a look at the month found, unless it is archived already."""
    database.run(_PUT, month=month, state=state, reason=reason, now=now)


def move(
    database: Database | Transaction,
    month: date,
    before: MonthState,
    after: MonthState,
    now: datetime,
    until: datetime | None = None,
) -> bool:
    """Bring the month from one state to another. Return False if it is in another state, or restored for longer.

    Without `until` a restored month is kept as long as it was ordered.
    """
    return bool(database.run(_MOVE, month=month, before=before, after=after, until=until, now=now))


def thaw(transaction: Transaction, month: date, before: MonthState, reason: str, now: datetime) -> bool:
    """Let the month wait from now on, as if it had not been chosen. Return False if it is in another state."""
    return bool(transaction.run(_THAW, month=month, before=before, reason=reason, now=now))


def look_again(database: Database) -> None:
    """Have every month that waits looked at by the next run."""
    database.run(_LOOK_AGAIN)


def extend(database: Database, month: date, until: datetime, now: datetime) -> None:
    """Keep a restored month for longer."""
    database.run(_EXTEND, month=month, until=until, now=now)


def _from_row(row: Row) -> ArchivedMonth:
    month, state, *rest = row
    return ArchivedMonth(month, MonthState(state), *rest)
