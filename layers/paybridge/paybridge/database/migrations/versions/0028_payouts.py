"""Payouts that merchants order from what is available to them. Runs before the deploy."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# The balance that the order left is written with it, so that no statement can order more than there is.
PAYOUTS = """
CREATE TABLE ledger.payouts (
    id                    uuid PRIMARY KEY,
    merchant_id           uuid NOT NULL,
    currency              text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    places                smallint NOT NULL CHECK (places BETWEEN 0 AND 12),
    amount_minor          bigint NOT NULL CONSTRAINT payouts_amount_is_positive CHECK (amount_minor > 0),
    available_after_minor numeric(38,0) NOT NULL
        CONSTRAINT payouts_are_covered CHECK (available_after_minor >= 0),
    status                text NOT NULL DEFAULT 'pending'
        CONSTRAINT payouts_status_is_known CHECK (status IN ('pending', 'paid', 'failed')),
    failure_reason        text CONSTRAINT payouts_reason_of_failure CHECK (
        failure_reason IS NULL OR (status = 'failed' AND length(failure_reason) BETWEEN 1 AND 500)),
    settled_by            text CONSTRAINT payouts_settled_by_someone CHECK (
        (status = 'pending') = (settled_by IS NULL)),
    idempotency_key       text NOT NULL,
    fingerprint           bytea NOT NULL CHECK (length(fingerprint) = 32),
    correlation_id        text NOT NULL,
    last_sequence         integer NOT NULL DEFAULT 1 CHECK (last_sequence > 0),
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    -- The key first, so that no list of a merchant's payouts is read by it.
    CONSTRAINT payouts_once_for_each_key UNIQUE (idempotency_key, merchant_id)
);
CREATE INDEX payouts_of_merchant ON ledger.payouts (merchant_id, id);

-- The journals of payouts by rules 10 to 12, each of which names its payout as the operation.
CREATE INDEX journals_of_payouts ON ledger.journals (operation_id) WHERE rule BETWEEN 10 AND 12;

CREATE FUNCTION ledger.keep_payout() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.status <> 'pending' OR NEW.status = 'pending'
       OR (NEW.id, NEW.merchant_id, NEW.currency, NEW.places, NEW.amount_minor, NEW.available_after_minor,
           NEW.idempotency_key, NEW.fingerprint, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.merchant_id, OLD.currency, OLD.places, OLD.amount_minor, OLD.available_after_minor,
           OLD.idempotency_key, OLD.fingerprint, OLD.created_at) THEN
        RAISE EXCEPTION 'a payout is paid or fails once, and nothing else of it changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payouts_settle_once';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER settle_once BEFORE UPDATE OR DELETE ON ledger.payouts FOR EACH ROW
    EXECUTE FUNCTION ledger.keep_payout();
"""


def upgrade() -> None:
    """Create the table and the trigger that keeps its rows."""
    op.get_bind().exec_driver_sql(PAYOUTS)
