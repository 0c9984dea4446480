"""Find published events that a contact chose and that have no notification."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT
from paybridge.database.database import Statement, Transaction
from paybridge.outbox.routes import EVENTS_EXCHANGE

# A merchant that has changed since may have chosen otherwise then, so it is not judged.
_UNTOLD = Statement(f"""
    WITH sent AS MATERIALIZED (
        SELECT n.event_id, n.channel FROM notifications n
        WHERE n.id >= :first_of_moment::uuid AND n.id < :end_of_moment::uuid
    )
    SELECT o.id, o.type, o.merchant_id, coalesce(o.subject_type, '{PAYMENT_SUBJECT}'),
           coalesce(o.subject_id, o.payment_id), 'by ' || wanted.channel
    FROM outbox o
    JOIN merchants m ON m.id = o.merchant_id
        AND coalesce(m.updated_at, m.created_at) <= o.created_at - interval '1 minute'
        AND m.notify && ARRAY['*', o.type, split_part(o.type, '.', 1) || '.*']
    CROSS JOIN unnest(:channels::text[]) AS wanted (channel)
    WHERE o.id > :after::uuid AND o.id <= :last::uuid AND o.exchange = '{EVENTS_EXCHANGE}' AND o.sequence IS NOT NULL
      AND o.type = ANY (:told::text[]) AND o.type ~ :taken::text
      AND o.published_at < now() - make_interval(secs => :grace_seconds::double precision)
      AND CASE wanted.channel WHEN 'email' THEN m.email ELSE m.phone END IS NOT NULL
      AND NOT EXISTS (SELECT FROM sent s WHERE s.event_id = o.id AND s.channel = wanted.channel)
    ORDER BY 1, 6
""")


def find_untold(
    transaction: Transaction,
    ids: tuple[UUID, UUID],
    moments: tuple[UUID, UUID],
    grace_seconds: float,
    taken: str,
    *,
    told: Sequence[str],
    channels: Sequence[str],
) -> list[tuple[UUID, str, UUID, str, UUID, str]]:
    """Return event, type, merchant, subject and missing channel of each, for the events above and up to `ids`.

    `moments` are the bounds of the ids of notifications, `taken` is the expression of the types that the queue gets.
    """
    rows = transaction.run(
        _UNTOLD,
        after=ids[0],
        last=ids[1],
        first_of_moment=moments[0],
        end_of_moment=moments[1],
        grace_seconds=grace_seconds,
        taken=taken,
        told="{" + ",".join(told) + "}",
        channels="{" + ",".join(channels) + "}",
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]
