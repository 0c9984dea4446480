"""The books, and the history of merchants' fees. Runs before the deploy.

Partitioned tables may now lie in any schema. `ensure_partition` takes the name of the table with its schema, and
without one for a table of the schema public, as older code calls it.
"""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

FEES = """
CREATE TABLE merchant_fees (
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    valid_from  timestamptz NOT NULL,
    fees        json,
    PRIMARY KEY (merchant_id, valid_from)
);
INSERT INTO merchant_fees (merchant_id, valid_from, fees)
SELECT id, created_at, fees FROM merchants WHERE fees IS NOT NULL;

-- Fees that are changed by older code, or by hand, are in the history too. Code that knows it adds to it first, by the
-- application's clock, and then there is nothing left to add. Other fees count a minute later, when every payment that
-- they count for finds them.
CREATE FUNCTION keep_fees() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    newest record;
BEGIN
    SELECT valid_from, fees INTO newest FROM merchant_fees
    WHERE merchant_id = NEW.id ORDER BY valid_from DESC LIMIT 1;
    IF NEW.fees::jsonb IS DISTINCT FROM newest.fees::jsonb THEN
        INSERT INTO merchant_fees (merchant_id, valid_from, fees)
        VALUES (NEW.id,
                CASE WHEN TG_OP = 'INSERT' THEN NEW.created_at
                     ELSE greatest(now() + interval '1 minute', newest.valid_from + interval '1 microsecond') END,
                NEW.fees);
    END IF;
    RETURN NULL;
END
$body$;
CREATE TRIGGER merchants_keep_fees AFTER INSERT OR UPDATE OF fees ON merchants FOR EACH ROW
    EXECUTE FUNCTION keep_fees();
"""

# What is written there stays. The right to change it is revoked from the owner too, and a trigger refuses those
# who have every right.
IMMUTABLE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_is_immutable';
END
$body$;

