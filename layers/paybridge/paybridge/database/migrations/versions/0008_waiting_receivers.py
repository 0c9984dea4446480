"""Receivers whose deliveries wait because the last ones timed out. Runs before the deploy.

Code of before ignores the column.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.get_bind().exec_driver_sql("ALTER TABLE webhook_receivers ADD COLUMN resume_at timestamptz")
