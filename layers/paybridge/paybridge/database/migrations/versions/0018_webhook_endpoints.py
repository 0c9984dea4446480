"""Webhook endpoints of merchants. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

DELIVERIES = """
ALTER TABLE webhook_deliveries
    ADD COLUMN endpoint_id uuid,
    -- Attempts that were made before the present schedule began, by a redelivery.
    ADD COLUMN schedule_offset smallint NOT NULL DEFAULT 0;
ALTER TABLE webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_schedule_within_attempts CHECK (
        schedule_offset BETWEEN 0 AND attempts) NOT VALID;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id) WHERE endpoint_id IS NOT NULL;
"""


def upgrade() -> None:
    """Let deliveries begin their schedule again."""
    op.get_bind().exec_driver_sql(DELIVERIES)
