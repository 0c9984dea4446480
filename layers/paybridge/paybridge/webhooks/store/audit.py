"""Find published events that have no delivery although an endpoint or a payment's URL wanted them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT
from paybridge.database.database import Statement, Transaction
from paybridge.outbox.routes import EVENTS_EXCHANGE
from paybridge.webhooks.store.endpoints import CLOCKS_DIFFER_MAX

# An endpoint that has changed since may have wanted other events then, so it is not judged. A receiver that has
# answered 410 about a payment gets no more webhooks about it.
_UNDELIVERED = Statement(f"""
    WITH facts AS MATERIALIZED (
        SELECT o.id, o.type, o.merchant_id, o.payment_id, coalesce(o.subject_type, '{PAYMENT_SUBJECT}') AS subject_type,
               coalesce(o.subject_id, o.payment_id) AS subject_id, o.created_at
        FROM outbox o
        WHERE o.id > :after::uuid AND o.id <= :last::uuid AND o.exchange = '{EVENTS_EXCHANGE}'
          AND o.sequence IS NOT NULL AND o.type ~ :taken::text
          AND o.published_at < now() - make_interval(secs => :grace_seconds::double precision)
    ), delivered AS MATERIALIZED (
        SELECT d.event_id, d.endpoint_id FROM webhook_deliveries d
        WHERE d.id >= :first_of_moment::uuid AND d.id < :end_of_moment::uuid
    )
    SELECT f.id, f.type, f.merchant_id, f.subject_type, f.subject_id, 'endpoint ' || e.id
    FROM facts f
    JOIN webhook_endpoints e ON e.merchant_id = f.merchant_id AND e.deleted_at IS NULL AND e.status = 'enabled'
        AND greatest(e.created_at, e.updated_at)
            <= f.created_at - make_interval(secs => {CLOCKS_DIFFER_MAX.total_seconds()})
        AND e.events && ARRAY['*', f.type, split_part(f.type, '.', 1) || '.*']
    WHERE NOT EXISTS (SELECT FROM delivered d WHERE d.event_id = f.id AND d.endpoint_id = e.id)
    UNION ALL
    SELECT f.id, f.type, f.merchant_id, f.subject_type, f.subject_id, 'the webhook_url of the payment'
    FROM facts f JOIN payments p ON p.id = f.payment_id
    WHERE p.webhook_url IS NOT NULL AND f.type = ANY (:outcomes::text[])
      AND NOT EXISTS (SELECT FROM delivered d WHERE d.event_id = f.id AND d.endpoint_id IS NULL)
      AND NOT EXISTS (
          SELECT FROM webhook_deliveries gone
          WHERE gone.payment_id = f.payment_id AND gone.status = 'gone' AND gone.endpoint_id IS NULL)
    ORDER BY 1, 6
""")


def find_undelivered(
    transaction: Transaction,
    ids: tuple[UUID, UUID],
    moments: tuple[UUID, UUID],
    grace_seconds: float,
    taken: str,
    outcomes: Sequence[str],
) -> list[tuple[UUID, str, UUID, str, UUID, str]]:
    """Return event, type, merchant, subject and missing receiver of each, for the events above and up to `ids`.

    `moments` are the bounds of the ids of deliveries, `taken` is the expression of the types that the queue gets.
    """
    rows = transaction.run(
        _UNDELIVERED,
        after=ids[0],
        last=ids[1],
        first_of_moment=moments[0],
        end_of_moment=moments[1],
        grace_seconds=grace_seconds,
        taken=taken,
        outcomes="{" + ",".join(outcomes) + "}",
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]
