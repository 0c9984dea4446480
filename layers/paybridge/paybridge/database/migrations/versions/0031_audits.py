"""Nightly audits, the bridge's record of what it sent, and the events of subjects without a payment.

Runs before the deploy. The index is built while writers of the outbox wait. It can be prepared by hand.
"""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

BRIDGE = """
CREATE SCHEMA bridge;
-- One row: since when every event is recorded.
CREATE TABLE bridge.recording (
    is_on     boolean PRIMARY KEY DEFAULT true CHECK (is_on),
    began_at  timestamptz NOT NULL,
    -- The records of events with lower ids were dropped with their months.
    kept_from uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
CREATE TABLE bridge.sent_events (
    event_id uuid NOT NULL,
    sent_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);
CREATE TABLE bridge.sent_events_default PARTITION OF bridge.sent_events DEFAULT;
SELECT ensure_partitions(3);
"""

# Payouts and webhook endpoints, with the commands about what was published.
SUBJECTS = """
CREATE INDEX IF NOT EXISTS outbox_by_subject ON outbox (subject_id, sequence)
    WHERE payment_id IS NULL AND subject_id IS NOT NULL;
"""

AUDITS = """
CREATE TABLE outbox_audits (
    id            uuid PRIMARY KEY,
    -- What is audited was created at or after the first and before the second.
    begin_at      timestamptz NOT NULL,
    end_at        timestamptz NOT NULL,
    grace_seconds double precision NOT NULL CHECK (grace_seconds >= 0),
    -- Where it goes on, or where it ended early; NULL once it has gone through all of the range.
    position      text CHECK (length(position) BETWEEN 1 AND 100),
    checked       bigint NOT NULL DEFAULT 0 CHECK (checked >= 0),
    payments      bigint NOT NULL DEFAULT 0 CHECK (payments >= 0),
    others        bigint NOT NULL DEFAULT 0 CHECK (others >= 0),
    gaps          json NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    CONSTRAINT outbox_audits_have_a_range CHECK (begin_at < end_at),
    CONSTRAINT outbox_audits_running_have_a_place CHECK (finished_at IS NOT NULL OR position IS NOT NULL)
);
CREATE UNIQUE INDEX outbox_audits_one_runs ON outbox_audits ((finished_at IS NULL)) WHERE finished_at IS NULL;
"""


def upgrade() -> None:
    """Add the tables and the index."""
    for script in (BRIDGE, SUBJECTS, AUDITS):
        op.get_bind().exec_driver_sql(script)
