"""Find events without a delivery that an endpoint or a payment's URL wanted, and endpoints without their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paybridge.core.events import (
    DELIVER_WEBHOOK,
    PAYMENT_CREATED,
    PAYMENT_SUBJECT,
    WEBHOOK_ENDPOINT_DISABLED,
    WEBHOOK_ENDPOINT_SUBJECT,
)
from paybridge.database.database import Statement, Transaction
from paybridge.database.wire import Row
from paybridge.outbox.comparing import comparison, events_of
from paybridge.outbox.published import AUDITED, PUBLISHED
from paybridge.webhooks.store.endpoints import CLOCKS_DIFFER_MAX

# An endpoint that has changed since may have wanted other events then, so it is not judged.
_CHOSEN = f"""
    JOIN webhook_endpoints e ON e.merchant_id = f.merchant_id AND e.deleted_at IS NULL AND e.status = 'enabled'
        AND greatest(e.created_at, e.updated_at)
            <= f.created_at - make_interval(secs => {CLOCKS_DIFFER_MAX.total_seconds()})
        AND e.events && ARRAY['*', f.type, split_part(f.type, '.', 1) || '.*']
"""
_DELIVERED = """
    SELECT d.event_id, d.endpoint_id FROM webhook_deliveries d
    WHERE d.id >= :first_of_moment::uuid AND d.id < :end_of_moment::uuid
"""
# A receiver that has answered 410 about a payment gets no more webhooks about it. `NOT IN` is hashed whatever the
# planner expects, and an anti-join may not be.
_UNDELIVERED = Statement(f"""
    WITH facts AS MATERIALIZED (
        SELECT {AUDITED}, o.payment_id, o.created_at FROM outbox o WHERE {PUBLISHED}
    ), delivered AS MATERIALIZED ({_DELIVERED})
    SELECT f.id, f.type, f.merchant_id, f.subject_type, f.subject_id, 'endpoint ' || e.id
    FROM facts f {_CHOSEN}
    WHERE (f.id, e.id) NOT IN (SELECT event_id, endpoint_id FROM delivered WHERE endpoint_id IS NOT NULL)
    UNION ALL
    SELECT f.id, f.type, f.merchant_id, f.subject_type, f.subject_id, 'the webhook_url of the payment'
    FROM (
        SELECT * FROM facts
        WHERE type = ANY (:outcomes::text[])
          AND id NOT IN (SELECT event_id FROM delivered WHERE endpoint_id IS NULL)
    ) AS f JOIN payments p ON p.id = f.payment_id
    WHERE p.webhook_url IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM webhook_deliveries gone
          WHERE gone.payment_id = f.payment_id AND gone.status = 'gone' AND gone.endpoint_id IS NULL)
    ORDER BY 1, 6
""")

# An event of a payment on its way goes out by a command that names it, and that of `payment.created` once the payment
# has left `pending`. While such a command waits, nothing is lost.
_UNDELIVERED_STEPS = Statement(f"""
    WITH facts AS MATERIALIZED (
        SELECT o.id, o.type, o.merchant_id, o.payment_id, o.created_at
        FROM outbox o
        WHERE o.id > :after::uuid AND o.id <= :last::uuid AND o.type = ANY (:steps::text[]) AND o.sequence IS NOT NULL
          AND o.created_at < now() - make_interval(secs => :grace_seconds::double precision)
          AND o.merchant_id IN (SELECT id FROM merchants WHERE follows_progress)
    ), delivered AS MATERIALIZED ({_DELIVERED})
    SELECT f.id, f.type, f.merchant_id, '{PAYMENT_SUBJECT}', f.payment_id, 'endpoint ' || e.id,
           coalesce(to_json(command.ids), '[]')
    FROM facts f {_CHOSEN}
    CROSS JOIN LATERAL (
        SELECT array_agg(c.id) AS ids,
               bool_or(c.published_at IS NULL
                       OR c.published_at >= now() - make_interval(secs => :grace_seconds::double precision)) AS waits
        FROM outbox c
        WHERE c.payment_id = f.payment_id AND c.type = '{DELIVER_WEBHOOK}' AND position(f.id::text IN c.body) > 0
    ) AS command
    WHERE (f.id, e.id) NOT IN (SELECT event_id, endpoint_id FROM delivered WHERE endpoint_id IS NOT NULL)
      AND command.waits IS NOT TRUE
      AND (f.type <> '{PAYMENT_CREATED}' OR EXISTS (
          SELECT FROM outbox n
          WHERE n.payment_id = f.payment_id AND n.sequence > 1 AND n.type LIKE '{PAYMENT_SUBJECT}.%'
            AND n.created_at < now() - make_interval(secs => :grace_seconds::double precision)))
    ORDER BY 1, 6
""")

# All of them, because their ids do not say when they have changed, and they are few.
_NEXT_ENDPOINTS = Statement("""
    SELECT count(*), (array_agg(id ORDER BY id DESC))[1] FROM (
        SELECT e.id FROM webhook_endpoints e WHERE e.id > :after::uuid AND e.id < :end::uuid
        ORDER BY e.id LIMIT :limit::integer
    ) AS next
""")
# The events of an endpoint that is older than the log may be archived.
_ENDPOINTS = comparison(
    """SELECT id, merchant_id, status, last_sequence, greatest(created_at, updated_at) AS changed_at,
              id < :kept_from::uuid AS is_older
       FROM webhook_endpoints WHERE id > :after::uuid AND id <= :last::uuid""",
    events_of(
        WEBHOOK_ENDPOINT_SUBJECT,
        "subject_id",
        f"""payment_id IS NULL AND subject_id > :after::uuid AND subject_id <= :last::uuid
            AND subject_type = '{WEBHOOK_ENDPOINT_SUBJECT}'""",
    ),
    f"(t.last_type = '{WEBHOOK_ENDPOINT_DISABLED}') = (c.status = 'disabled')",
    "greatest(c.changed_at, t.newest_at) >= :begin_at::timestamptz",
)


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


def find_undelivered_steps(
    transaction: Transaction,
    ids: tuple[UUID, UUID],
    moments: tuple[UUID, UUID],
    grace_seconds: float,
    steps: Sequence[str],
) -> list[tuple[UUID, str, UUID, str, UUID, str, tuple[UUID, ...]]]:
    """Return the same of the events of these types, and with each the commands that named it."""
    rows = transaction.run(
        _UNDELIVERED_STEPS,
        after=ids[0],
        last=ids[1],
        first_of_moment=moments[0],
        end_of_moment=moments[1],
        grace_seconds=grace_seconds,
        steps="{" + ",".join(steps) + "}",
    )
    return [(*row[:6], tuple(map(UUID, row[6]))) for row in rows]


def next_endpoints(transaction: Transaction, after: UUID, end: UUID, limit: int) -> tuple[int, UUID | None]:
    """Return how many endpoints come next below `end`, at most `limit`, and the id of the last of them."""
    ((count, last),) = transaction.run(_NEXT_ENDPOINTS, after=after, end=end, limit=limit)
    return count, last


def compare_endpoints(
    transaction: Transaction, after: UUID, last: UUID, begin_at: datetime, kept_from: UUID
) -> list[Row]:
    """Return the endpoints that have changed since `begin_at` and differ from their events, as `Compared`.

    Events with ids below `kept_from` may be archived.
    """
    return transaction.run(_ENDPOINTS, after=after, last=last, begin_at=begin_at, kept_from=kept_from)
