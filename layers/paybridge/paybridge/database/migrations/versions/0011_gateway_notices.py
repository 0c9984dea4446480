"""Notices of gateways, stored before they are worked on. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NOTICES = """
-- What a notice says and what it led to. Its body is not kept: it may name a cardholder.
CREATE TABLE gateway_notices (
    gateway      text NOT NULL CHECK (gateway ~ '^[a-z][a-z0-9_]{0,31}$'),
    -- The gateway's own id, the same when it sends the notice again.
    id           text NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
    type         text NOT NULL CHECK (length(type) BETWEEN 1 AND 100),
    claim        text NOT NULL CONSTRAINT gateway_notices_claim_is_known CHECK (claim IN ('done', 'failed', 'other')),
    -- NULL for a notice about something that is none of ours.
    operation_id uuid,
    outcome      text NOT NULL DEFAULT 'waiting' CONSTRAINT gateway_notices_outcome_is_known CHECK (
        outcome IN ('waiting', 'asked', 'known', 'unknown')),
    received_at  timestamptz NOT NULL,
    -- When to work on it next; NULL once that is done.
    work_at      timestamptz,
    PRIMARY KEY (gateway, id),
    CONSTRAINT gateway_notices_waiting_is_due CHECK ((outcome = 'waiting') = (work_at IS NOT NULL))
);
CREATE INDEX gateway_notices_waiting ON gateway_notices (work_at) WHERE work_at IS NOT NULL;
-- What the job deletes once no gateway sends it again.
CREATE INDEX gateway_notices_by_time ON gateway_notices (received_at);
"""


def upgrade() -> None:
    """Add the table."""
    op.get_bind().exec_driver_sql(NOTICES)
