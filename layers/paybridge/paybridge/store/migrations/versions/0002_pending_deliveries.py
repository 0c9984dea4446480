"""An index by which the jobs function finds overdue webhook deliveries. Runs before the deploy.

It holds what is pending alone, so it stays small however many deliveries are kept.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PENDING = """
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries ((coalesce(next_attempt_at, created_at)))
    WHERE status = 'pending';
"""


def upgrade() -> None:
    """Creates the index on every partition, those of the months to come included."""
    op.get_bind().exec_driver_sql(PENDING)
