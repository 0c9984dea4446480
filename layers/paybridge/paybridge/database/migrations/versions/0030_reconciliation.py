"""Reconciliation: a run for each day, the statements of gateways, and breaks. Runs before the deploy.

Lines of statements are deleted after a while. Runs and breaks stay.
"""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

RUNS = """
CREATE TABLE reconciliations (
    id          uuid PRIMARY KEY,
    day         date NOT NULL UNIQUE CHECK (day >= '1970-01-01'),
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'failed')),
    -- A day that is reconciled again goes through all phases again, as the next pass.
    pass        integer NOT NULL DEFAULT 1 CHECK (pass > 0),
    -- When the pass began. What came later is not compared.
    began_at    timestamptz NOT NULL,
    gateways    text[] NOT NULL,
    -- Where the pass is: at which of the gateways, in which phase, and how far.
    gateway     smallint NOT NULL DEFAULT 0 CHECK (gateway >= 0),
    phase       text NOT NULL CHECK (phase IN ('statement', 'lines', 'ours', 'settle', 'close')),
    place       json NOT NULL DEFAULT '{}',
    -- Sums per currency so far, with every digit as text.
    totals      json NOT NULL DEFAULT '{}',
    matched     bigint NOT NULL DEFAULT 0 CHECK (matched >= 0),
    on_the_way  bigint NOT NULL DEFAULT 0 CHECK (on_the_way >= 0),
    -- Operations without an outcome on one of the sides. The day is compared again until they have one.
    pending     bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
    -- What the pass came to: the difference per currency, and the part of it that no break explains.
    difference  json,
    unexplained json,
    actor       text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    -- What keeps the pass from going on, and when to try again.
    error       text,
    retry_at    timestamptz,
    -- Since when a gateway has given no statement, however long the pass has taken before.
    failing_since timestamptz,
    created_at  timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT reconciliations_gateway_is_one_of_them CHECK (gateway < greatest(cardinality(gateways), 1)),
    CONSTRAINT reconciliations_end_has_a_time CHECK ((state = 'running') = (finished_at IS NULL)),
    CONSTRAINT reconciliations_finished_are_explained CHECK (
        state <> 'finished'
        OR difference IS NOT NULL AND unexplained IS NOT NULL AND unexplained::text = '{}'),
    CONSTRAINT reconciliations_failures_say_why CHECK (state <> 'failed' OR error IS NOT NULL)
);
CREATE INDEX reconciliations_running ON reconciliations (day) WHERE state = 'running';
"""

STATEMENTS = """
CREATE TABLE gateway_statements (
    gateway    text NOT NULL CHECK (gateway ~ '^[a-z][a-z0-9_]{0,31}$'),
    day        date NOT NULL CHECK (day >= '1970-01-01'),
    -- Whose lines these are. A statement that takes the place of another has lines of another id.
    id         uuid NOT NULL UNIQUE,
    -- gateway: it was asked. import: a person or a program brought it, and the gateway is not asked.
    source     text NOT NULL CHECK (source IN ('gateway', 'import')),
    lines      integer NOT NULL DEFAULT 0 CHECK (lines >= 0),
    has_holds  boolean NOT NULL,
    actor      text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (day, gateway)
);

CREATE TABLE gateway_statement_lines (
    statement_id uuid NOT NULL,
    -- The operation that the line names, else one made of the gateway's id.
    key          uuid NOT NULL,
    is_named     boolean NOT NULL,
    number       integer NOT NULL CHECK (number > 0),
    line_id      text NOT NULL CHECK (length(line_id) BETWEEN 1 AND 255),
    kind         text NOT NULL CONSTRAINT gateway_statement_lines_kind_is_known CHECK (
        kind IN ('charge', 'authorization', 'capture', 'void', 'refund', 'refund_reversal')),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency     char(3) NOT NULL,
    status       text NOT NULL CHECK (status IN ('succeeded', 'pending', 'declined')),
    at           timestamptz NOT NULL,
    -- False within the grace window around the day.
    is_of_day    boolean NOT NULL,
    -- The gateway was asked about the operation, and the line is not compared before it has answered.
    asked_at     timestamptz,
    is_waiting   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (statement_id, key, number)
);
CREATE INDEX gateway_statement_lines_by_id ON gateway_statement_lines (line_id, statement_id);
CREATE INDEX gateway_statement_lines_waiting ON gateway_statement_lines (statement_id, key) WHERE is_waiting;

-- Statements whose lines are to be deleted, a part at a time.
CREATE TABLE gateway_statement_leftovers (id uuid PRIMARY KEY);
"""

