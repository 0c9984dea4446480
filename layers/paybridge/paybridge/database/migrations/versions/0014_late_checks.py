"""Ask about every kind of operation that has ended, not about charges alone. Runs before the deploy.

`late_charge_checks` knew charges that were given up, by their payments. Its rows move to `late_checks`, whose key is
the operation. What older code still plans moves there too. That code finds nothing left to ask about,
and newer code does. Once all old code is gone, a later release drops `late_charge_checks` and the trigger.
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CHECKS = """
CREATE TABLE late_checks (
    operation_id   uuid PRIMARY KEY,
    payment_id     uuid NOT NULL,
    merchant_id    uuid NOT NULL,
    correlation_id text NOT NULL,
    ended_at       timestamptz NOT NULL,
    -- When the gateway is asked next. A check that is over is deleted.
    ask_at         timestamptz NOT NULL,
    -- A message asks for it, and no process has taken it yet.
    is_sent        boolean NOT NULL DEFAULT false,
    asks           integer NOT NULL DEFAULT 0 CONSTRAINT late_checks_asks_are_counted CHECK (asks >= 0)
);
CREATE INDEX late_checks_due ON late_checks (ask_at);
CREATE INDEX late_checks_by_payment ON late_checks (payment_id);

CREATE FUNCTION late_charge_checks_move() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO late_checks (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at)
    VALUES (NEW.payment_id, NEW.payment_id, NEW.merchant_id, NEW.correlation_id, NEW.given_up_at, NEW.ask_at)
    ON CONFLICT (operation_id) DO NOTHING;
    RETURN NULL;
END
$body$;
CREATE TRIGGER late_charge_checks_move BEFORE INSERT ON late_charge_checks
    FOR EACH ROW EXECUTE FUNCTION late_charge_checks_move();

WITH moved AS (
    DELETE FROM late_charge_checks RETURNING payment_id, merchant_id, correlation_id, given_up_at, ask_at, asks
)
INSERT INTO late_checks (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at, asks)
SELECT payment_id, payment_id, merchant_id, correlation_id, given_up_at, ask_at, asks FROM moved
ON CONFLICT (operation_id) DO NOTHING;
"""


def upgrade() -> None:
    """Add the table, and move the checks there."""
    op.get_bind().exec_driver_sql(CHECKS)
