"""Operations: everything that is asked of a gateway, each with an id, and the attempts at it. Runs before the deploy.

`payment_attempts` knew one operation, the charge. Its rows are copied, and a trigger copies what older code still
writes. That code finds no attempt of a charge that newer code began, and leaves the payment to the sweep.
The key at the gateway stays the same, so neither charges twice. Once all old code is gone, a later release drops
`payment_attempts` and the trigger.

The new constraints on big tables hold for every row written from now on. They are not checked against the rows that are
there: a scan would keep payments waiting.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

PAYMENTS = """
ALTER TABLE merchants ADD COLUMN gateway text NOT NULL DEFAULT 'default' CHECK (gateway ~ '^[a-z][a-z0-9_]{0,31}$');

ALTER TABLE payments
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN authorized_minor bigint NOT NULL DEFAULT 0,
    -- What operations in flight may still take: reserved before the gateway is asked, freed by a known outcome alone.
    ADD COLUMN capturing_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN refunding_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN capture_before timestamptz,
    -- The one operation that may end the hold. All three or none.
    ADD COLUMN pending_operation text,
    ADD COLUMN pending_operation_id uuid,
    ADD COLUMN pending_operation_since timestamptz,
    -- The gateway that was chosen when the charge began.
    ADD COLUMN gateway text,
    -- What screening decided, as merchants see it.
    ADD COLUMN screening json;
