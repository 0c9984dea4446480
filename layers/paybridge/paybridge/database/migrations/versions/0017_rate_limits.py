"""Buckets of the rate limits, and the statement that finds a caller and takes tokens. Runs before the deploy.

The buckets are unlogged: taking tokens waits for no disk. After a crash of the server they are full, which the limits
allow.
"""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BUCKETS = """
CREATE UNLOGGED TABLE rate_buckets (
    -- The id of a key or a merchant.
    subject    uuid PRIMARY KEY,
    tokens     double precision NOT NULL CHECK (tokens >= 0),
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);
"""

# As plan_of in paybridge.access.domain.rate_limit, which explains it. A test holds the two equal.
PLAN = """
CREATE FUNCTION bucket_plan(per_second integer, burst integer, OUT capacity double precision,
                            OUT refill_per_second double precision) LANGUAGE plpgsql IMMUTABLE AS $body$
BEGIN
    capacity := burst - per_second * least(1.0, greatest(0.05, 0.25 * burst / per_second));
    refill_per_second := per_second;
    IF capacity < 1 THEN
        capacity := 1;
        refill_per_second := per_second / (1 + per_second * 0.05);
    END IF;
END
$body$;

-- Returns the tokens in the bucket, whose row stays locked.
CREATE FUNCTION fill_bucket(id uuid, per_second integer, burst integer) RETURNS double precision
LANGUAGE plpgsql AS $body$
DECLARE
    plan record := bucket_plan(per_second, burst);
    filled double precision;
BEGIN
    INSERT INTO rate_buckets AS bucket (subject, tokens, updated_at) VALUES (id, plan.capacity, clock_timestamp())
    ON CONFLICT (subject) DO UPDATE
        SET tokens = least(plan.capacity, bucket.tokens + plan.refill_per_second
                * greatest(0, extract(epoch FROM clock_timestamp() - bucket.updated_at))),
            updated_at = greatest(bucket.updated_at, clock_timestamp())
    RETURNING tokens INTO filled;
    RETURN filled;
END
$body$;

-- The buckets are locked in one order everywhere: that of the key, then that of the merchant.
CREATE FUNCTION take_tokens(
    wanted integer, key_id uuid, key_rate integer, key_burst integer,
    merchant_id uuid, merchant_rate integer, merchant_burst integer,
    OUT granted integer, OUT key_tokens double precision, OUT merchant_tokens double precision
) LANGUAGE plpgsql AS $body$
BEGIN
    granted := wanted;
    IF key_rate IS NOT NULL THEN
        key_tokens := fill_bucket(key_id, key_rate, key_burst);
        granted := least(granted, floor(key_tokens));
    END IF;
    IF merchant_rate IS NOT NULL THEN
        merchant_tokens := fill_bucket(merchant_id, merchant_rate, merchant_burst);
        granted := least(granted, floor(merchant_tokens));
    END IF;
    IF granted > 0 THEN
        IF key_rate IS NOT NULL THEN
            UPDATE rate_buckets SET tokens = tokens - granted WHERE subject = key_id;
            key_tokens := key_tokens - granted;
        END IF;
        IF merchant_rate IS NOT NULL THEN
            UPDATE rate_buckets SET tokens = tokens - granted WHERE subject = merchant_id;
            merchant_tokens := merchant_tokens - granted;
        END IF;
    END IF;
END
$body$;
"""

ADMIT = """
CREATE FUNCTION admit_key(digest bytea, wanted integer) RETURNS TABLE (
    role text, merchant_id uuid, key_id uuid, expires_at timestamptz,
    key_rate integer, key_burst integer, merchant_rate integer, merchant_burst integer,
    granted integer, key_tokens double precision, merchant_tokens double precision
) LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    caller record;
    taken record;
BEGIN
    SELECT k.role, k.merchant_id, k.id, k.expires_at, k.last_used_at, k.rate_per_second AS key_rate,
           k.rate_burst AS key_burst, m.rate_per_second AS merchant_rate, m.rate_burst AS merchant_burst
    INTO caller
    FROM api_keys k LEFT JOIN merchants m ON m.id = k.merchant_id
    WHERE k.key_hash = digest AND k.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- An expired key is refused, which is no use of it.
    IF (caller.last_used_at IS NULL OR caller.last_used_at < now() - interval '1 minute')
        AND (caller.expires_at IS NULL OR caller.expires_at > now()) THEN
        -- Another environment that holds the row is writing the same, or has written it since the row was read.
        UPDATE api_keys SET last_used_at = now()
        WHERE id = (
            SELECT id FROM api_keys
            WHERE id = caller.id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
            FOR UPDATE SKIP LOCKED
        );
    END IF;
    IF wanted > 0 AND (caller.key_rate IS NOT NULL OR caller.merchant_rate IS NOT NULL) THEN
        taken := take_tokens(wanted, caller.id, caller.key_rate, caller.key_burst,
                             caller.merchant_id, caller.merchant_rate, caller.merchant_burst);
        RETURN QUERY SELECT caller.role, caller.merchant_id, caller.id, caller.expires_at,
            caller.key_rate, caller.key_burst, caller.merchant_rate, caller.merchant_burst,
            taken.granted, taken.key_tokens, taken.merchant_tokens;
    ELSE
        RETURN QUERY SELECT caller.role, caller.merchant_id, caller.id, caller.expires_at,
            caller.key_rate, caller.key_burst, caller.merchant_rate, caller.merchant_burst,
            NULL::integer, NULL::double precision, NULL::double precision;
    END IF;
END
$body$;

CREATE FUNCTION admit_merchant(id uuid, wanted integer) RETURNS TABLE (
    merchant_rate integer, merchant_burst integer, granted integer, merchant_tokens double precision
) LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    caller record;
    taken record;
BEGIN
    SELECT m.rate_per_second AS rate, m.rate_burst AS burst INTO caller FROM merchants m WHERE m.id = admit_merchant.id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF wanted > 0 AND caller.rate IS NOT NULL THEN
        taken := take_tokens(wanted, NULL, NULL, NULL, admit_merchant.id, caller.rate, caller.burst);
        RETURN QUERY SELECT caller.rate, caller.burst, taken.granted, taken.merchant_tokens;
    ELSE
        RETURN QUERY SELECT caller.rate, caller.burst, NULL::integer, NULL::double precision;
    END IF;
END
$body$;
"""


def upgrade() -> None:
    """Create the buckets and the functions that take from them."""
    for script in (BUCKETS, PLAN, ADMIT):
        op.get_bind().exec_driver_sql(script)
