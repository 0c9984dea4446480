"""Endpoints whose waiting deliveries go on. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

RESUMPTIONS = """
-- One row for each endpoint that was enabled while deliveries waited for it, until all of them have gone on.
CREATE TABLE webhook_resumptions (
    endpoint_id uuid PRIMARY KEY REFERENCES webhook_endpoints (id),
    started_at  timestamptz NOT NULL,
    -- Deliveries up to this one are scheduled, and the last of them for about this time.
    position_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    paced_until timestamptz NOT NULL DEFAULT now(),
    resumed     bigint NOT NULL DEFAULT 0 CHECK (resumed >= 0)
);
"""


def upgrade() -> None:
    """Create the table of resumptions."""
    op.get_bind().exec_driver_sql(RESUMPTIONS)