ALTER TABLE payments
    DROP CONSTRAINT payments_failure_has_a_code,
    ADD CONSTRAINT payments_failure_has_a_code CHECK (
        CASE status WHEN 'failed' THEN failure_code IS NOT NULL
                    WHEN 'canceled' THEN failure_code IS NULL OR failure_code = 'authorization_expired'
                    ELSE failure_code IS NULL END) NOT VALID,
    ADD CONSTRAINT payments_version_is_positive CHECK (version > 0) NOT VALID,
    ADD CONSTRAINT payments_authorized_within_amount CHECK (authorized_minor BETWEEN 0 AND amount_minor) NOT VALID,
    ADD CONSTRAINT payments_captured_within_authorized CHECK (
        capture <> 'manual' OR captured_minor <= authorized_minor) NOT VALID,
    ADD CONSTRAINT payments_authorized_for_manual_capture CHECK (
        capture = 'manual' OR authorized_minor = 0) NOT VALID,
    ADD CONSTRAINT payments_authorized_when_said CHECK (
        status <> 'requires_capture' OR (authorized_minor > 0 AND capture_before IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT payments_capturing_within_authorized CHECK (
        capturing_minor >= 0 AND captured_minor + capturing_minor <= greatest(authorized_minor, captured_minor))
        NOT VALID,
    ADD CONSTRAINT payments_refunding_within_captured CHECK (
        refunding_minor >= 0 AND refunded_minor + refunding_minor <= captured_minor) NOT VALID,
    ADD CONSTRAINT payments_pending_operation_is_known CHECK (pending_operation IN ('capture', 'cancel')) NOT VALID,
    ADD CONSTRAINT payments_pending_operation_is_whole CHECK (
        num_nulls(pending_operation, pending_operation_id, pending_operation_since) IN (0, 3)) NOT VALID,
    ADD CONSTRAINT payments_pending_operation_holds_money CHECK (
        pending_operation IS NULL OR status = 'requires_capture') NOT VALID,
    ADD CONSTRAINT payments_capturing_has_an_operation CHECK (
        (capturing_minor > 0) = (pending_operation IS NOT DISTINCT FROM 'capture')) NOT VALID;
-- What the job cancels once it has expired.
CREATE INDEX payments_to_capture ON payments (capture_before) WHERE status = 'requires_capture';

-- Every change of state increments the version, old code's too.
CREATE OR REPLACE FUNCTION payments_check_transition() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF (OLD.status || '>' || NEW.status) NOT IN (
        'pending>processing', 'pending>review', 'pending>failed', 'pending>canceled',
        'processing>succeeded', 'processing>failed', 'processing>requires_capture', 'processing>review',
        'processing>canceled', 'review>processing', 'review>failed', 'review>canceled',
        'requires_capture>succeeded', 'requires_capture>canceled', 'requires_capture>failed',
        'succeeded>partially_refunded', 'succeeded>refunded',
        'partially_refunded>refunded', 'partially_refunded>succeeded',
        'refunded>partially_refunded', 'refunded>succeeded'
    ) THEN
        RAISE EXCEPTION 'payment % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_transition_is_legal';
    END IF;
    IF NEW.version = OLD.version THEN
        NEW.version := OLD.version + 1;
    END IF;
    IF NEW.version < OLD.version THEN
        RAISE EXCEPTION 'the version of payment % would fall from % to %', OLD.id, OLD.version, NEW.version
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_version_grows';
    END IF;
    RETURN NEW;
END
$body$;
"""

OPERATIONS = """
CREATE TABLE operations (
    -- A charge or an authorization has the id of its payment: there is one of them.
    id                uuid NOT NULL,
    payment_id        uuid NOT NULL,
    merchant_id       uuid NOT NULL,
    kind              text NOT NULL CONSTRAINT operations_kind_is_known CHECK (
        kind IN ('charge', 'authorization', 'capture', 'void', 'refund', 'refund_reversal')),
    -- Who wanted it: the merchant, or what has to be undone.
    cause             text NOT NULL DEFAULT 'merchant' CONSTRAINT operations_cause_is_known CHECK (
        cause IN ('merchant', 'expiry', 'partial_approval', 'capture_failed', 'charged_late', 'gateway')),
    gateway           text NOT NULL CHECK (gateway ~ '^[a-z][a-z0-9_]{0,31}$'),
    amount_minor      bigint NOT NULL CONSTRAINT operations_amount_is_positive CHECK (amount_minor > 0),
    -- accepted: nothing was asked yet. started: an attempt is committed and its call may run.
    status            text NOT NULL CONSTRAINT operations_status_is_known CHECK (status IN (
        'accepted', 'started', 'pending', 'rate_limited', 'unknown', 'succeeded', 'partial', 'declined', 'reversed')),
    -- The newest attempt: its number, when it began, how often the gateway was asked again about it, and when last. Its
    -- end and its result follow. A charge that is answered at once needs no row of attempts.
    number            smallint NOT NULL DEFAULT 0 CONSTRAINT operations_number_is_bounded CHECK (
        number BETWEEN 0 AND 1000),
    asks              integer NOT NULL DEFAULT 0,
    started_at        timestamptz,
    asked_at          timestamptz,
    -- When the gateway first said that it has the operation and will decide later.
    pending_at        timestamptz,
    finished_at       timestamptz,
    attempt_status    text CONSTRAINT operations_attempt_status_is_known CHECK (attempt_status IN (
        'pending', 'rate_limited', 'unknown', 'succeeded', 'partial', 'declined')),
    -- The gateway's own word for a decline.
    gateway_code      text CONSTRAINT operations_gateway_code_is_short CHECK (length(gateway_code) BETWEEN 1 AND 64),
    -- Why the newest attempt has no clear answer.
    error             text,
    gateway_id        text CHECK (length(gateway_id) BETWEEN 1 AND 255),
    -- The charge or authorization at the gateway that this is about, where that is not the payment's.
    target_gateway_id text CHECK (length(target_gateway_id) BETWEEN 1 AND 255),
    failure_code      text,
    failure_message   text,
    -- What the gateway approved, where that is less than the amount.
    approved_minor    bigint,
    reason            text,
    metadata          json,
    correlation_id    text NOT NULL,
    -- Position of the last event about this operation. Only refunds have events.
    last_sequence     integer NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT operations_first_has_the_payments_id CHECK (
        (kind IN ('charge', 'authorization')) = (id = payment_id)),
    CONSTRAINT operations_accepted_is_unasked CHECK ((status = 'accepted') = (number = 0)
        OR kind = 'refund_reversal' OR cause = 'gateway'),
    CONSTRAINT operations_attempt_has_a_time CHECK (number = 0 OR started_at IS NOT NULL),
    CONSTRAINT operations_asks_are_counted CHECK (asks >= 0 AND (asks > 0) = (asked_at IS NOT NULL)),
    CONSTRAINT operations_pending_has_a_time CHECK (status <> 'pending' OR pending_at IS NOT NULL),
    CONSTRAINT operations_success_has_proof CHECK (
        status NOT IN ('succeeded', 'partial', 'reversed') OR gateway_id IS NOT NULL),
    CONSTRAINT operations_failure_has_a_code CHECK (status NOT IN ('declined', 'reversed') OR failure_code IS NOT NULL),
    CONSTRAINT operations_part_is_named CHECK (
        CASE status WHEN 'partial' THEN approved_minor IS NOT NULL AND approved_minor > 0
                        AND approved_minor < amount_minor
                    ELSE approved_minor IS NULL END),
    CONSTRAINT operations_only_refunds_are_reversed CHECK (status <> 'reversed' OR kind = 'refund')
) PARTITION BY RANGE (id);
-- Nearly every payment has one operation, which is found by its id: only the others need these.
CREATE INDEX operations_by_payment ON operations (payment_id) WHERE id <> payment_id;
CREATE INDEX operations_refunds ON operations (merchant_id, id) WHERE kind = 'refund';
CREATE INDEX operations_unsettled ON operations (updated_at)
    WHERE id <> payment_id AND status IN ('accepted', 'started', 'pending', 'rate_limited', 'unknown');

CREATE FUNCTION operations_check_transition() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    -- An outcome is final, but for a refund that the gateway takes back.
    IF OLD.status IN ('partial', 'declined', 'reversed') OR (OLD.status = 'succeeded' AND NEW.status <> 'reversed')
       OR NEW.status = 'accepted'
    THEN
        RAISE EXCEPTION 'operation % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'operations_transition_is_legal';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER operations_transition_is_legal BEFORE UPDATE ON operations FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status
          AND (OLD.status IN ('succeeded', 'partial', 'declined', 'reversed') OR NEW.status = 'accepted'))
    EXECUTE FUNCTION operations_check_transition();

-- One row for each attempt that another one followed. That of a process which died is ended by the next, as unknown.
CREATE TABLE operation_attempts (
    operation_id   uuid NOT NULL,
    number         smallint NOT NULL CHECK (number BETWEEN 1 AND 1000),
    status         text NOT NULL CONSTRAINT operation_attempts_status_is_known CHECK (status IN (
        'pending', 'rate_limited', 'unknown', 'succeeded', 'partial', 'declined')),
    gateway_id     text,
    failure_code   text,
    -- The gateway's own word for a decline.
    gateway_code   text CHECK (length(gateway_code) BETWEEN 1 AND 64),
    approved_minor bigint,
    error          text,
    started_at     timestamptz NOT NULL,
    pending_at     timestamptz,
    finished_at    timestamptz NOT NULL,
    PRIMARY KEY (operation_id, number),
    CONSTRAINT operation_attempts_success_has_proof CHECK (
        status NOT IN ('succeeded', 'partial') OR gateway_id IS NOT NULL),
    CONSTRAINT operation_attempts_part_is_named CHECK (
        CASE status WHEN 'partial' THEN approved_minor IS NOT NULL AND approved_minor > 0
                    ELSE approved_minor IS NULL END)
) PARTITION BY RANGE (operation_id);
"""

PARTITIONS = """
CREATE OR REPLACE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer LANGUAGE plpgsql
SET timezone TO 'UTC' SET search_path TO 'public', 'pg_temp' AS $body$
DECLARE
    parent text;
    month timestamptz;
    made integer := 0;
BEGIN
    -- Every partitioned table, so that a migration that adds one has no list to repeat.
    FOR parent IN SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace
                  ORDER BY relname
    LOOP
        FOR offset_months IN -1..months_ahead LOOP
            month := date_trunc('month', now()) + make_interval(months => offset_months);
            CONTINUE WHEN to_regclass(parent || '_' || to_char(month, 'YYYY_MM')) IS NOT NULL;
            PERFORM ensure_partition(parent, month);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$body$;
CREATE TABLE operations_default PARTITION OF operations DEFAULT;
CREATE TABLE operation_attempts_default PARTITION OF operation_attempts DEFAULT;
SELECT ensure_partitions(3);
"""

# The newest attempt stands in the operation, and those that another one followed have rows below it.
COPY = """
CREATE FUNCTION payment_attempts_copy() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF EXISTS (SELECT FROM operations WHERE id = NEW.payment_id AND number > NEW.number) THEN
        INSERT INTO operation_attempts AS a (operation_id, number, status, gateway_id, failure_code, gateway_code,
            approved_minor, error, started_at, pending_at, finished_at)
        SELECT NEW.payment_id, NEW.number, NEW.status, NEW.gateway_id, NEW.failure_code, NEW.gateway_code,
               NEW.approved_minor, NEW.error, NEW.started_at, NEW.pending_at, NEW.finished_at
        WHERE NEW.status <> 'started'
        ON CONFLICT (operation_id, number) DO UPDATE
        SET status = excluded.status, gateway_id = excluded.gateway_id, failure_code = excluded.failure_code,
            gateway_code = excluded.gateway_code, approved_minor = excluded.approved_minor, error = excluded.error,
            pending_at = excluded.pending_at, finished_at = excluded.finished_at;
        RETURN NULL;
    END IF;
    INSERT INTO operation_attempts (operation_id, number, status, gateway_id, failure_code, gateway_code,
        approved_minor, error, started_at, pending_at, finished_at)
    SELECT id, number, coalesce(attempt_status, 'unknown'), gateway_id, failure_code, gateway_code, approved_minor,
           error, started_at, pending_at, coalesce(finished_at, NEW.started_at)
    FROM operations WHERE id = NEW.payment_id AND number < NEW.number
    ON CONFLICT (operation_id, number) DO NOTHING;
    INSERT INTO operations AS o (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, asks,
        started_at, asked_at, pending_at, finished_at, attempt_status, gateway_code, error, gateway_id, failure_code,
        approved_minor, correlation_id, created_at, updated_at)
    SELECT p.id, p.id, p.merchant_id, 'charge', 'default', p.amount_minor, NEW.status, NEW.number, NEW.asks,
           NEW.started_at, NEW.asked_at, NEW.pending_at, NEW.finished_at, nullif(NEW.status, 'started'),
           NEW.gateway_code, NEW.error, NEW.gateway_id,
           CASE WHEN NEW.status = 'declined' THEN coalesce(NEW.failure_code, 'card_declined') END,
           NEW.approved_minor, p.correlation_id, NEW.started_at, coalesce(NEW.finished_at, NEW.started_at)
    FROM payments p WHERE p.id = NEW.payment_id
    ON CONFLICT (id) DO UPDATE
    SET status = excluded.status, number = excluded.number, asks = excluded.asks, started_at = excluded.started_at,
        asked_at = excluded.asked_at, pending_at = excluded.pending_at, finished_at = excluded.finished_at,
        attempt_status = excluded.attempt_status, gateway_code = excluded.gateway_code, error = excluded.error,
        gateway_id = excluded.gateway_id, failure_code = excluded.failure_code,
        approved_minor = excluded.approved_minor, updated_at = excluded.updated_at
    WHERE o.status NOT IN ('succeeded', 'partial', 'declined');
    RETURN NULL;
END
$body$;
CREATE TRIGGER payment_attempts_are_copied AFTER INSERT OR UPDATE ON payment_attempts
    FOR EACH ROW EXECUTE FUNCTION payment_attempts_copy();

-- What was written before the trigger. What it copies in the meantime is as new or newer.
INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, asks, started_at,
    asked_at, pending_at, finished_at, attempt_status, gateway_code, error, gateway_id, failure_code, approved_minor,
    correlation_id, created_at, updated_at)
