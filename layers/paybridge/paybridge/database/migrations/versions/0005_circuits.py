"""Circuits and paces of merchants beside the circuit of the gateway. Runs before the deploy.

Code of before goes on with the row `gateway`, which keeps its meaning.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CIRCUITS = """
ALTER TABLE circuits
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    -- The pace of a merchant's calls while the gateway limits their rate; all three or none.
    ADD COLUMN calls_per_second double precision CHECK (calls_per_second > 0),
    ADD COLUMN next_call_at timestamptz,
    ADD COLUMN pace_ends_at timestamptz,
    ADD CONSTRAINT circuits_names_a_source CHECK (name = 'gateway' OR name ~ '^merchant/[0-9a-f-]{36}(/|$)'),
    ADD CONSTRAINT circuits_pace_is_whole CHECK (num_nulls(calls_per_second, next_call_at, pace_ends_at) IN (0, 3));
-- What has not changed for a while is forgotten.
CREATE INDEX circuits_by_age ON circuits (updated_at);
"""


def upgrade() -> None:
    """Adds the columns and their rules."""
    op.get_bind().exec_driver_sql(CIRCUITS)
