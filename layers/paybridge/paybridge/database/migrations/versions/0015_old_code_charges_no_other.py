"""Keep older code from payments that it cannot ask for. Runs before the deploy.

It charges at once what has to be held, and only at the gateway `default`. It may still run during the deploy
and after a rollback. Now its attempt at such a payment is refused before it calls the gateway. It leaves the payment as
it was, and the sweep hands it to newer code. A later release drops this with `payment_attempts`.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

REFUSE = """
CREATE FUNCTION payment_attempts_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF EXISTS (SELECT FROM payments p JOIN merchants m ON m.id = p.merchant_id
               WHERE p.id = NEW.payment_id AND (p.capture = 'manual' OR coalesce(p.gateway, m.gateway) <> 'default'))
    THEN
        RAISE EXCEPTION 'payment % is for newer code', NEW.payment_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_attempts_only_plain_charges';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER payment_attempts_are_plain_charges BEFORE INSERT ON payment_attempts
    FOR EACH ROW EXECUTE FUNCTION payment_attempts_refuse();
"""


def upgrade() -> None:
    """Refuse attempts of older code at payments that it cannot ask for."""
    op.get_bind().exec_driver_sql(REFUSE)
