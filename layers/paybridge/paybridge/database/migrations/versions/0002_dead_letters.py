"""Dead letters, what operators do with them, and redrives. Runs before the deploy.

The outbox takes redrives too, which concern a message and not always a payment. Its columns `payment_id` and
`merchant_id` therefore become optional, for these rows alone. The new rule is not checked for the rows that exist,
because that would lock a big table for as long as it takes to read it.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REDRIVES = """
CREATE TABLE dead_letter_redrives (
    id                  uuid PRIMARY KEY,
    actor               text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    -- What was asked for: ids, a fingerprint or a queue.
    selection           json NOT NULL,
    rate_per_second     double precision NOT NULL
        CHECK (rate_per_second > 0 AND rate_per_second < 'Infinity'::double precision),
    matched             integer NOT NULL CHECK (matched >= 0),
    answer              json NOT NULL,
    idempotency_key     text CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_fingerprint bytea CHECK (octet_length(request_fingerprint) = 32),
    created_at          timestamptz NOT NULL,
    CONSTRAINT dead_letter_redrives_key_once UNIQUE (actor, idempotency_key),
    CONSTRAINT dead_letter_redrives_key_has_request
        CHECK ((idempotency_key IS NULL) = (request_fingerprint IS NULL))
);
"""

DEAD_LETTERS = """
CREATE TABLE dead_letters (
    id                uuid PRIMARY KEY,
    -- SHA-256 of queue, message id and body: the same message is one row, however often it dies.
    identity          bytea NOT NULL CONSTRAINT dead_letters_once UNIQUE CHECK (octet_length(identity) = 32),
    -- SHA-256 of the headers it arrived with last, without the broker's counters.
    death             bytea NOT NULL CHECK (octet_length(death) = 32),
    queue             text NOT NULL CHECK (queue <> ''),
    dead_letter_queue text NOT NULL CHECK (dead_letter_queue <> ''),
    reason            text NOT NULL CHECK (reason <> ''),
    fingerprint       text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
    state             text NOT NULL DEFAULT 'dead'
        CONSTRAINT dead_letters_state_is_known CHECK (state IN ('dead', 'redriving', 'redriven', 'discarded')),
    count             integer NOT NULL DEFAULT 1 CHECK (count > 0),
    redrives          integer NOT NULL DEFAULT 0 CHECK (redrives >= 0),
    message_id        text NOT NULL,
    message_type      text NOT NULL,
    correlation_id    text NOT NULL,
    payment_id        uuid,
    body              bytea NOT NULL,
    headers           json NOT NULL,
    deaths            json NOT NULL,
    first_seen_at     timestamptz NOT NULL,
    last_seen_at      timestamptz NOT NULL,
    redrive_id        uuid REFERENCES dead_letter_redrives (id),
    -- The row of the outbox that will publish it again.
    outbox_id         uuid CONSTRAINT dead_letters_outbox_once UNIQUE,
    closed_at         timestamptz,
    closed_by         text CHECK (length(closed_by) BETWEEN 1 AND 200),
    note              text CHECK (length(note) BETWEEN 1 AND 1000),
    CONSTRAINT dead_letters_seen_in_order CHECK (first_seen_at <= last_seen_at),
    CONSTRAINT dead_letters_redrive_is_known
        CHECK (state NOT IN ('redriving', 'redriven') OR (redrive_id IS NOT NULL AND redrives > 0)),
    CONSTRAINT dead_letters_redriving_has_a_message CHECK ((state = 'redriving') = (outbox_id IS NOT NULL)),
    CONSTRAINT dead_letters_discarded_says_who
        CHECK ((state = 'discarded') = (closed_at IS NOT NULL AND closed_by IS NOT NULL AND note IS NOT NULL)),
    CONSTRAINT dead_letters_open_is_not_closed
        CHECK (state = 'discarded' OR (closed_at IS NULL AND closed_by IS NULL AND note IS NULL))
);
CREATE INDEX dead_letters_by_queue ON dead_letters (queue, id);
CREATE INDEX dead_letters_by_fingerprint ON dead_letters (fingerprint, id);
CREATE INDEX dead_letters_by_state ON dead_letters (state, id);
CREATE INDEX dead_letters_by_payment ON dead_letters (payment_id) WHERE payment_id IS NOT NULL;
-- The job counts these every minute, and the alarm is about them.
CREATE INDEX dead_letters_dead ON dead_letters (fingerprint) WHERE state = 'dead';

CREATE FUNCTION dead_letters_check_transition() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF (OLD.state || '>' || NEW.state) NOT IN (
        'dead>redriving', 'dead>discarded', 'redriving>redriven',
        -- It died again.
        'redriving>dead', 'redriven>dead', 'discarded>dead'
    ) THEN
        RAISE EXCEPTION 'dead letter % cannot go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'dead_letters_transition_is_legal';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER dead_letters_transition_is_legal BEFORE UPDATE ON dead_letters FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION dead_letters_check_transition();

-- Who did what: rows are added and never changed.
CREATE TABLE dead_letter_actions (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id uuid NOT NULL REFERENCES dead_letters (id),
    action         text NOT NULL CHECK (action IN ('redrive', 'discard')),
    actor          text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    note           text CHECK (length(note) BETWEEN 1 AND 1000),
    redrive_id     uuid REFERENCES dead_letter_redrives (id),
    at             timestamptz NOT NULL,
    CONSTRAINT dead_letter_actions_name_their_redrive CHECK ((action = 'redrive') = (redrive_id IS NOT NULL)),
    CONSTRAINT dead_letter_actions_discard_has_a_note CHECK (action <> 'discard' OR note IS NOT NULL)
);
CREATE INDEX dead_letter_actions_by_letter ON dead_letter_actions (dead_letter_id, id);
CREATE FUNCTION dead_letter_actions_stay() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'actions on dead letters are not changed'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'dead_letter_actions_stay';
END
$body$;
CREATE TRIGGER dead_letter_actions_stay BEFORE UPDATE OR DELETE ON dead_letter_actions
    FOR EACH ROW EXECUTE FUNCTION dead_letter_actions_stay();
"""

OUTBOX = """
ALTER TABLE outbox ALTER COLUMN payment_id DROP NOT NULL, ALTER COLUMN merchant_id DROP NOT NULL;
ALTER TABLE outbox ADD CONSTRAINT outbox_subject_unless_redrive
    CHECK (type = 'command.redrive' OR (payment_id IS NOT NULL AND merchant_id IS NOT NULL)) NOT VALID;
"""


def upgrade() -> None:
    """Creates the tables of dead letters, and lets the outbox publish them again."""
    for script in (REDRIVES, DEAD_LETTERS, OUTBOX):
        op.get_bind().exec_driver_sql(script)
