"""Audit the rows of the outbox: was everything published that has to be?"""

from __future__ import annotations

from uuid import UUID

from paybridge.core.gaps import Gap, GapKind, IdRange
from paybridge.database.database import Statement, Transaction

_NEXT_ROWS = Statement("""
    SELECT count(*), (array_agg(id ORDER BY id DESC))[1] FROM (
        SELECT o.id FROM outbox o WHERE o.id > :after::uuid AND o.id < :end::uuid ORDER BY o.id LIMIT :limit::integer
    ) AS next
""")

# A row that the broker has refused is due again only after a while, so its age counts.
_UNPUBLISHED = Statement("""
    SELECT o.id, o.type, o.merchant_id, coalesce(o.subject_type, 'payment'),
           coalesce(o.subject_id, o.payment_id, o.id), o.attempts, o.last_error
    FROM outbox o
    WHERE o.id > :after::uuid AND o.id <= :last::uuid AND o.published_at IS NULL AND o.exchange IS NOT NULL
      AND CASE WHEN o.attempts > 0 THEN o.created_at ELSE o.available_at END
          < now() - make_interval(secs => :grace_seconds::double precision)
    ORDER BY o.id
""")

# The months that follow one another without a hole, up to the newest: a month that was restored may lie apart.
_KEPT_FROM = Statement("""
    WITH bounds AS (
        SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)') AS ids
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'outbox'::regclass
    ), months AS (
        SELECT ids[1]::uuid AS first, ids[2]::uuid AS after FROM bounds WHERE ids IS NOT NULL
    ), following AS (
        SELECT first, lag(first) OVER (ORDER BY first DESC) <> after AS is_apart FROM months
    ), counted AS (
        SELECT first, count(*) FILTER (WHERE is_apart) OVER (ORDER BY first DESC) AS holes FROM following
    )
    SELECT first FROM counted WHERE holes = 0 ORDER BY first LIMIT 1
""")

_WIDEN = Statement("SELECT set_config('work_mem', '64MB', true)")


def widen_memory(transaction: Transaction) -> None:
    """Let the statements of this transaction sort and join a slice in memory."""
    transaction.run(_WIDEN)


def next_rows(transaction: Transaction, after: UUID, end: UUID, limit: int) -> tuple[int, UUID | None]:
    """Return how many rows come next below `end`, at most `limit`, and the id of the last of them."""
    ((count, last),) = transaction.run(_NEXT_ROWS, after=after, end=end, limit=limit)
    return count, last


def find_kept_from(transaction: Transaction) -> UUID:
    """Return the lowest id of the months that are kept. Events of earlier months may be archived."""
    rows = transaction.run(_KEPT_FROM)
    return rows[0][0] if rows else UUID(int=0)


def find_unpublished(transaction: Transaction, ids: IdRange, grace_seconds: float) -> list[Gap]:
    """Return the rows that have been due for longer than the grace, and that the broker does not have."""
    rows = transaction.run(_UNPUBLISHED, after=ids.after, last=ids.last, grace_seconds=grace_seconds)
    return [
        Gap(
            kind=GapKind.REFUSED if attempts else GapKind.NOT_PUBLISHED,
            subject_type=subject_type,
            subject_id=subject_id,
            event_id=id_,
            event_type=type_,
            merchant_id=merchant_id,
            detail=f"refused {attempts} times, last because: {error}" if attempts else "due and not published",
        )
        for id_, type_, merchant_id, subject_type, subject_id, attempts, error in rows
    ]
