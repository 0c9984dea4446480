"""Payments that were given up and whose charge the gateway is still asked for. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHECKS = """
CREATE TABLE late_charge_checks (
    payment_id     uuid PRIMARY KEY,
    merchant_id    uuid NOT NULL REFERENCES merchants (id),
    correlation_id text NOT NULL,
    given_up_at    timestamptz NOT NULL,
    -- When the gateway is asked next. A check that is over is deleted.
    ask_at         timestamptz NOT NULL,
    asks           integer NOT NULL DEFAULT 0 CONSTRAINT late_charge_checks_asks_are_counted CHECK (asks >= 0)
);
CREATE INDEX late_charge_checks_due ON late_charge_checks (ask_at);
"""


def upgrade() -> None:
    """Add the table of checks."""
    op.get_bind().exec_driver_sql(CHECKS)
