"""Webhook endpoints of merchants. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ENDPOINTS = """
CREATE TABLE webhook_endpoints (
    id               uuid PRIMARY KEY,
    merchant_id      uuid NOT NULL REFERENCES merchants (id),
    url              text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    events           text[] NOT NULL,
    description      text CHECK (length(description) BETWEEN 1 AND 500),
    -- [{"secret", "valid_until"}], newest first. The first one has no end.
    secrets          json NOT NULL,
    status           text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    disabled_at      timestamptz,
    disabled_reason  text CHECK (disabled_reason IN ('failing', 'gone', 'merchant')),
    -- The first failure since the last success, and since when failures count towards disabling.
    first_failure_at timestamptz,
    failing_since    timestamptz,
    warned_percent   smallint NOT NULL DEFAULT 0 CHECK (warned_percent BETWEEN 0 AND 100),
    last_sequence    integer NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    deleted_at       timestamptz,
    CONSTRAINT webhook_endpoints_choose_events CHECK (cardinality(events) BETWEEN 1 AND 20),
    CONSTRAINT webhook_endpoints_have_few_secrets CHECK (
        deleted_at IS NOT NULL OR json_array_length(secrets) BETWEEN 1 AND 5),
    CONSTRAINT webhook_endpoints_disabled_say_why CHECK (
        (status = 'disabled') = (disabled_at IS NOT NULL) AND (disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT webhook_endpoints_fail_in_order CHECK (failing_since IS NULL OR failing_since >= first_failure_at)
);
CREATE INDEX webhook_endpoints_by_merchant ON webhook_endpoints (merchant_id, id) WHERE deleted_at IS NULL;
-- Whether an endpoint wants the events of payments that are on their way, which no other webhook tells.
ALTER TABLE merchants ADD COLUMN follows_progress boolean NOT NULL DEFAULT false;
"""

DELIVERIES = """
ALTER TABLE webhook_deliveries
    ADD COLUMN endpoint_id uuid,
    -- Attempts that were made before the present schedule began, by a redelivery.
    ADD COLUMN schedule_offset smallint NOT NULL DEFAULT 0;
ALTER TABLE webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_schedule_within_attempts CHECK (
        schedule_offset BETWEEN 0 AND attempts) NOT VALID;
-- An event of an endpoint is about no payment. The delivery of a deleted or deselected endpoint is canceled.
ALTER TABLE webhook_deliveries
    ALTER COLUMN payment_id DROP NOT NULL,
    DROP CONSTRAINT webhook_deliveries_status_check,
    ADD CONSTRAINT webhook_deliveries_status_is_known CHECK (
        status IN ('pending', 'delivered', 'failed', 'gone', 'canceled')) NOT VALID,
    ADD CONSTRAINT webhook_deliveries_have_a_subject CHECK (
        payment_id IS NOT NULL OR endpoint_id IS NOT NULL) NOT VALID;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id) WHERE endpoint_id IS NOT NULL;
"""

RECOVERIES = """
CREATE TABLE webhook_recoveries (
    id           uuid PRIMARY KEY,
    endpoint_id  uuid NOT NULL REFERENCES webhook_endpoints (id),
    merchant_id  uuid NOT NULL,
    since        timestamptz NOT NULL,
    -- Events of transactions below this number are searched: all that had begun when the recovery did.
    until_xid    xid8 NOT NULL,
    position_xid xid8 NOT NULL DEFAULT '0',
    position_id  uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'canceled')),
    checked      bigint NOT NULL DEFAULT 0 CHECK (checked >= 0),
    sent         bigint NOT NULL DEFAULT 0 CHECK (sent >= 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    CONSTRAINT webhook_recoveries_finished CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX webhook_recoveries_running ON webhook_recoveries (endpoint_id) WHERE state = 'running';
"""


def upgrade() -> None:
    """Create the endpoints, and let deliveries go to them and begin their schedule again."""
    for script in (ENDPOINTS, DELIVERIES, RECOVERIES):
        op.get_bind().exec_driver_sql(script)
