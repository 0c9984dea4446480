"""Replays of the event log to one consumer. Runs before the deploy.

The outbox takes a row for each replay, which like that of a redrive has no merchant. The new rule is not checked for
the rows that exist, because that would lock a big table for as long as it takes to read it.
"""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

REPLAYS = """
CREATE TABLE replays (
    id              uuid PRIMARY KEY,
    consumer        text NOT NULL CHECK (length(consumer) BETWEEN 1 AND 255),
    -- Types and families to replay; all that the consumer takes if empty.
    types           text[] NOT NULL,
    -- Facts whose time is at or after the first and before the second.
    begin_at        timestamptz NOT NULL,
    end_at          timestamptz NOT NULL,
    rate_per_second double precision NOT NULL
        CHECK (rate_per_second > 0 AND rate_per_second < 'Infinity'::double precision),
    is_dry_run      boolean NOT NULL,
    state           text NOT NULL
        CONSTRAINT replays_state_is_known CHECK (state IN ('running', 'paused', 'finished', 'canceled')),
    -- It begins once every transaction below this number has ended.
    horizon         xid8 NOT NULL,
    -- Ids up to this one have been read, and what was to be sent of them is confirmed.
    position        uuid NOT NULL,
    checked         bigint NOT NULL DEFAULT 0 CHECK (checked >= 0),
    events          json NOT NULL DEFAULT '{}',
    unseen          json NOT NULL DEFAULT '{}',
    created_by      text NOT NULL CHECK (length(created_by) BETWEEN 1 AND 200),
    changed_by      text CHECK (length(changed_by) BETWEEN 1 AND 200),
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    -- The row of the outbox by which the relay goes on with it.
    outbox_id       uuid CONSTRAINT replays_outbox_once UNIQUE,
    CONSTRAINT replays_have_a_range CHECK (begin_at < end_at),
    CONSTRAINT replays_finished CHECK ((state IN ('finished', 'canceled')) = (finished_at IS NOT NULL)),
    CONSTRAINT replays_running_have_a_row CHECK ((state = 'running' AND NOT is_dry_run) = (outbox_id IS NOT NULL))
);
CREATE INDEX replays_open ON replays (id) WHERE state IN ('running', 'paused');

CREATE FUNCTION replays_check_transition() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF OLD.state IN ('finished', 'canceled') THEN
        RAISE EXCEPTION 'replay % has ended', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'replays_ended_stay';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER replays_ended_stay BEFORE UPDATE ON replays FOR EACH ROW EXECUTE FUNCTION replays_check_transition();
"""

OUTBOX = """
ALTER TABLE outbox DROP CONSTRAINT outbox_subject_unless_redrive;
ALTER TABLE outbox ADD CONSTRAINT outbox_subject_unless_redrive CHECK (
    type IN ('command.redrive', 'command.replay')
    OR (merchant_id IS NOT NULL AND (payment_id IS NOT NULL OR subject_id IS NOT NULL))
) NOT VALID;
"""


def upgrade() -> None:
    """Add the table, and let the outbox hold the rows of replays."""
    for script in (REPLAYS, OUTBOX):
        op.get_bind().exec_driver_sql(script)
