"""The deliveries that have ended, in the order in which they did."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.webhooks.domain.delivery_log import EndedDelivery

# A session shows the beginning of its transaction a moment after it.
LAG_SECONDS = 5.0

# `finished_at` is written by the transaction that ends a delivery, so it is later than the beginning of that
# transaction. What ended before the oldest transaction that is still open is committed. Transactions of the functions
# have their role, whose sessions this role sees. The age is taken from the present time, which a test clock moves.
_HORIZON = Statement("""
    SELECT clock_timestamp() - make_interval(secs => :lag_seconds::double precision)
           - coalesce(max(pg_catalog.clock_timestamp() - xact_start), interval '0')
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND xact_start IS NOT NULL
""")

# The currency is that of the payment or refund that the webhook told about. The condition and the time are spelled as
# in the index.
_ENDED = Statement("""
    SELECT d.id, d.merchant_id, d.created_at, greatest(d.finished_at, d.created_at), d.status,
           CASE WHEN pg_input_is_valid(d.body, 'json') THEN d.body::json #>> '{data,currency}' END
    FROM webhook_deliveries d
    WHERE (d.finished_at IS NULL) IS NOT TRUE
      AND (greatest(d.finished_at, d.created_at), d.id) > (:after_at::timestamptz, :after_id::uuid)
      AND greatest(d.finished_at, d.created_at) < :before::timestamptz
    ORDER BY greatest(d.finished_at, d.created_at), d.id
    LIMIT :limit::integer
""")


def horizon(database: Database) -> datetime:
    """Return a time before which no further delivery will have ended. Ask for it before `ended_between`.

    Ask with the rights of the login: another role does not see when transactions have begun.
    """
    found: datetime = database.run(_HORIZON, lag_seconds=LAG_SECONDS)[0][0]
    return found


def ended_between(
    transaction: Transaction, after: tuple[datetime | str, UUID], before: datetime, limit: int
) -> list[EndedDelivery]:
    """Return the deliveries that ended after this one and before this time, the earliest first."""
    after_at, after_id = after
    rows = transaction.run(_ENDED, after_at=after_at, after_id=after_id, before=before, limit=limit)
    return [EndedDelivery(*row) for row in rows]
