"""Merchants' settings, and the life of API keys. Runs before the deploy.

Every new column is optional or has a constant default, so older code goes on writing rows and no table is rewritten.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MERCHANTS = r"""
ALTER TABLE merchants
    ADD COLUMN email           text,
    ADD COLUMN phone           text,
    -- Patterns of the events that e-mail and SMS tell of.
    ADD COLUMN notify          text[] NOT NULL DEFAULT '{}',
    ADD COLUMN fees            json,
    ADD COLUMN rate_per_second integer,
    ADD COLUMN rate_burst      integer,
    ADD COLUMN updated_at      timestamptz;
ALTER TABLE merchants
    ADD CONSTRAINT merchants_email_is_one_address
        CHECK (length(email) <= 254 AND email ~ '^[^\s@,;<>"]+@[^\s@,;<>"]+$'),
    ADD CONSTRAINT merchants_phone_is_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    ADD CONSTRAINT merchants_notify_is_short CHECK (cardinality(notify) <= 20),
    ADD CONSTRAINT merchants_rate_is_whole CHECK ((rate_per_second IS NULL) = (rate_burst IS NULL)),
    ADD CONSTRAINT merchants_rate_is_positive CHECK (rate_per_second > 0 AND rate_burst > 0);
"""

API_KEYS = """
ALTER TABLE api_keys
    ADD COLUMN name            text CHECK (length(name) BETWEEN 1 AND 200),
    ADD COLUMN last_four       text CHECK (length(last_four) = 4),
    ADD COLUMN expires_at      timestamptz,
    ADD COLUMN last_used_at    timestamptz,
    ADD COLUMN replaced_by     uuid UNIQUE REFERENCES api_keys (id),
    ADD COLUMN created_by      text,
    ADD COLUMN revoked_by      text,
    ADD COLUMN rate_per_second integer,
    ADD COLUMN rate_burst      integer;
ALTER TABLE api_keys
    -- Rotation keeps the old key for a while, and no longer than that.
    ADD CONSTRAINT api_keys_replaced_expire CHECK (replaced_by IS NULL OR expires_at IS NOT NULL),
    ADD CONSTRAINT api_keys_staff_has_no_merchant CHECK (role = 'merchant' OR merchant_id IS NULL) NOT VALID,
    ADD CONSTRAINT api_keys_rate_is_whole CHECK ((rate_per_second IS NULL) = (rate_burst IS NULL)),
    ADD CONSTRAINT api_keys_rate_is_positive CHECK (rate_per_second > 0 AND rate_burst > 0);
CREATE INDEX api_keys_by_merchant ON api_keys (merchant_id, created_at, id);
"""


def upgrade() -> None:
    """Add the columns of merchants and of API keys."""
    for script in (MERCHANTS, API_KEYS):
        op.get_bind().exec_driver_sql(script)
