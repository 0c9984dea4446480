"""What a gateway says about a charge beyond yes and no. Runs before the deploy.

The code before it writes none of the new columns and statuses. The new constraints hold for every row written from now
on. They are not checked against the rows that are there, which were written under narrower ones: a scan of all attempts
would keep payments waiting.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ATTEMPTS = """
ALTER TABLE payment_attempts
    -- How often the gateway was asked again about this attempt, and when last.
    ADD COLUMN asks           integer NOT NULL DEFAULT 0,
    ADD COLUMN asked_at       timestamptz,
    -- When the gateway first said that it has the charge and will decide later.
    ADD COLUMN pending_at     timestamptz,
    -- What the gateway took, where that is less than the amount.
    ADD COLUMN approved_minor bigint,
    -- The gateway's own word for a decline.
    ADD COLUMN gateway_code   text;
ALTER TABLE payment_attempts
    DROP CONSTRAINT payment_attempts_status_check,
    ADD CONSTRAINT payment_attempts_status_is_known CHECK (status IN (
        'started', 'pending', 'rate_limited', 'unknown', 'succeeded', 'partial', 'declined')) NOT VALID,
    ADD CONSTRAINT payment_attempts_number_is_bounded CHECK (number <= 1000) NOT VALID,
    ADD CONSTRAINT payment_attempts_asks_are_counted CHECK (asks >= 0 AND (asks > 0) = (asked_at IS NOT NULL))
        NOT VALID,
    ADD CONSTRAINT payment_attempts_pending_has_a_time CHECK (status <> 'pending' OR pending_at IS NOT NULL) NOT VALID,
    ADD CONSTRAINT payment_attempts_part_is_named CHECK (
        CASE status WHEN 'partial' THEN approved_minor IS NOT NULL AND approved_minor > 0
                    ELSE approved_minor IS NULL END) NOT VALID,
    ADD CONSTRAINT payment_attempts_part_has_proof CHECK (status <> 'partial' OR gateway_id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT payment_attempts_code_is_short CHECK (length(gateway_code) BETWEEN 1 AND 64) NOT VALID;
"""

CHARGES_TO_RETURN = """
-- Charges that settle no payment: a part of the amount, or one that came after the payment had been given up. Rows are
-- only ever added.
CREATE TABLE charges_to_return (
    payment_id   uuid NOT NULL,
    gateway_id   text NOT NULL CHECK (length(gateway_id) BETWEEN 1 AND 255),
    merchant_id  uuid NOT NULL REFERENCES merchants (id),
    reason       text NOT NULL CHECK (reason IN ('partial_approval', 'charged_late')),
    amount_minor bigint NOT NULL CONSTRAINT charges_to_return_amount_is_positive CHECK (amount_minor > 0),
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    found_at     timestamptz NOT NULL,
    PRIMARY KEY (payment_id, gateway_id)
);
"""


def upgrade() -> None:
    """Add the columns of attempts and the table of charges to return."""
    for script in (ATTEMPTS, CHARGES_TO_RETURN):
        op.get_bind().exec_driver_sql(script)