SELECT DISTINCT ON (a.payment_id) p.id, p.id, p.merchant_id, 'charge', 'default', p.amount_minor, a.status, a.number,
       a.asks, a.started_at, a.asked_at, a.pending_at, a.finished_at, nullif(a.status, 'started'), a.gateway_code,
       a.error, a.gateway_id, CASE WHEN a.status = 'declined' THEN coalesce(a.failure_code, 'card_declined') END,
       a.approved_minor, p.correlation_id, a.started_at, coalesce(a.finished_at, a.started_at)
FROM payment_attempts a JOIN payments p ON p.id = a.payment_id
ORDER BY a.payment_id, a.number DESC
ON CONFLICT (id) DO NOTHING;
INSERT INTO operation_attempts (operation_id, number, status, gateway_id, failure_code, gateway_code, approved_minor,
    error, started_at, pending_at, finished_at)
SELECT a.payment_id, a.number, a.status, a.gateway_id, a.failure_code, a.gateway_code, a.approved_minor, a.error,
       a.started_at, a.pending_at, a.finished_at
FROM payment_attempts a JOIN operations o ON o.id = a.payment_id
WHERE a.status <> 'started' AND a.number < o.number
ON CONFLICT (operation_id, number) DO NOTHING;
UPDATE payments SET gateway = 'default' WHERE is_unsettled AND status <> 'pending' AND gateway IS NULL;
"""

OUTBOX = """
ALTER TABLE outbox
    -- What the event is about. Rows without them are about their payment.
    ADD COLUMN subject_type text,
    ADD COLUMN subject_id uuid,
    ADD CONSTRAINT outbox_subject_is_whole CHECK ((subject_type IS NULL) = (subject_id IS NULL)) NOT VALID;
"""


def upgrade() -> None:
    """Add the tables, copy the attempts, and give outbox rows a subject."""
    for script in (PAYMENTS, OPERATIONS, PARTITIONS, COPY, OUTBOX):
        op.get_bind().exec_driver_sql(script)
