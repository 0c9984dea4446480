"""Find published events that the live book has no journal of, and payouts that differ from their events."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.events import PAYOUT_SUBJECT
from paybridge.database.database import Statement, Transaction
from paybridge.database.wire import Row
from paybridge.outbox.comparing import comparison, events_of
from paybridge.outbox.published import PUBLISHED

# What was published before there were books is posted by a rebuild alone. `NOT IN` is hashed whatever the planner
# expects, and an anti-join may not be.
_UNPOSTED = Statement(f"""
    SELECT o.id, o.body FROM outbox o
    WHERE {PUBLISHED}
      AND o.published_at >= (SELECT posting_since FROM ledger.books WHERE state = 'live')
      AND o.id NOT IN (
          SELECT j.event_id FROM ledger.journals j
          WHERE j.book = (SELECT id FROM ledger.books WHERE state = 'live')
            AND j.event_id > :after::uuid AND j.event_id <= :last::uuid)
    ORDER BY o.id
""")

_NEXT_PAYOUTS = Statement("""
    SELECT count(*), (array_agg(id ORDER BY id DESC))[1] FROM (
        SELECT p.id FROM ledger.payouts p WHERE p.id > :after::uuid AND p.id < :end::uuid
        ORDER BY p.id LIMIT :limit::integer
    ) AS next
""")
_PAYOUTS = comparison(
    """SELECT id, merchant_id, status, last_sequence, false AS is_older FROM ledger.payouts
       WHERE id > :after::uuid AND id <= :last::uuid""",
    events_of(
        PAYOUT_SUBJECT,
        "subject_id",
        f"""payment_id IS NULL AND subject_id > :after::uuid AND subject_id <= :last::uuid
            AND subject_type = '{PAYOUT_SUBJECT}'""",
    ),
    """t.last_type IS NOT DISTINCT FROM
       CASE c.status WHEN 'pending' THEN 'payout.created' ELSE 'payout.' || c.status END""",
)


def find_unposted(
    transaction: Transaction, ids: tuple[UUID, UUID], grace_seconds: float, taken: str
) -> list[tuple[UUID, str]]:
    """Return id and body of the events above and up to `ids` without a journal, whether a rule asks for one or not.

    `taken` is the expression of the types that the queue gets.
    """
    rows = transaction.run(_UNPOSTED, after=ids[0], last=ids[1], grace_seconds=grace_seconds, taken=taken)
    return [(row[0], row[1]) for row in rows]


def next_payouts(transaction: Transaction, after: UUID, end: UUID, limit: int) -> tuple[int, UUID | None]:
    """Return how many payouts come next below `end`, at most `limit`, and the id of the last of them."""
    ((count, last),) = transaction.run(_NEXT_PAYOUTS, after=after, end=end, limit=limit)
    return count, last


def compare_payouts(transaction: Transaction, after: UUID, last: UUID) -> list[Row]:
    """Return the payouts of the range that differ from their events, as `Compared`."""
    return transaction.run(_PAYOUTS, after=after, last=last)
