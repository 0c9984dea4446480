"""Find published events that the live book has no journal of."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.outbox.routes import EVENTS_EXCHANGE

# What was published before there were books is posted by a rebuild alone.
_UNPOSTED = Statement(f"""
    SELECT o.id, o.body FROM outbox o
    WHERE o.id > :after::uuid AND o.id <= :last::uuid AND o.exchange = '{EVENTS_EXCHANGE}' AND o.sequence IS NOT NULL
      AND o.type ~ :taken::text
      AND o.published_at < now() - make_interval(secs => :grace_seconds::double precision)
      AND o.published_at >= (SELECT min(created_at) FROM ledger.books)
      AND NOT EXISTS (
          SELECT FROM ledger.journals j
          WHERE j.book = (SELECT id FROM ledger.books WHERE state = 'live') AND j.event_id = o.id
            AND j.event_id > :after::uuid AND j.event_id <= :last::uuid)
    ORDER BY o.id
""")


def find_unposted(
    transaction: Transaction, ids: tuple[UUID, UUID], grace_seconds: float, taken: str
) -> list[tuple[UUID, str]]:
    """Return id and body of the events above and up to `ids` without a journal, whether a rule asks for one or not.

    `taken` is the expression of the types that the queue gets.
    """
    rows = transaction.run(_UNPOSTED, after=ids[0], last=ids[1], grace_seconds=grace_seconds, taken=taken)
    return [(row[0], row[1]) for row in rows]
