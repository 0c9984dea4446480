"""The first schema. Runs before the deploy.

The big tables are partitioned by month on their own UUIDv7, whose first 48 bits are milliseconds since 1970, so old
months can be archived and dropped, and a look-up by id touches one partition. `ensure_partitions` makes the months;
the default partitions only catch what would otherwise be refused, until their month is made.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ACCOUNTS = """
CREATE TABLE merchants (
    id              uuid PRIMARY KEY,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- Newest first; several while a secret rotates.
    webhook_secrets text[] NOT NULL CHECK (cardinality(webhook_secrets) BETWEEN 1 AND 5),
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id          uuid PRIMARY KEY,
    -- SHA-256 of the key: keys are long and random, so a slow hash would add nothing but latency.
    key_hash    bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    merchant_id uuid REFERENCES merchants (id),
    role        text NOT NULL CHECK (role IN ('merchant', 'support', 'operator', 'admin', 'auditor')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    CONSTRAINT api_keys_merchant_has_a_merchant CHECK (role <> 'merchant' OR merchant_id IS NOT NULL)
);
"""

PAYMENTS = """
CREATE TABLE payments (
    id              uuid NOT NULL,
    merchant_id     uuid NOT NULL REFERENCES merchants (id),
    amount_minor    bigint NOT NULL CONSTRAINT payments_amount_is_positive CHECK (amount_minor > 0),
    captured_minor  bigint NOT NULL DEFAULT 0,
    refunded_minor  bigint NOT NULL DEFAULT 0,
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status          text NOT NULL DEFAULT 'pending',
    is_unsettled    boolean NOT NULL GENERATED ALWAYS AS (status IN ('pending', 'processing')) STORED,
    failure_code    text,
    failure_message text,
    capture         text NOT NULL DEFAULT 'automatic' CHECK (capture IN ('automatic', 'manual')),
    description     text,
    -- json and not jsonb: what a merchant sends comes back as it was, key order included.
    metadata        json,
    webhook_url     text,
    customer        text,
    payment_method  text,
    gateway_id      text,
    correlation_id  text NOT NULL,
    last_sequence   integer NOT NULL DEFAULT 1 CHECK (last_sequence > 0),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT payments_status_is_known CHECK (status IN ('pending', 'processing', 'review', 'requires_capture',
        'succeeded', 'failed', 'canceled', 'partially_refunded', 'refunded')),
    CONSTRAINT payments_captured_within_amount CHECK (captured_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payments_refunded_within_captured CHECK (refunded_minor BETWEEN 0 AND captured_minor),
    CONSTRAINT payments_failure_has_a_code CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CONSTRAINT payments_captured_when_succeeded CHECK (
        (status IN ('succeeded', 'partially_refunded', 'refunded')) = (captured_minor > 0)),
    CONSTRAINT payments_refunded_when_said CHECK (
        CASE status WHEN 'partially_refunded' THEN refunded_minor > 0 AND refunded_minor < captured_minor
                    WHEN 'refunded' THEN refunded_minor = captured_minor
                    ELSE refunded_minor = 0 END)
) PARTITION BY RANGE (id);
CREATE INDEX payments_by_merchant ON payments (merchant_id, id);
CREATE INDEX payments_by_customer ON payments (merchant_id, customer, id) WHERE customer IS NOT NULL;
-- Its condition is a column of its own, so that only who asks for the column reads this index: a batch that asks for
-- payments by their ids and for their status would else have the planner join it with all that are unsettled.
CREATE INDEX payments_unsettled ON payments (id) WHERE is_unsettled;

CREATE FUNCTION payments_check_transition() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF (OLD.status || '>' || NEW.status) NOT IN (
        'pending>processing', 'pending>review', 'pending>failed', 'pending>canceled',
        'processing>succeeded', 'processing>failed', 'processing>requires_capture', 'processing>review',
        'processing>canceled', 'review>processing', 'review>failed', 'review>canceled',
        'requires_capture>succeeded', 'requires_capture>canceled', 'requires_capture>failed',
        'succeeded>partially_refunded', 'succeeded>refunded',
        'partially_refunded>refunded', 'partially_refunded>succeeded', 'refunded>partially_refunded'
    ) THEN
        RAISE EXCEPTION 'payment % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_transition_is_legal';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER payments_transition_is_legal BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION payments_check_transition();

CREATE TABLE idempotency_keys (
    merchant_id     uuid NOT NULL,
    operation       text NOT NULL,
    key             text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint     bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    resource_id     uuid NOT NULL,
    response_status smallint NOT NULL CHECK (response_status BETWEEN 200 AND 299),
    -- Cleared after 24 hours; the key itself stays taken for ever.
    response_body   text,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, operation, key)
);
CREATE INDEX idempotency_keys_with_answer ON idempotency_keys (created_at) WHERE response_body IS NOT NULL;

CREATE TABLE payment_attempts (
    payment_id   uuid NOT NULL,
    operation    text NOT NULL CHECK (operation IN ('charge')),
    number       smallint NOT NULL CHECK (number > 0),
    -- started: committed before the gateway is called. unknown: it was called and the outcome is not known yet.
    status       text NOT NULL CHECK (status IN ('started', 'succeeded', 'declined', 'unknown')),
    gateway_id   text,
    failure_code text,
    error        text,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    PRIMARY KEY (payment_id, operation, number),
    CONSTRAINT payment_attempts_finished CHECK ((status = 'started') = (finished_at IS NULL)),
    CONSTRAINT payment_attempts_charged_has_proof CHECK (status <> 'succeeded' OR gateway_id IS NOT NULL)
) PARTITION BY RANGE (payment_id);
"""

OUTBOX = """
CREATE TABLE outbox (
    id             uuid NOT NULL,
    payment_id     uuid NOT NULL,
    merchant_id    uuid NOT NULL,
    -- Position among the facts of one payment; NULL for a command, which is no fact.
    sequence       integer CHECK (sequence > 0),
    type           text NOT NULL,
    -- NULL for a fact that is recorded and not published.
    exchange       text,
    routing_key    text NOT NULL,
    body           text NOT NULL,
    correlation_id text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    available_at   timestamptz NOT NULL DEFAULT now(),
    published_at   timestamptz,
    attempts       integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error     text,
    PRIMARY KEY (id),
    CONSTRAINT outbox_commands_are_published CHECK (sequence IS NOT NULL OR exchange IS NOT NULL)
) PARTITION BY RANGE (id);
CREATE INDEX outbox_due ON outbox (available_at) WHERE published_at IS NULL AND exchange IS NOT NULL;
-- All but empty: what the broker has refused and not yet taken.
CREATE INDEX outbox_refused ON outbox (created_at)
    WHERE published_at IS NULL AND exchange IS NOT NULL AND attempts > 0;
CREATE INDEX outbox_by_payment ON outbox (payment_id);

CREATE TABLE circuits (
    name                 text PRIMARY KEY,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    open_until           timestamptz
);
"""

WEBHOOKS = """
CREATE TABLE webhook_deliveries (
    id              uuid NOT NULL,
    merchant_id     uuid NOT NULL,
    payment_id      uuid NOT NULL,
    event_id        uuid NOT NULL,
    event_type      text NOT NULL,
    url             text NOT NULL,
    body            text NOT NULL,
    correlation_id  text NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'gone')),
    attempts        smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    PRIMARY KEY (id),
    CONSTRAINT webhook_deliveries_finished CHECK ((status = 'pending') = (finished_at IS NULL))
) PARTITION BY RANGE (id);
CREATE INDEX webhook_deliveries_by_payment ON webhook_deliveries (payment_id);
-- What is pending alone, so it stays small however many deliveries are kept: the jobs function finds the overdue here.
-- Not by the status, which batches ask for as well: they would read all that is pending.
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries ((coalesce(next_attempt_at, created_at)))
    WHERE finished_at IS NULL;

