"""Fraud rules, the counters of velocities, decisions and dry runs. Runs before the deploy.

Older code screens nothing. A payment that it begins has no decision, like that of a merchant without rules, and is not
counted.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

RULES = """
CREATE TABLE fraud_rule_sets (
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    version     integer NOT NULL CHECK (version > 0),
    -- json and not jsonb: rules come back as they were sent.
    rules       json NOT NULL CHECK (json_typeof(rules) = 'array'),
    rule_count  integer NOT NULL,
    actor       text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, version),
    CONSTRAINT fraud_rule_sets_are_counted CHECK (
        CASE WHEN json_typeof(rules) = 'array' THEN rule_count = json_array_length(rules) END),
    CONSTRAINT fraud_rule_sets_are_few CHECK (rule_count BETWEEN 0 AND 100)
);
CREATE FUNCTION fraud_rule_sets_stay() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'version % of the fraud rules of % would change', OLD.version, OLD.merchant_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'fraud_rule_sets_stay';
END
$body$;
CREATE TRIGGER fraud_rule_sets_stay BEFORE UPDATE OR DELETE ON fraud_rule_sets FOR EACH ROW
    EXECUTE FUNCTION fraud_rule_sets_stay();
"""

COUNTERS = """
-- How many payments a key has had, and their sums by currency: they only grow. The owner is a merchant or a dry run.
CREATE TABLE fraud_counters (
    owner_id   uuid NOT NULL,
    -- Of what is counted: the kind of key and its value.
    digest     uuid NOT NULL,
    count      bigint NOT NULL CHECK (count > 0),
    sums       json NOT NULL,
    last_at    timestamptz NOT NULL,
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (owner_id, digest)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE FUNCTION fraud_counters_only_grow() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'the counter % of % would fall from % to %', OLD.digest, OLD.owner_id, OLD.count, NEW.count
        USING ERRCODE = 'check_violation', CONSTRAINT = 'fraud_counters_only_grow';
END
$body$;
CREATE TRIGGER fraud_counters_only_grow BEFORE UPDATE ON fraud_counters FOR EACH ROW
    WHEN (NEW.count < OLD.count OR NEW.last_at < OLD.last_at) EXECUTE FUNCTION fraud_counters_only_grow();

-- What a counter was before each moment at which it grew.
CREATE TABLE fraud_counter_points (
    owner_id     uuid NOT NULL,
    digest       uuid NOT NULL,
    at           timestamptz NOT NULL,
    count_before bigint NOT NULL CHECK (count_before >= 0),
    sums_before  json NOT NULL,
    kept_until   timestamptz NOT NULL,
    PRIMARY KEY (owner_id, digest, at)
);
CREATE INDEX fraud_counter_points_to_delete ON fraud_counter_points (kept_until);
"""

DECISIONS = """
CREATE TABLE fraud_decisions (
    payment_id        uuid NOT NULL,
    merchant_id       uuid NOT NULL,
    rule_set_version  integer NOT NULL,
    decision          text NOT NULL CONSTRAINT fraud_decisions_decision_is_known CHECK (
        decision IN ('allow', 'review', 'block')),
    score             integer NOT NULL CHECK (score >= 0),
    -- The ids of the rules that fired, and what was known about other payments at that time.
    rules             json NOT NULL,
    facts             json NOT NULL,
    screened_at       timestamptz NOT NULL,
    review_expires_at timestamptz,
    -- How the review ended, who answered and why.
    answer            text CONSTRAINT fraud_decisions_answer_is_known CHECK (
        answer IN ('approved', 'rejected', 'closed')),
    actor             text,
    note              text CHECK (length(note) <= 500),
    answered_at       timestamptz,
    PRIMARY KEY (payment_id),
    CONSTRAINT fraud_decisions_review_expires CHECK ((decision = 'review') = (review_expires_at IS NOT NULL)),
    CONSTRAINT fraud_decisions_answer_is_whole CHECK (num_nulls(answer, actor, answered_at) IN (0, 3)),
    CONSTRAINT fraud_decisions_answer_is_to_a_review CHECK (answer IS NULL OR decision = 'review')
) PARTITION BY RANGE (payment_id);
CREATE INDEX fraud_decisions_in_review ON fraud_decisions (review_expires_at)
    WHERE review_expires_at IS NOT NULL AND answer IS NULL;
CREATE FUNCTION fraud_decisions_answered_once() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'the review of payment % was answered already', OLD.payment_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'fraud_decisions_answered_once';
END
$body$;
CREATE TRIGGER fraud_decisions_answered_once BEFORE UPDATE ON fraud_decisions FOR EACH ROW
    WHEN (OLD.answer IS NOT NULL) EXECUTE FUNCTION fraud_decisions_answered_once();

-- What operators look through, oldest first. It is small: a payment stays in review for a day.
CREATE INDEX payments_in_review ON payments (id) WHERE status = 'review';
"""

DRY_RUNS = """
CREATE TABLE fraud_dry_runs (
    id           uuid PRIMARY KEY,
    merchant_id  uuid NOT NULL REFERENCES merchants (id),
    rules        json NOT NULL,
    -- Payments from here to `begin_at` are counted for velocities alone.
    counted_from timestamptz NOT NULL,
    begin_at     timestamptz NOT NULL,
    end_at       timestamptz NOT NULL,
    state        text NOT NULL CHECK (state IN ('running', 'finished', 'canceled')),
    created_at   timestamptz NOT NULL,
    warm_up      bigint NOT NULL CHECK (warm_up >= 0),
    total        bigint NOT NULL CHECK (total >= 0),
    read         bigint NOT NULL DEFAULT 0 CHECK (read >= 0),
    checked      bigint NOT NULL DEFAULT 0 CHECK (checked >= 0),
    -- The payment that was read last, and when it counted.
    position     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    position_at  timestamptz,
    decisions    json NOT NULL DEFAULT '{}',
    fired        json NOT NULL DEFAULT '{}',
    samples      json NOT NULL DEFAULT '[]',
    finished_at  timestamptz,
    CONSTRAINT fraud_dry_runs_in_order CHECK (counted_from <= begin_at AND begin_at <= end_at),
    CONSTRAINT fraud_dry_runs_finished CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX fraud_dry_runs_running ON fraud_dry_runs (merchant_id) WHERE state = 'running';
CREATE INDEX fraud_dry_runs_by_age ON fraud_dry_runs (created_at);
"""

PARTITIONS = """
CREATE TABLE fraud_decisions_default PARTITION OF fraud_decisions DEFAULT;
SELECT ensure_partitions(3);
"""


def upgrade() -> None:
    """Add the tables and their partitions."""
    for script in (RULES, COUNTERS, DECISIONS, DRY_RUNS, PARTITIONS):
        op.get_bind().exec_driver_sql(script)
