"""Rebuilds of the books, and seals over their journals. Runs before the deploy.

A journal gets the number of its transaction, in whose order it is sealed. Its default costs a writer nothing, and the
index holds a batch of journals, which has one number, in a few bytes each.
"""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

REBUILDS = """
CREATE TABLE ledger.rebuilds (
    id               uuid PRIMARY KEY,
    book             smallint NOT NULL,
    -- The live book that this one is compared with.
    live_book        smallint NOT NULL,
    rules_version    integer NOT NULL,
    state            text NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    phase            text NOT NULL CHECK (phase IN ('building', 'proving', 'switching', 'done')),
    actor            text NOT NULL,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    failure          text,
    canceled_by      text,
    -- Events of transactions from `from_xid` on and before `until_xid` are being read. Every event before `from_xid` is
    -- in the book. The last one read has the position (merchant, transaction, event).
    from_xid         xid8 NOT NULL DEFAULT '0',
    until_xid        xid8 NOT NULL,
    at_merchant      uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    at_xid           xid8 NOT NULL DEFAULT '0',
    at_event         uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    journals_expected bigint NOT NULL DEFAULT 0,
    events           bigint NOT NULL DEFAULT 0,
    journals         bigint NOT NULL DEFAULT 0,
    unreadable       bigint NOT NULL DEFAULT 0,
    first_unreadable uuid,
    -- Both books are compared up to here, in the order of their events.
    compared_until   uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    compared         bigint NOT NULL DEFAULT 0,
    -- None is left once the proof has waited in vain.
    wait_seconds     integer NOT NULL CHECK (wait_seconds >= 0),
    waiting_since    timestamptz,
    differences      bigint NOT NULL DEFAULT 0,
    first_difference json,
    equal            boolean,
    live_hash        text,
    rebuilt_hash     text,
    -- Switched to: at once when it is equal, or when an operator says so.
    switch_wanted    boolean NOT NULL DEFAULT false,
    switched_at      timestamptz,
    switched_by      text,
    switch_reason    text CHECK (length(switch_reason) BETWEEN 1 AND 500),
    switch_refusal   text,
    CONSTRAINT rebuilds_finished CHECK ((state = 'running') = (finished_at IS NULL)),
    CONSTRAINT rebuilds_failed CHECK ((state = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT rebuilds_canceled CHECK (canceled_by IS NULL OR state = 'failed'),
    CONSTRAINT rebuilds_done CHECK ((state = 'finished') = (phase = 'done')),
    CONSTRAINT rebuilds_proved CHECK ((phase IN ('switching', 'done')) = (equal IS NOT NULL)),
    CONSTRAINT rebuilds_equal_without_differences CHECK (
        equal IS NULL OR equal = (differences = 0 AND live_hash = rebuilt_hash)),
    CONSTRAINT rebuilds_differences_are_shown CHECK ((differences = 0) = (first_difference IS NULL)),
    CONSTRAINT rebuilds_switched_with_reason CHECK (switched_at IS NULL OR equal OR switch_reason IS NOT NULL)
);
CREATE INDEX rebuilds_running ON ledger.rebuilds (created_at) WHERE state = 'running';

-- The hashes of accounts by name, because the same account has another number in each book.
CREATE TABLE ledger.rebuild_accounts (
    rebuild_id      uuid NOT NULL REFERENCES ledger.rebuilds (id) ON DELETE CASCADE,
    name            text COLLATE "C" NOT NULL,
    live_hash       bytea NOT NULL CHECK (octet_length(live_hash) = 32),
    live_entries    bigint NOT NULL CHECK (live_entries >= 0),
    rebuilt_hash    bytea NOT NULL CHECK (octet_length(rebuilt_hash) = 32),
    rebuilt_entries bigint NOT NULL CHECK (rebuilt_entries >= 0),
    PRIMARY KEY (rebuild_id, name)
) WITH (fillfactor = 70);
"""

