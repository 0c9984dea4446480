"""The archive of old months: what was exported, where it is, and whose payments it holds. Runs before the deploy.

A month is frozen before it is read: a trigger on its partitions refuses every change, so what was verified stays what
is in the database. The same trigger keeps a restored month read-only.
"""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

ARCHIVES = """
CREATE TABLE archive_months (
    month          date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    -- waiting: it has open work, which `reason` names. It is looked at again a day after `checked_at`.
    state          text NOT NULL CONSTRAINT archive_months_state_is_known CHECK (
        state IN ('waiting', 'archiving', 'archived', 'restoring', 'restored')),
    reason         text,
    checked_at     timestamptz NOT NULL,
    restored_until timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT archive_months_waiting_say_why CHECK ((state = 'waiting') = (reason IS NOT NULL)),
    -- A month that was restored and whose rows change again waits, and is kept as long as its order says.
    CONSTRAINT archive_months_restored_have_an_end CHECK (
        state = 'waiting' OR (state IN ('restoring', 'restored')) = (restored_until IS NOT NULL))
);

-- One row for each table of a month that has left waiting.
CREATE TABLE archives (
    month          date NOT NULL REFERENCES archive_months (month),
    table_name     text NOT NULL,
    state          text NOT NULL CONSTRAINT archives_state_is_known CHECK (
        state IN ('exporting', 'verified', 'detached', 'dropped', 'loading', 'restored')),
    -- Detached in this order: a table before the one that its foreign keys lead to.
    position       smallint NOT NULL,
    bucket         text NOT NULL,
    prefix         text NOT NULL,
    schema_version text NOT NULL,
    -- [[name, type], …] of the columns, and the columns of the primary key.
    columns        json NOT NULL,
    key_columns    json NOT NULL,
    -- The primary key of the row that was exported last.
    cursor         json,
    row_count      bigint NOT NULL DEFAULT 0 CHECK (row_count >= 0),
    byte_count     bigint NOT NULL DEFAULT 0 CHECK (byte_count >= 0),
    file_count     integer NOT NULL DEFAULT 0 CHECK (file_count >= 0),
    -- Files whose rows were counted before the detachment, that were verified before the drop, or loaded by a restore.
    files_done     integer NOT NULL DEFAULT 0 CHECK (files_done >= 0),
    manifest_hash  text CHECK (manifest_hash ~ '^[0-9a-f]{64}$'),
    started_at     timestamptz NOT NULL,
    verified_at    timestamptz,
    detached_at    timestamptz,
    dropped_at     timestamptz,
    restored_at    timestamptz,
    PRIMARY KEY (month, table_name),
    CONSTRAINT archives_verified_have_a_manifest CHECK ((state = 'exporting') = (manifest_hash IS NULL)),
    CONSTRAINT archives_gone_were_detached CHECK (state NOT IN ('detached', 'dropped') OR detached_at IS NOT NULL)
);

CREATE TABLE archive_files (
    month      date NOT NULL,
    table_name text NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    name       text NOT NULL,
    row_count  integer NOT NULL CHECK (row_count > 0),
    byte_count bigint NOT NULL CHECK (byte_count > 0),
    -- SHA-256 of the file, and of its primary keys in their order, a line each.
    file_hash  text NOT NULL CHECK (file_hash ~ '^[0-9a-f]{64}$'),
    keys_hash  text NOT NULL CHECK (keys_hash ~ '^[0-9a-f]{64}$'),
    first_key  json NOT NULL,
    last_key   json NOT NULL,
    PRIMARY KEY (month, table_name, number),
    FOREIGN KEY (month, table_name) REFERENCES archives (month, table_name)
);

-- Whose payments and refunds are archived: up to 500 ids of one merchant a row, 16 bytes each, where a row for each
-- would take 90.
CREATE TABLE archived_owners (
    kind        text NOT NULL CHECK (kind IN ('payment', 'refund')),
    merchant_id uuid NOT NULL,
    first_id    uuid NOT NULL,
    last_id     uuid NOT NULL,
    month       date NOT NULL,
    ids         uuid[] NOT NULL,
    PRIMARY KEY (kind, merchant_id, first_id)
);
CREATE INDEX archived_owners_by_month ON archived_owners (kind, month, first_id);
"""

# The function tells other features, which do not read these tables, why they find no row.
NOTICES = """
CREATE FUNCTION archived_month_of(id uuid) RETURNS date LANGUAGE sql STABLE AS $body$
    SELECT month FROM archive_months
    WHERE state <> 'waiting' AND id >= uuid7_floor(month::timestamp AT TIME ZONE 'UTC')
      AND id < uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC')
$body$;

-- archived: what it names belongs to a month that has left, and it is looked at again at `work_at`.
ALTER TABLE gateway_notices
    DROP CONSTRAINT gateway_notices_outcome_is_known,
    ADD CONSTRAINT gateway_notices_outcome_is_known CHECK (
        outcome IN ('waiting', 'archived', 'asked', 'known', 'unknown')),
    DROP CONSTRAINT gateway_notices_waiting_is_due,
    ADD CONSTRAINT gateway_notices_waiting_is_due CHECK ((outcome IN ('waiting', 'archived')) = (work_at IS NOT NULL));
"""

FREEZE = """
CREATE FUNCTION archived_month_is_read_only() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '% belongs to a month that is archived or restored', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = 'archived_month_is_read_only', TABLE = TG_TABLE_NAME;
END
$body$;
"""


def upgrade() -> None:
    """Create the archive's tables, the functions that look it up and reject changes, and the state of notices."""
    for script in (ARCHIVES, NOTICES, FREEZE):
        op.get_bind().exec_driver_sql(script)
