"""Begin partitions at UTC months in every session, and create each under short locks. Runs before the deploy.

The functions of 0001 take the months' ends in the time zone of the session. An operator who calls them in another zone
would get partitions that overlap or leave hours out. They also create all partitions in one transaction, and wait for
the lock of each while they hold those before it. Old code goes on calling `ensure_partitions`.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PARTITIONS = """
CREATE OR REPLACE FUNCTION ensure_partition(parent text, month timestamptz) RETURNS void LANGUAGE plpgsql
SET timezone TO 'UTC' SET search_path TO 'public', 'pg_temp' AS $body$
DECLARE
    first_moment timestamptz := date_trunc('month', month);
    partition text := parent || '_' || to_char(first_moment, 'YYYY_MM');
    key text := (SELECT attname FROM pg_partitioned_table JOIN pg_attribute
                     ON attrelid = partrelid AND attnum = partattrs[0] WHERE partrelid = parent::regclass);
    first_id uuid := uuid7_floor(first_moment);
    end_id uuid := uuid7_floor(first_moment + interval '1 month');
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                     WHERE attrelid = parent::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
BEGIN
    -- The lock that a long report may hold comes first: without it nothing else has to wait for us.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    -- Another session may have created it while this one waited.
    IF to_regclass(quote_ident(partition)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)',
        partition, parent);
    -- A month that is made late finds its rows in the default partition, and PostgreSQL attaches no partition whose
    -- rows are there.
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= $1 AND %I < $2 RETURNING %s)
        INSERT INTO %I (%s) SELECT * FROM moved', parent || '_default', key, key, columns, partition, columns)
        USING first_id, end_id;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, partition, first_id, end_id);
    -- Rows leave outbox_due all day: vacuum by rows changed, not by a share of all rows ever kept.
    IF parent = 'outbox' THEN
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.0,
            autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)', partition);
    END IF;
END
$body$;

ALTER FUNCTION ensure_partitions(integer) SET timezone TO 'UTC';
ALTER FUNCTION ensure_partitions(integer) SET search_path TO 'public', 'pg_temp';
"""


def upgrade() -> None:
    """Replaces the functions."""
    op.get_bind().exec_driver_sql(PARTITIONS)