# A retired book, or one that was never switched to, may be dropped. Nothing else removes a journal.
DROPPING = """
-- Numbers are never used again, so that an old rebuild cannot name a new book.
CREATE SEQUENCE ledger.book_numbers AS smallint START 2;

ALTER TABLE ledger.books DROP CONSTRAINT books_state_check;
ALTER TABLE ledger.books ADD CONSTRAINT books_state_check CHECK (
    state IN ('building', 'live', 'retired', 'dropping'));

CREATE FUNCTION ledger.check_book_transition() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF (OLD.state || '>' || NEW.state) NOT IN (
        'building>live', 'live>retired', 'building>dropping', 'retired>dropping'
    ) THEN
        RAISE EXCEPTION 'book % cannot go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'books_transition_is_legal';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER books_transition_is_legal BEFORE UPDATE ON ledger.books FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION ledger.check_book_transition();

CREATE FUNCTION ledger.refuse_change_unless_dropping() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM ledger.books WHERE id = OLD.book AND state = 'dropping') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'rows of % are never changed or removed: write a correction', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_is_immutable';
END
$body$;
DROP TRIGGER immutable_row ON ledger.journals;
DROP TRIGGER immutable_row ON ledger.transfers;
CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON ledger.journals FOR EACH ROW
    EXECUTE FUNCTION ledger.refuse_change_unless_dropping();
CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON ledger.transfers FOR EACH ROW
    EXECUTE FUNCTION ledger.refuse_change_unless_dropping();

-- Removes a part of a book that is being dropped, and returns how many rows that were, at most `rows_max`, and 0 once
-- the book is gone. The rights last for this transaction alone. Two transactions cannot give and take them at once: one
-- waits.
CREATE FUNCTION ledger.drop_part(dropped smallint, rows_max integer) RETURNS integer LANGUAGE plpgsql AS $body$
DECLARE
    removed integer;
    emptied bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.drop_part', 0));
    IF NOT EXISTS (SELECT FROM ledger.books WHERE id = dropped) THEN
        RETURN 0;
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.books WHERE id = dropped AND state = 'dropping') THEN
        RAISE EXCEPTION 'book % is not being dropped', dropped
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_is_immutable';
    END IF;
    -- UPDATE is for the foreign keys, which look for transfers of an account in a way that locks them.
    GRANT UPDATE, DELETE ON ledger.transfers, ledger.journals, ledger.seals TO CURRENT_USER;
    WITH chosen AS (
        SELECT event_id, rule, number FROM ledger.transfers
        WHERE book = dropped ORDER BY event_id, rule, number LIMIT rows_max
    )
    DELETE FROM ledger.transfers t USING chosen c
    WHERE t.book = dropped AND (t.event_id, t.rule, t.number) = (c.event_id, c.rule, c.number);
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed = 0 THEN
        WITH chosen AS (
            SELECT event_id, rule FROM ledger.journals WHERE book = dropped ORDER BY event_id, rule LIMIT rows_max
        )
        DELETE FROM ledger.journals j USING chosen c
        WHERE j.book = dropped AND (j.event_id, j.rule) = (c.event_id, c.rule);
        GET DIAGNOSTICS removed = ROW_COUNT;
    END IF;
    -- Accounts go some at a time, each after its days, so that no part looks for days through all accounts. For each
    -- account the foreign keys look into every month of the transfers.
    IF removed = 0 THEN
        SELECT array_agg(id) INTO emptied
        FROM (SELECT id FROM ledger.accounts WHERE book = dropped ORDER BY id LIMIT greatest(1, rows_max / 10)) AS next;
        WITH chosen AS (SELECT account, day FROM ledger.daily_totals WHERE account = ANY (emptied) LIMIT rows_max)
        DELETE FROM ledger.daily_totals t USING chosen c WHERE (t.account, t.day) = (c.account, c.day);
        GET DIAGNOSTICS removed = ROW_COUNT;
        IF removed = 0 THEN
            DELETE FROM ledger.accounts WHERE id = ANY (emptied);
            GET DIAGNOSTICS removed = ROW_COUNT;
        END IF;
    END IF;
    IF removed = 0 THEN
        WITH chosen AS (SELECT number FROM ledger.seals WHERE book = dropped ORDER BY number LIMIT rows_max)
        DELETE FROM ledger.seals s USING chosen c WHERE s.book = dropped AND s.number = c.number;
        GET DIAGNOSTICS removed = ROW_COUNT;
    END IF;
    -- The book goes last, and says that nothing is left.
    IF removed = 0 THEN
        DELETE FROM ledger.seal_heads WHERE book = dropped;
        DELETE FROM ledger.books WHERE id = dropped;
    END IF;
    REVOKE UPDATE, DELETE ON ledger.transfers, ledger.journals, ledger.seals FROM CURRENT_USER;
    RETURN removed;
END
$body$;
"""

