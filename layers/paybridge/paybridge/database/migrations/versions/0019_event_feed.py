"""The order in which events are read. Runs before the deploy.

Neither ids nor times have the order in which events become visible: a transaction may write an event and commit it
later than another one that began after it. The number of the transaction orders them, because
`pg_snapshot_xmin(pg_current_snapshot())` tells below which number no transaction is left that may still commit.

A constant default adds the column without touching a row, so older rows have 0. Only the default of new rows is the
number of their transaction. The index is built while writers of the outbox wait.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

OUTBOX = """
ALTER TABLE outbox ADD COLUMN xid xid8 NOT NULL DEFAULT '0';
ALTER TABLE outbox ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
-- Every fact has such a sequence. Statements that say IS NOT NULL do not fit this index, so the planner does not choose
-- it for them in a month whose size it does not know.
CREATE INDEX outbox_feed ON outbox (merchant_id, xid, id) WHERE sequence > 0;
"""


def upgrade() -> None:
    """Number the outbox rows by their transactions, and index the events of each merchant in that order."""
    op.get_bind().exec_driver_sql(OUTBOX)