BREAKS = """
CREATE TABLE reconciliation_breaks (
    id                uuid PRIMARY KEY,
    reconciliation_id uuid NOT NULL REFERENCES reconciliations (id),
    gateway           text NOT NULL,
    -- The same whenever the break is found again. It begins with the run and the gateway, so that a look-up by it
    -- has one index to choose from.
    identity          text NOT NULL CONSTRAINT reconciliation_breaks_once UNIQUE,
    -- The newest pass that found it.
    pass              integer NOT NULL,
    type              text NOT NULL CONSTRAINT reconciliation_breaks_type_is_known CHECK (type IN (
        'missing_at_gateway', 'missing_here', 'missing_in_ledger', 'amount_mismatch', 'currency_mismatch',
        'status_mismatch', 'duplicate_at_gateway', 'duplicate_here', 'late', 'unknown_resolved')),
    leg               text NOT NULL CHECK (leg IN ('gateway', 'ledger')),
    state             text NOT NULL CHECK (state IN ('open', 'explained', 'resolved', 'void')),
    resolution        text CHECK (resolution IN ('auto', 'manual', 'force')),
    operation_id      uuid,
    payment_id        uuid,
    merchant_id       uuid,
    kind              text,
    direction         text CHECK (direction IN ('over', 'under')),
    at_gateway        json,
    in_payments       json,
    in_ledger         json,
    -- Per currency, in minor units as text, how much of the difference it makes up.
    effects           json NOT NULL,
    note              text,
    actor             text,
    found_at          timestamptz NOT NULL,
    changed_at        timestamptz NOT NULL,
    CONSTRAINT reconciliation_breaks_identity_is_of_run
        CHECK (starts_with(identity, reconciliation_id || '|' || gateway || '|')),
    CONSTRAINT reconciliation_breaks_resolved_somehow CHECK ((state = 'resolved') = (resolution IS NOT NULL)),
    CONSTRAINT reconciliation_breaks_say_who CHECK (state = 'open' OR actor IS NOT NULL)
);
CREATE INDEX reconciliation_breaks_of_run ON reconciliation_breaks (reconciliation_id, id);
CREATE INDEX reconciliation_breaks_open ON reconciliation_breaks (type) WHERE state = 'open';
CREATE INDEX reconciliation_breaks_standing ON reconciliation_breaks (reconciliation_id)
    WHERE state IN ('open', 'explained');

CREATE TABLE reconciliation_break_actions (
    break_id   uuid NOT NULL REFERENCES reconciliation_breaks (id),
    number     integer NOT NULL,
    at         timestamptz NOT NULL,
    action     text NOT NULL CHECK (action IN ('open', 'explain', 'resolve', 'void')),
    -- How it was resolved, which the break does not know any more once it is open again.
    resolution text CHECK (resolution IN ('auto', 'manual', 'force')),
    actor      text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    note       text CHECK (length(note) BETWEEN 1 AND 500),
    PRIMARY KEY (break_id, number),
    CONSTRAINT reconciliation_break_actions_resolve_somehow CHECK ((action = 'resolve') = (resolution IS NOT NULL))
);
"""


def upgrade() -> None:
    """Add the tables."""
    for script in (RUNS, STATEMENTS, BREAKS):
        op.get_bind().exec_driver_sql(script)