CREATE TABLE webhook_attempts (
    delivery_id     uuid NOT NULL,
    number          smallint NOT NULL CHECK (number > 0),
    status          text NOT NULL CHECK (status IN ('started', 'delivered', 'failed')),
    response_status smallint CHECK (response_status BETWEEN 100 AND 999),
    error           text,
    response_excerpt text,
    latency_ms      integer CHECK (latency_ms >= 0),
    started_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    PRIMARY KEY (delivery_id, number),
    CONSTRAINT webhook_attempts_finished CHECK ((status = 'started') = (finished_at IS NULL))
) PARTITION BY RANGE (delivery_id);

CREATE TABLE webhook_receivers (
    merchant_id          uuid NOT NULL,
    origin               text NOT NULL,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    slow_until           timestamptz,
    PRIMARY KEY (merchant_id, origin)
);
"""

WAITS = """
-- One row for each request that may wait for a payment at once; the highest that is used is a setting of the API.
CREATE TABLE api_waits (
    slot    integer PRIMARY KEY CHECK (slot > 0),
    ends_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO api_waits (slot) SELECT generate_series(1, 1000);
"""

PARTITIONS = """
CREATE FUNCTION uuid7_floor(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $body$
    -- Ids begin in 1970: the least of them is the floor of every earlier moment.
    SELECT (lpad(to_hex(greatest(0, extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || '00000000000000000000')::uuid
$body$;

CREATE FUNCTION ensure_partition(parent text, month timestamptz) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    partition text := parent || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
    key text := (SELECT attname FROM pg_partitioned_table JOIN pg_attribute
                     ON attrelid = partrelid AND attnum = partattrs[0] WHERE partrelid = parent::regclass);
    first_id uuid := uuid7_floor(month);
    end_id uuid := uuid7_floor(month + interval '1 month');
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                     WHERE attrelid = parent::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)',
        partition, parent);
    -- A month that is made late finds its rows in the default partition, and PostgreSQL attaches no partition whose
    -- rows are there. Nobody writes there while they move.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= $1 AND %I < $2 RETURNING %s)
        INSERT INTO %I (%s) SELECT * FROM moved', parent || '_default', key, key, columns, partition, columns)
        USING first_id, end_id;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, partition, first_id, end_id);
    -- Rows leave outbox_due all day: vacuum by rows changed, not by a share of all rows ever kept.
    IF parent = 'outbox' THEN
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.0,
            autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)', partition);
    END IF;
END
$body$;

CREATE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer LANGUAGE plpgsql AS $body$
DECLARE
    parent text;
    month timestamptz;
    made integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['payments', 'payment_attempts', 'outbox', 'webhook_deliveries', 'webhook_attempts']
    LOOP
        FOR offset_months IN -1..months_ahead LOOP
            month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                     + make_interval(months => offset_months);
            CONTINUE WHEN to_regclass(parent || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM')) IS NOT NULL;
            PERFORM ensure_partition(parent, month);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$body$;

CREATE TABLE payments_default PARTITION OF payments DEFAULT;
CREATE TABLE payment_attempts_default PARTITION OF payment_attempts DEFAULT;
CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;
CREATE TABLE webhook_deliveries_default PARTITION OF webhook_deliveries DEFAULT;
CREATE TABLE webhook_attempts_default PARTITION OF webhook_attempts DEFAULT;
SELECT ensure_partitions(3);
"""


def upgrade() -> None:
    """Creates every table, function and partition."""
    for script in (ACCOUNTS, PAYMENTS, OUTBOX, WEBHOOKS, WAITS, PARTITIONS):
        op.get_bind().exec_driver_sql(script)
