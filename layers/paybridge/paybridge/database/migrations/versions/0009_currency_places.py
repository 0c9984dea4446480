"""Keep the decimal places of a payment's currency beside its amount. Runs before the deploy.

A later edition of ISO 4217 may withdraw a currency or change its places. Payments that are stored must not change with
it. Rows of old code have no places and are read by the table of currencies. The check is not made for the rows that
exist, because that would lock the table for as long as it takes to read it.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PLACES = """
ALTER TABLE payments ADD COLUMN currency_places smallint;
ALTER TABLE payments ADD CONSTRAINT payments_currency_places_are_known
    CHECK (currency_places BETWEEN 0 AND 4) NOT VALID;
"""


def upgrade() -> None:
    """Adds the column."""
    op.get_bind().exec_driver_sql(PLACES)