CREATE FUNCTION protect_rows(kept text) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM PUBLIC, CURRENT_USER', kept::regclass);
    EXECUTE format('CREATE TRIGGER immutable_all BEFORE TRUNCATE ON %s FOR EACH STATEMENT
                    EXECUTE FUNCTION refuse_change()', kept::regclass);
END
$body$;

CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON merchant_fees FOR EACH ROW
    EXECUTE FUNCTION refuse_change();
SELECT protect_rows('merchant_fees');
"""

# Accounts keep their totals, which one statement of each batch changes. Amounts are minor units; sums have room for
# more digits than a bigint. The places of an amount come from its event, so they are part of an account's name.
BOOKS = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.books (
    id            smallint PRIMARY KEY CHECK (id > 0),
    name          text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    state         text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    rules_version integer NOT NULL CHECK (rules_version > 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    switched_at   timestamptz,
    -- Since when events are posted as they happen. A rebuilt book has that of the book that it is compared with.
    posting_since timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX books_one_is_live ON ledger.books (state) WHERE state = 'live';
INSERT INTO ledger.books (id, name, state, rules_version, switched_at) VALUES (1, 'first', 'live', 1, now());

CREATE TABLE ledger.accounts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book          smallint NOT NULL REFERENCES ledger.books (id),
    -- The merchant; NULL for an account of the house.
    owner         uuid,
    kind          text NOT NULL,
    currency      char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    places        smallint NOT NULL CHECK (places BETWEEN 0 AND 12),
    normal_side   text NOT NULL CHECK (normal_side IN ('debit', 'credit')),
    debits_minor  numeric(38,0) NOT NULL DEFAULT 0 CHECK (debits_minor >= 0),
    credits_minor numeric(38,0) NOT NULL DEFAULT 0 CHECK (credits_minor >= 0),
    version       bigint NOT NULL DEFAULT 0,
    CONSTRAINT accounts_by_name UNIQUE NULLS NOT DISTINCT (book, owner, kind, currency, places),
    CONSTRAINT accounts_with_currency UNIQUE (book, id, currency, places),
    CONSTRAINT accounts_kind_is_known CHECK (
        CASE WHEN owner IS NULL
             THEN kind IN ('gateway_clearing', 'gateway_authorized', 'fees', 'given_back', 'payouts_paid')
             ELSE kind IN ('available', 'pending', 'reserved') END),
    CONSTRAINT accounts_side_of_kind CHECK (
        (normal_side = 'debit') = (kind IN ('gateway_clearing', 'gateway_authorized')))
) WITH (fillfactor = 50);

-- What each account moved on each day, so that the balance of any moment needs the transfers of one day alone.
CREATE TABLE ledger.daily_totals (
    account       bigint NOT NULL REFERENCES ledger.accounts (id),
    day           date NOT NULL,
    debits_minor  numeric(38,0) NOT NULL CHECK (debits_minor >= 0),
    credits_minor numeric(38,0) NOT NULL CHECK (credits_minor >= 0),
    PRIMARY KEY (account, day)
) WITH (fillfactor = 80);

CREATE TABLE ledger.journals (
    book         smallint NOT NULL,
    event_id     uuid NOT NULL,
    rule         smallint NOT NULL,
    rule_version smallint NOT NULL CHECK (rule_version > 0),
    -- UUIDv5 of event, rule and version.
    id           uuid NOT NULL,
    owner        uuid NOT NULL,
    payment_id   uuid,
    operation_id uuid,
    happened_at  timestamptz NOT NULL,
    posted_at    timestamptz NOT NULL DEFAULT now(),
    currency     char(3) NOT NULL,
    corrects     uuid,
    reason       text CHECK (length(reason) BETWEEN 1 AND 500),
    PRIMARY KEY (book, event_id, rule),
    CONSTRAINT journals_corrections_name_what CHECK ((rule < 0) = (corrects IS NOT NULL)),
    CONSTRAINT journals_corrections_say_why CHECK (corrects IS NULL OR reason IS NOT NULL)
) PARTITION BY RANGE (event_id);
CREATE INDEX journals_by_payment ON ledger.journals (payment_id) WHERE payment_id IS NOT NULL;

-- A journal and its transfers are written by one statement. There is no foreign key between them, because PostgreSQL
-- would compare two whole tables, with all writers waiting, when a month is detached.
CREATE TABLE ledger.transfers (
    book           smallint NOT NULL,
    event_id       uuid NOT NULL,
    rule           smallint NOT NULL,
    number         smallint NOT NULL CHECK (number > 0),
    -- The decimal places of the amount, which are those of both accounts. Here they take room that would be empty.
    places         smallint NOT NULL,
    debit_account  bigint NOT NULL,
    credit_account bigint NOT NULL,
    amount_minor   bigint NOT NULL CONSTRAINT transfers_amount_is_positive CHECK (amount_minor > 0),
    -- The journal's, here as well for the order of an account's entries.
    happened_at    timestamptz NOT NULL,
    currency       char(3) NOT NULL,
    PRIMARY KEY (book, event_id, rule, number),
    CONSTRAINT transfers_between_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfers_debit_in_currency FOREIGN KEY (debit_account, currency, places, book)
        REFERENCES ledger.accounts (id, currency, places, book),
    CONSTRAINT transfers_credit_in_currency FOREIGN KEY (credit_account, currency, places, book)
        REFERENCES ledger.accounts (id, currency, places, book)
) PARTITION BY RANGE (event_id);
CREATE INDEX transfers_by_debit ON ledger.transfers (debit_account, happened_at);
CREATE INDEX transfers_by_credit ON ledger.transfers (credit_account, happened_at);

CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON ledger.journals FOR EACH ROW
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON ledger.transfers FOR EACH ROW
    EXECUTE FUNCTION refuse_change();
SELECT protect_rows(name) FROM unnest(ARRAY['ledger.journals', 'ledger.transfers']) AS name;
CREATE TABLE ledger.journals_default PARTITION OF ledger.journals DEFAULT;
CREATE TABLE ledger.transfers_default PARTITION OF ledger.transfers DEFAULT;
SELECT protect_rows(name) FROM unnest(ARRAY['ledger.journals_default', 'ledger.transfers_default']) AS name;
"""

PARTITIONS = """
CREATE OR REPLACE FUNCTION ensure_partition(parent text, month timestamptz) RETURNS void LANGUAGE plpgsql
SET timezone TO 'UTC' SET search_path TO 'public', 'pg_temp' AS $body$
DECLARE
    first_moment timestamptz := date_trunc('month', month);
    space text := (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.oid = parent::regclass);
    base text := (SELECT relname FROM pg_class WHERE oid = parent::regclass);
    partition text := format('%I.%I', space, base || '_' || to_char(first_moment, 'YYYY_MM'));
    strays text := format('%I.%I', space, base || '_default');
    is_immutable boolean := EXISTS (SELECT FROM pg_trigger
                                    WHERE tgrelid = parent::regclass AND tgname = 'immutable_all');
    key text := (SELECT attname FROM pg_partitioned_table JOIN pg_attribute
                     ON attrelid = partrelid AND attnum = partattrs[0] WHERE partrelid = parent::regclass);
    first_id uuid := uuid7_floor(first_moment);
    end_id uuid := uuid7_floor(first_moment + interval '1 month');
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                     WHERE attrelid = parent::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
BEGIN
    -- The lock that a long report may hold comes first: without it nothing else has to wait for us.
    IF is_immutable THEN
        -- Its owner may not lock it, because that takes a right to change rows. This changes nothing under that lock.
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', strays, key);
    ELSE
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', strays);
    END IF;
    -- Another session may have created it while this one waited.
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)',
        partition, parent::regclass);
    -- A month that is made late finds its rows in the default partition, and PostgreSQL attaches no partition whose
    -- rows are there. Of an immutable table they only move, which no one else sees: the table is locked.
    IF is_immutable THEN
        EXECUTE format('GRANT DELETE ON %s TO CURRENT_USER', strays);
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', strays);
    END IF;
    EXECUTE format('WITH moved AS (DELETE FROM %s WHERE %I >= $1 AND %I < $2 RETURNING %s)
        INSERT INTO %s (%s) SELECT * FROM moved', strays, key, key, columns, partition, columns)
        USING first_id, end_id;
    IF is_immutable THEN
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', strays);
        EXECUTE format('REVOKE DELETE ON %s FROM CURRENT_USER', strays);
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
        parent::regclass, partition, first_id, end_id);
    IF is_immutable THEN
        PERFORM protect_rows(partition);
    END IF;
    -- Rows leave outbox_due all day: vacuum by rows changed, not by a share of all rows ever kept.
    IF parent = 'outbox' THEN
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_scale_factor = 0.0,
            autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)', partition);
    END IF;
END
$body$;

CREATE OR REPLACE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer LANGUAGE plpgsql
SET timezone TO 'UTC' SET search_path TO 'public', 'pg_temp' AS $body$
DECLARE
    parent text;
    month timestamptz;
    made integer := 0;
BEGIN
    -- Every partitioned table, so that a migration that adds one has no list to repeat. Tables of the schema public
    -- have no prefix.
    FOR parent IN SELECT oid::regclass::text FROM pg_class WHERE relkind = 'p' ORDER BY 1
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
SELECT ensure_partitions(3);
"""


def upgrade() -> None:
    """Create the tables, the functions and the partitions."""
    for script in (FEES, IMMUTABLE, BOOKS, PARTITIONS):
        op.get_bind().exec_driver_sql(script)
