"""Counters for the metrics. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COUNTERS = """
CREATE TABLE counters (
    name  text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    value bigint NOT NULL CHECK (value >= 0)
);
CREATE FUNCTION counters_only_grow() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'the counter % would fall from % to %', OLD.name, OLD.value, NEW.value
        USING ERRCODE = 'check_violation', CONSTRAINT = 'counters_only_grow';
END
$body$;
CREATE TRIGGER counters_only_grow BEFORE UPDATE ON counters FOR EACH ROW
    WHEN (NEW.value < OLD.value) EXECUTE FUNCTION counters_only_grow();

-- What transactions have counted and the jobs function has not moved into `counters` yet: a minute's worth.
CREATE TABLE counter_deltas (
    name  text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    delta bigint NOT NULL CHECK (delta > 0)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_threshold = -1);
"""


def upgrade() -> None:
    """Adds both tables."""
    op.get_bind().exec_driver_sql(COUNTERS)
