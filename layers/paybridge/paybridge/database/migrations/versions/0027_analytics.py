"""The days of merchants in figures, and what they are made from. Runs before the deploy.

The tables are in a schema of their own and learn of payments and refunds from the event log alone. The index is built
while writers of webhook deliveries wait.
"""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# Keys begin with merchant, day and currency, because that is how the rows of a day are read. All three never change for
# a payment, refund or delivery. Amounts are exact decimals with the places that the events have.
PROJECTIONS = """
CREATE SCHEMA analytics;

-- How far the events of each merchant have been read.
CREATE TABLE analytics.event_cursors (
    merchant_id uuid PRIMARY KEY,
    xid         xid8 NOT NULL DEFAULT '0',
    event_id    uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    events      bigint NOT NULL DEFAULT 0 CHECK (events >= 0)
);

CREATE TABLE analytics.counted_payments (
    merchant_id uuid NOT NULL,
    day         date NOT NULL,
    currency    text NOT NULL,
    payment_id  uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    settled_at  timestamptz,
    outcome     text NOT NULL CHECK (outcome IN ('open', 'authorized', 'succeeded', 'failed', 'canceled')),
    amount      numeric NOT NULL CHECK (amount >= 0),
    captured    numeric NOT NULL CHECK (captured >= 0),
    -- Of the event that said so last.
    sequence    integer NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (merchant_id, day, currency, payment_id)
) WITH (fillfactor = 85);

CREATE TABLE analytics.counted_refunds (
    merchant_id uuid NOT NULL,
    day         date NOT NULL,
    currency    text NOT NULL,
    refund_id   uuid NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('open', 'succeeded', 'failed')),
    amount      numeric NOT NULL CHECK (amount >= 0),
    sequence    integer NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (merchant_id, day, currency, refund_id)
) WITH (fillfactor = 85);

CREATE TABLE analytics.counted_deliveries (
    merchant_id  uuid NOT NULL,
    day          date NOT NULL,
    currency     text NOT NULL,
    delivery_id  uuid NOT NULL,
    is_delivered boolean NOT NULL,
    ended_at     timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, day, currency, delivery_id)
);

-- How far the deliveries that have ended were read: one row.
CREATE TABLE analytics.delivery_cursor (
    is_only     boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    ended_at    timestamptz NOT NULL DEFAULT '-infinity',
    delivery_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
INSERT INTO analytics.delivery_cursor DEFAULT VALUES;
"""

# `seconds_spent` is how long it took to compute the group that the day was in: a busy day is computed less often.
DAYS = """
CREATE TABLE analytics.days (
    merchant_id        uuid NOT NULL,
    day                date NOT NULL,
    currency           text NOT NULL,
    payments           bigint NOT NULL,
    unsettled          bigint NOT NULL,
    authorized         bigint NOT NULL,
    succeeded          bigint NOT NULL,
    failed             bigint NOT NULL,
    canceled           bigint NOT NULL,
    amount             numeric NOT NULL,
    captured           numeric NOT NULL,
    settled            bigint NOT NULL,
    settling_us        numeric NOT NULL,
    settling_p50_us    bigint,
    settling_p95_us    bigint,
    refunds            bigint NOT NULL,
    refunds_open       bigint NOT NULL,
    refunds_failed     bigint NOT NULL,
    refunded           numeric NOT NULL,
    webhooks_delivered bigint NOT NULL,
    webhooks_failed    bigint NOT NULL,
    computed_at        timestamptz NOT NULL,
    seconds_spent      double precision NOT NULL,
    PRIMARY KEY (merchant_id, day, currency),
    CONSTRAINT days_count_every_payment_once CHECK (payments = unsettled + authorized + succeeded + failed + canceled)
);
CREATE INDEX days_by_day ON analytics.days (day, merchant_id);

-- Days whose figures no longer agree with what they are made from.
CREATE TABLE analytics.dirty_days (
    merchant_id uuid NOT NULL,
    day         date NOT NULL,
    currency    text NOT NULL,
    marked_at   timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, day, currency)
);
"""

# Of a month that has left the database only its days are kept, and what still comes about it is counted apart.
CLOSED = """
CREATE TABLE analytics.closed_months (
    month      date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    closed_at  timestamptz NOT NULL,
    -- When the last row of a payment, refund or delivery was deleted.
    emptied_at timestamptz
);

CREATE TABLE analytics.late_facts (
    merchant_id uuid NOT NULL,
    day         date NOT NULL,
    currency    text NOT NULL,
    facts       bigint NOT NULL CHECK (facts > 0),
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, day, currency)
);
"""

DELIVERIES = """
-- What has ended, in that order. Only a statement that has this very condition reads the index: a batch that asks for
-- deliveries by their ids and for their end would else have the planner read all that have ended.
CREATE INDEX IF NOT EXISTS webhook_deliveries_ended ON webhook_deliveries ((greatest(finished_at, created_at)), id)
    WHERE (finished_at IS NULL) IS NOT TRUE;
"""


def upgrade() -> None:
    """Create the schema `analytics`, and index the webhook deliveries that have ended."""
    for script in (PROJECTIONS, DAYS, CLOSED, DELIVERIES):
        op.get_bind().exec_driver_sql(script)