# No event makes corrections, so a rebuild carries them over.
CORRECTIONS = """
CREATE INDEX journals_corrections ON ledger.journals (book, event_id) WHERE rule < 0;

-- Who ordered which correction, and why. Its journal was written into the book that was live at that moment. A rebuild
-- carries it over into another one that has what it takes back.
CREATE TABLE ledger.corrections (
    id              uuid PRIMARY KEY,
    event_id        uuid NOT NULL,
    -- A payout is settled, and not corrected. Its rules are 10 to 12.
    rule            smallint NOT NULL CHECK (rule > 0)
        CONSTRAINT corrections_of_no_payout CHECK (rule NOT BETWEEN 10 AND 12),
    journal_id      uuid NOT NULL,
    corrects        uuid NOT NULL,
    reason          text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    actor           text NOT NULL,
    idempotency_key text NOT NULL CONSTRAINT corrections_once_for_each_key UNIQUE,
    fingerprint     bytea NOT NULL CHECK (length(fingerprint) = 32),
    created_at      timestamptz NOT NULL
);
CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON ledger.corrections FOR EACH ROW
    EXECUTE FUNCTION refuse_change();
SELECT protect_rows('ledger.corrections');
"""

SEALS = """
ALTER TABLE ledger.journals ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
-- Every journal has such a version. Statements that do not say so do not fit this index, so the planner does not choose
-- it for them while there are no journals.
CREATE INDEX journals_to_seal ON ledger.journals (book, xid) WHERE rule_version > 0;

-- A block of journals in the order of (transaction, event, rule). Its hash covers the hash of the block before it.
CREATE TABLE ledger.seals (
    book           smallint NOT NULL,
    number         bigint NOT NULL CHECK (number > 0),
    first_xid      xid8 NOT NULL,
    first_event_id uuid NOT NULL,
    first_rule     smallint NOT NULL,
    last_xid       xid8 NOT NULL,
    last_event_id  uuid NOT NULL,
    last_rule      smallint NOT NULL,
    journals       integer NOT NULL CHECK (journals BETWEEN 1 AND 1000),
    hash           bytea NOT NULL CHECK (octet_length(hash) = 32),
    previous_hash  bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    sealed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (book, number),
    CONSTRAINT seals_in_order CHECK ((first_xid, first_event_id, first_rule) <= (last_xid, last_event_id, last_rule))
);
CREATE TRIGGER immutable_row BEFORE UPDATE OR DELETE ON ledger.seals FOR EACH ROW
    EXECUTE FUNCTION ledger.refuse_change_unless_dropping();
SELECT protect_rows('ledger.seals');
-- The end of each book's chain. Its row is locked while a block is added.
CREATE TABLE ledger.seal_heads (
    book          smallint PRIMARY KEY,
    number        bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    last_xid      xid8 NOT NULL DEFAULT '0',
    last_event_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    last_rule     smallint NOT NULL DEFAULT 0,
    hash          bytea NOT NULL CHECK (octet_length(hash) = 32)
);
"""

# What the last check of each invariant has found. The checks are of more than the books.
FINDINGS = """
CREATE TABLE invariant_findings (
    name       text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    -- NULL if it could not be checked.
    holds      boolean,
    checked    bigint NOT NULL CHECK (checked >= 0),
    detail     text NOT NULL,
    -- When the check began.
    checked_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Add the tables, the number of a journal's transaction, and the way to drop a book."""
    for script in (REBUILDS, DROPPING, CORRECTIONS, SEALS, FINDINGS):
        op.get_bind().exec_driver_sql(script)
