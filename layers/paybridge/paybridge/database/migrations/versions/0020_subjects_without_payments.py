"""Let events be about what no payment is part of, such as a webhook endpoint. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

OUTBOX = """
ALTER TABLE outbox DROP CONSTRAINT outbox_subject_unless_redrive;
ALTER TABLE outbox ADD CONSTRAINT outbox_subject_unless_redrive CHECK (
    type = 'command.redrive' OR (merchant_id IS NOT NULL AND (payment_id IS NOT NULL OR subject_id IS NOT NULL))
) NOT VALID;
"""


def upgrade() -> None:
    """Accept rows of the outbox that have a merchant and a subject but no payment."""
    op.get_bind().exec_driver_sql(OUTBOX)
