"""Begin the schedule of deliveries again that have ended."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.webhooks.domain.delivery_log import LoggedDelivery
from paybridge.webhooks.store.delivery_log import DELIVERY_COLUMNS, delivery_from_row

_COLUMNS = ", ".join(f"d.{name}" for name in DELIVERY_COLUMNS)

_LOCK = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_deliveries d WHERE d.id = :id::uuid AND d.merchant_id = :merchant_id::uuid
    FOR UPDATE
""")

# A process that died, or a delivery that ended while it was being sent, left an attempt open. Its number belongs to the
# schedule before. With `next_attempt_at` only the command continues the delivery, not a message that is redelivered.
_RESTART = Statement(f"""
    WITH wanted AS MATERIALIZED (
        SELECT id FROM unnest(:ids::uuid[]) AS row (id)
    ), closed AS (
        UPDATE webhook_attempts a SET status = 'failed', error = 'interrupted', finished_at = clock_timestamp()
        FROM wanted WHERE a.delivery_id = wanted.id AND a.status = 'started'
    )
    UPDATE webhook_deliveries d
    SET status = 'pending', finished_at = NULL, next_attempt_at = now(), schedule_offset = d.attempts
    FROM wanted WHERE d.id = wanted.id AND d.status <> 'pending'
    RETURNING {_COLUMNS}
""")


def lock(transaction: Transaction, merchant_id: UUID, delivery_id: UUID) -> LoggedDelivery | None:
    """Lock and return the merchant's delivery, None if there is none."""
    rows = transaction.run(_LOCK, id=delivery_id, merchant_id=merchant_id)
    return delivery_from_row(rows[0]) if rows else None


def restart(transaction: Transaction, ids: Iterable[UUID]) -> list[LoggedDelivery]:
    """Make the ended ones among these deliveries pending and due now; return them. Lock them before.

    Attempts made so far take up no place in the schedule that begins.
    """
    return [delivery_from_row(row) for row in transaction.run(_RESTART, ids=uuid_array(ids))]
