"""Find published events that a contact chose and that have no notification."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.outbox.published import AUDITED, PUBLISHED

# A merchant that has changed since may have chosen otherwise then, so it is not judged. `NOT IN` is hashed whatever the
# planner expects, and an anti-join may not be.
_UNTOLD = Statement(f"""
    WITH facts AS MATERIALIZED (
        SELECT {AUDITED}, wanted.channel
        FROM outbox o
        JOIN merchants m ON m.id = o.merchant_id
            AND coalesce(m.updated_at, m.created_at) <= o.created_at - interval '1 minute'
            AND m.notify && ARRAY['*', o.type, split_part(o.type, '.', 1) || '.*']
        CROSS JOIN unnest(:channels::text[]) AS wanted (channel)
        WHERE {PUBLISHED} AND o.type = ANY (:told::text[])
          AND CASE wanted.channel WHEN 'email' THEN m.email ELSE m.phone END IS NOT NULL
    )
    SELECT id, type, merchant_id, subject_type, subject_id, 'by ' || channel FROM facts
    WHERE (id, channel) NOT IN (
        SELECT n.event_id, n.channel FROM notifications n
        WHERE n.id >= :first_of_moment::uuid AND n.id < :end_of_moment::uuid)
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
