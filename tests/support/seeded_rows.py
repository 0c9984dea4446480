"""A database with as many rows as it takes for the planner to mind what it reads.

Half of the payments lie in the previous month and half in this one, whatever today's date is, so that every
partitioned table has two months with rows, and months ahead without any. One payment in a hundred is unsettled and one
in two hundred waits for its relay, as on a working day.
"""

# ruff: noqa: S608 -- what is put into the SQL are numbers of this file and conditions of tests.

from __future__ import annotations

from pg8000.core import CoreConnection

PAYMENTS = 24_000
MERCHANT = "00000000-0000-4000-8000-000000000001"
PAYMENT, CREATED, SUCCEEDED, DELIVERY, REFUND, NOTIFICATION = range(6)
"""The kinds of ids: a payment, its two events, the webhook and the notification about the second, and its refund."""

_FUNCTIONS = f"""
CREATE FUNCTION seeded_moment(n integer) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
           - interval '27 days' + (n - 1) * interval '54 days' / {PAYMENTS}
$$;
-- A UUIDv7 but for its chance.
CREATE FUNCTION seeded_id(kind integer, n integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT (lpad(to_hex((extract(epoch FROM seeded_moment(n)) * 1000)::bigint), 12, '0')
            || '7000800' || kind || lpad(to_hex(n), 12, '0'))::uuid
$$;
"""

_SEED = f"""
INSERT INTO merchants (id, name, webhook_secrets, follows_progress, email, notify)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Merchant ' || n, ARRAY['whsec_x'], true,
       'payments@merchant-' || n || '.example', ARRAY['payment.*']
FROM generate_series(1, 2000) AS n;

INSERT INTO api_keys (id, key_hash, merchant_id, role)
SELECT gen_random_uuid(), sha256(n::text::bytea),
       ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'merchant'
FROM generate_series(1, 2000) AS n;

-- An endpoint has the id of its merchant.
INSERT INTO webhook_endpoints (id, merchant_id, url, events, secrets, created_at, updated_at)
SELECT id, id, 'http://127.0.0.1/ok', ARRAY['payment.*'], '[{{"secret": "whsec_x", "valid_until": null}}]', now(), now()
FROM merchants;

INSERT INTO merchant_fees (merchant_id, valid_from, fees)
SELECT id, now() - change * interval '1 day', '{{"percent": "2.9"}}' FROM merchants, generate_series(1, 3) AS change;

CREATE TABLE seeded AS
SELECT n, seeded_moment(n) AS at, seeded_id(0, n) AS id, n % 100 = 0 AS unsettled,
       ('00000000-0000-4000-8000-' || lpad(to_hex(1 + n % 40), 12, '0'))::uuid AS merchant_id
FROM generate_series(1, {PAYMENTS}) AS n;

-- Some payments count as archived, although they are still there.
INSERT INTO archived_owners (kind, merchant_id, first_id, last_id, month, ids)
SELECT 'payment', merchant_id, min(id::text)::uuid, max(id::text)::uuid, '2024-03-01', array_agg(id ORDER BY id)
FROM seeded WHERE n <= 2000 GROUP BY merchant_id, n / 400;

INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, currency, status, webhook_url, customer,
                      correlation_id, last_sequence, created_at, updated_at, capture, authorized_minor, capture_before)
SELECT id, merchant_id, 10050, CASE WHEN unsettled OR held THEN 0 ELSE 10050 END, 'RUB',
       CASE WHEN n % 200 = 0 THEN 'pending' WHEN unsettled THEN 'processing' WHEN held THEN 'requires_capture'
            ELSE 'succeeded' END,
       'http://127.0.0.1/ok', 'customer ' || n % 500, 'c-' || n, 3, at, at,
       CASE WHEN held THEN 'manual' ELSE 'automatic' END, CASE WHEN held THEN 10050 ELSE 0 END,
       CASE WHEN held THEN now() + interval '7 days' END
FROM seeded, LATERAL (SELECT n % 400 = 201 AS held) AS holding;

INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, response_body,
                              created_at)
SELECT merchant_id, 'create_payment', 'key-' || n, sha256(n::text::bytea), id, 202,
       CASE WHEN n > {PAYMENTS} * 0.9 THEN '{{}}' END, at
FROM seeded;

INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, gateway_id,
                        started_at, finished_at, correlation_id, created_at, updated_at)
SELECT id, id, merchant_id, 'charge', 'default', 10050, CASE WHEN unsettled THEN 'started' ELSE 'succeeded' END, 1,
       CASE WHEN NOT unsettled THEN 'ch_' || n END, at, CASE WHEN NOT unsettled THEN at END, 'c-' || n, at, at
FROM seeded WHERE n % 200 <> 0;

INSERT INTO operation_attempts (operation_id, number, status, gateway_id, started_at, finished_at)
SELECT id, 1, 'succeeded', 'ch_' || n, at, at FROM seeded WHERE n % 200 <> 0 AND NOT unsettled;

INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, gateway_id,
                        started_at, finished_at, correlation_id, created_at, updated_at)
SELECT seeded_id(4, n), id, merchant_id, 'refund', 'default', 1,
       CASE WHEN n % 1000 = 3 THEN 'started' ELSE 'succeeded' END, 1, CASE WHEN n % 1000 <> 3 THEN 're_' || n END, at,
       CASE WHEN n % 1000 <> 3 THEN at END, 'c-' || n, at, at
FROM seeded WHERE n % 20 = 3 AND NOT unsettled;

INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
                    created_at, available_at, published_at)
SELECT seeded_id(kind, n), id, merchant_id, kind, 'payment.created',
       CASE kind WHEN 1 THEN 'payments' ELSE 'payments.events' END, 'payments.new', repeat('x', 400), 'c-' || n, at, at,
       CASE WHEN n % 200 <> 0 OR kind = 1 THEN at END
FROM seeded, generate_series(1, 2) AS kind WHERE NOT unsettled OR kind = 1 OR n % 200 = 0;

INSERT INTO webhook_deliveries (id, merchant_id, payment_id, endpoint_id, event_id, event_type, url, body,
                                correlation_id, status, attempts, created_at, finished_at)
SELECT seeded_id(3, n), merchant_id, id, CASE WHEN n % 2 = 0 THEN merchant_id END, seeded_id(2, n),
       'payment.succeeded', 'http://127.0.0.1/ok', repeat('x', 300),
       'c-' || n, CASE WHEN n % 150 = 0 THEN 'pending' ELSE 'delivered' END, 1, at,
       CASE WHEN n % 150 <> 0 THEN at END
FROM seeded WHERE NOT unsettled;

-- A recovery has the id of its endpoint. That of MERCHANT searches still.
INSERT INTO webhook_recoveries (id, endpoint_id, merchant_id, since, until_xid, state, finished_at)
SELECT DISTINCT ON (merchant_id) merchant_id, merchant_id, merchant_id, at, '1000000',
       CASE WHEN merchant_id = '{MERCHANT}' THEN 'running' ELSE 'finished' END,
       CASE WHEN merchant_id <> '{MERCHANT}' THEN at END
FROM seeded;

-- A resumption has the id of its endpoint.
INSERT INTO webhook_resumptions (endpoint_id, started_at) SELECT id, now() FROM merchants;

INSERT INTO webhook_attempts (delivery_id, number, status, started_at, finished_at)
SELECT seeded_id(3, n), 1, 'delivered', at, at FROM seeded WHERE NOT unsettled;

INSERT INTO notifications (id, merchant_id, payment_id, subject_type, subject_id, event_id, event_type, pattern,
                           channel, contact, recipient, title, body, correlation_id, status, attempts,
                           next_attempt_at, claimed_at, provider_message_id, created_at, finished_at)
SELECT seeded_id(5, n), merchant_id, id, 'payment', id, seeded_id(2, n), 'payment.succeeded', 'payment.*',
       CASE WHEN status = 'sending' THEN 'sms' ELSE 'email' END, 'payments@merchant.example', 'Merchant',
       CASE WHEN status <> 'sending' THEN 'Payment succeeded' END, repeat('x', 300), 'c-' || n, status,
       CASE WHEN status = 'pending' THEN 0 ELSE 1 END, CASE WHEN status = 'pending' THEN at END,
       CASE WHEN status <> 'pending' THEN at END, CASE WHEN status = 'sent' THEN 'ses-' || n END, at,
       CASE WHEN status = 'sent' THEN at END
FROM seeded, LATERAL (
    SELECT CASE n % 150 WHEN 0 THEN 'pending' WHEN 1 THEN 'sending' ELSE 'sent' END AS status
) AS now_is
WHERE NOT unsettled;

INSERT INTO webhook_receivers (merchant_id, origin, consecutive_failures)
SELECT merchant_id, 'https://receiver-' || n, 1 FROM seeded WHERE n % 10 = 0;

INSERT INTO dead_letter_redrives (id, actor, selection, rate_per_second, matched, answer, created_at)
VALUES ('00000000-0000-7000-8000-000000000001', 'seed', '{{}}', 1, 1, '{{}}', now());
INSERT INTO dead_letters (id, identity, death, queue, dead_letter_queue, reason, fingerprint, state, redrives,
                          message_id, message_type, correlation_id, body, headers, deaths, first_seen_at, last_seen_at,
                          redrive_id, outbox_id, closed_at, closed_by, note)
SELECT seeded_id(0, n), sha256(n::text::bytea), sha256('death'),
       CASE n % 2 WHEN 0 THEN 'webhooks' ELSE 'payments.new' END, 'payments.dead', 'reason ' || n % 50,
       lpad(to_hex(n % 50), 16, '0'), state, CASE WHEN n % 10 < 3 THEN 1 ELSE 0 END,
       'm-' || n, 't', 'c-' || n, repeat('x', 300)::bytea, '{{}}', '[]', at, at,
       CASE WHEN n % 10 < 3 THEN '00000000-0000-7000-8000-000000000001'::uuid END,
       CASE state WHEN 'redriving' THEN seeded_id(1, n) END, CASE state WHEN 'discarded' THEN at END,
       CASE state WHEN 'discarded' THEN 'seed' END, CASE state WHEN 'discarded' THEN 'seed' END
FROM (SELECT *, (ARRAY['redriving', 'redriven', 'redriven', 'dead', 'discarded', 'discarded', 'discarded', 'discarded',
                       'discarded', 'discarded'])[1 + n % 10] AS state FROM seeded) AS states;
INSERT INTO dead_letter_actions (dead_letter_id, action, actor, note, at)
SELECT seeded_id(0, n), 'discard', 'seed', 'seed', at FROM seeded;
INSERT INTO counters (name, value) SELECT 'counter ' || n, n FROM generate_series(1, 20) AS n;

INSERT INTO gateway_notices (gateway, id, type, claim, operation_id, outcome, received_at, work_at)
SELECT 'default', 'ntc_' || n, 'charge.succeeded', 'done', id, CASE WHEN n % 100 = 0 THEN 'waiting' ELSE 'asked' END,
       at, CASE WHEN n % 100 = 0 THEN at END
FROM seeded;

INSERT INTO circuits (name) VALUES ('gateway');

INSERT INTO fraud_rule_sets (merchant_id, version, rules, rule_count, actor, created_at)
SELECT DISTINCT ON (merchant_id, version) merchant_id, version, '[{{}}]', 1, 'seed', now()
FROM seeded, generate_series(1, 50) AS version;
INSERT INTO fraud_counters (owner_id, digest, count, sums, last_at, kept_until)
SELECT merchant_id, md5(n::text)::uuid, 2, '{{"RUB": 20100}}', at, at + interval '31 days' FROM seeded;
INSERT INTO fraud_counter_points (owner_id, digest, at, count_before, sums_before, kept_until)
SELECT merchant_id, md5(n::text)::uuid, at - point * interval '1 minute', 1 - point, '{{}}', at + interval '31 days'
FROM seeded, generate_series(0, 1) AS point;
INSERT INTO fraud_decisions (payment_id, merchant_id, rule_set_version, decision, score, rules, facts, screened_at,
                             review_expires_at, answer, actor, answered_at)
SELECT id, merchant_id, 1, CASE WHEN n % 50 = 1 THEN 'review' ELSE 'allow' END, 0, '[]', '{{}}', at,
       CASE WHEN n % 50 = 1 THEN at + interval '1 day' END, CASE WHEN n % 100 = 1 THEN 'approved' END,
       CASE WHEN n % 100 = 1 THEN 'seed' END, CASE WHEN n % 100 = 1 THEN at END
FROM seeded;
INSERT INTO fraud_dry_runs (id, merchant_id, rules, counted_from, begin_at, end_at, state, created_at, warm_up, total,
                            finished_at)
SELECT id, merchant_id, '[]', at, at, at, CASE WHEN n <= 40 THEN 'running' ELSE 'finished' END, at, 0, 0,
       CASE WHEN n > 40 THEN at END
FROM seeded WHERE n % 5 = 0 OR n <= 40;

INSERT INTO replays (id, consumer, types, begin_at, end_at, rate_per_second, is_dry_run, state, horizon, position,
                     created_by, created_at, finished_at, outbox_id)
SELECT id, 'webhooks', '{{}}', at, at + interval '1 day', 1, n = 2,
       CASE WHEN n < 3 THEN 'running' ELSE 'finished' END, '1', id, 'tests', at,
       CASE WHEN n >= 3 THEN at END, CASE WHEN n = 1 THEN id END
FROM seeded WHERE n < 4000;
"""

# Of one payment in three, which is enough rows for the planner.
_SEED_BOOKS = """
INSERT INTO ledger.books (id, name, state, rules_version) VALUES (9, 'dropped', 'dropping', 1);
INSERT INTO ledger.accounts (book, owner, kind, currency, places, normal_side, credits_minor)
SELECT 1, id, kind, 'RUB', 2, 'credit', 10050 FROM merchants, unnest(ARRAY['available', 'pending']) AS kind;
INSERT INTO ledger.accounts (book, owner, kind, currency, places, normal_side, debits_minor)
VALUES (1, NULL, 'gateway_clearing', 'RUB', 2, 'debit', 10050), (1, NULL, 'fees', 'RUB', 2, 'credit', 0);

-- The journal of a payment has the id of its payment.
INSERT INTO ledger.journals (book, event_id, rule, rule_version, id, owner, payment_id, operation_id, happened_at,
                             currency)
SELECT 1, seeded_id(2, n), 2, 1, id, merchant_id, id, id, at, 'RUB' FROM seeded WHERE NOT unsettled AND n % 3 = 0;
INSERT INTO ledger.transfers (book, event_id, rule, number, places, debit_account, credit_account, amount_minor,
                              happened_at, currency)
SELECT 1, seeded_id(2, n), 2, number, 2, CASE number WHEN 1 THEN house.id ELSE mine.id END,
       CASE number WHEN 1 THEN mine.id ELSE fees.id END, CASE number WHEN 1 THEN 10050 ELSE 291 END, at, 'RUB'
FROM seeded JOIN ledger.accounts mine ON mine.owner = merchant_id AND mine.kind = 'available'
     JOIN ledger.accounts house ON house.owner IS NULL AND house.kind = 'gateway_clearing'
     JOIN ledger.accounts fees ON fees.owner IS NULL AND fees.kind = 'fees', generate_series(1, 2) AS number
WHERE NOT unsettled AND n % 3 = 0;
INSERT INTO ledger.daily_totals (account, day, debits_minor, credits_minor)
SELECT account, (happened_at AT TIME ZONE 'UTC')::date, sum(debit), sum(credit)
FROM ledger.transfers, LATERAL (VALUES (debit_account, amount_minor, 0), (credit_account, 0, amount_minor))
                       AS side (account, debit, credit)
GROUP BY 1, 2;

-- A day of each of sixty days was reconciled. The newest is under way, and its statement has a line for each operation.
INSERT INTO reconciliations (id, day, state, began_at, gateways, phase, difference, unexplained, actor, created_at,
                             finished_at)
SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, current_date - n,
       CASE n WHEN 1 THEN 'running' ELSE 'finished' END, now(), ARRAY['default'], 'lines', '{}', '{}', 'seed', now(),
       CASE WHEN n > 1 THEN now() END
FROM generate_series(1, 60) AS n;
INSERT INTO gateway_statements (gateway, day, id, source, has_holds, actor, created_at)
SELECT 'default', day, id, CASE WHEN day > current_date - 3 THEN 'import' ELSE 'gateway' END, true, 'seed', now()
FROM reconciliations;
INSERT INTO gateway_statement_lines (statement_id, key, is_named, number, line_id, kind, amount_minor, currency, status,
                                     at, is_of_day, is_waiting)
SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(CASE WHEN n % 2 = 0 THEN 1 ELSE 1 + n % 60 END), 12, '0'))::uuid, id,
       true, n, 'ch_' || n, 'charge', 10050, 'RUB', 'succeeded', at, true, n % 500 = 0
FROM seeded;
INSERT INTO gateway_statement_leftovers (id)
VALUES ('00000000-0000-4000-9000-00000000003c'), ('00000000-0000-4000-9000-00000000003d');
INSERT INTO reconciliation_breaks (id, reconciliation_id, gateway, identity, pass, type, leg, state, resolution, actor,
                                   effects, found_at, changed_at)
SELECT seeded_id(0, n), run, 'default', run || '|default|i' || n, 1, 'late', 'gateway',
       CASE WHEN n % 100 = 0 THEN 'open' ELSE 'resolved' END, CASE WHEN n % 100 > 0 THEN 'auto' END, 'seed',
       '{"RUB": "1"}', at, at
FROM seeded, CAST('00000000-0000-4000-9000-' || lpad(to_hex(1 + n % 60), 12, '0') AS uuid) AS run WHERE n % 4 = 0;
INSERT INTO reconciliation_break_actions (break_id, number, at, action, resolution, actor, note)
SELECT id, 1, found_at, 'resolve', 'auto', 'seed', 'seed' FROM reconciliation_breaks WHERE state = 'resolved';
"""

_SEED_ANALYTICS = """
INSERT INTO analytics.event_cursors (merchant_id, xid, event_id, events)
SELECT DISTINCT merchant_id, '1'::xid8, '00000000-0000-0000-0000-000000000000'::uuid, 1 FROM seeded;
INSERT INTO analytics.counted_payments (merchant_id, day, currency, payment_id, created_at, settled_at, outcome, amount,
                                        captured, sequence)
SELECT merchant_id, (at AT TIME ZONE 'UTC')::date, 'RUB', id, at, at, 'succeeded', 100.50, 100.50, 2 FROM seeded;
INSERT INTO analytics.counted_refunds (merchant_id, day, currency, refund_id, outcome, amount, sequence)
SELECT merchant_id, (at AT TIME ZONE 'UTC')::date, 'RUB', seeded_id(4, n), 'succeeded', 1.00, 2
FROM seeded WHERE n % 20 = 3;
INSERT INTO analytics.counted_deliveries (merchant_id, day, currency, delivery_id, is_delivered, ended_at)
SELECT merchant_id, (at AT TIME ZONE 'UTC')::date, 'RUB', seeded_id(3, n), true, at FROM seeded;
INSERT INTO analytics.days (merchant_id, day, currency, payments, unsettled, authorized, succeeded, failed, canceled,
                            amount, captured, settled, settling_us, refunds, refunds_open, refunds_failed, refunded,
                            webhooks_delivered, webhooks_failed, computed_at, seconds_spent)
SELECT merchant_id, date '2000-01-01' + day, currency, 1, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, now(), 0
FROM (SELECT DISTINCT merchant_id FROM seeded) AS merchants, generate_series(1, 300) AS day,
     unnest(ARRAY['EUR', 'RUB']) AS currency;
INSERT INTO analytics.dirty_days (merchant_id, day, currency, marked_at)
SELECT merchant_id, day, currency, now() FROM analytics.days WHERE day < '2000-01-20';
"""


# One payout in three is pending. The key is the number.
_SEED_PAYOUTS = """
INSERT INTO ledger.payouts (id, merchant_id, currency, places, amount_minor, available_after_minor, status,
                            settled_by, idempotency_key, fingerprint, correlation_id, created_at, updated_at)
SELECT id, merchant_id, 'RUB', 2, 1, 0, CASE WHEN n % 3 = 0 THEN 'pending' ELSE 'paid' END,
       CASE WHEN n % 3 > 0 THEN 'seed' END, n::text, sha256('payout'), 'seed', at, at
FROM seeded WHERE n % 5 = 0;
"""

_SEED_BRIDGE = """
INSERT INTO bridge.recording (began_at) SELECT min(at) FROM seeded;
INSERT INTO bridge.sent_events (event_id) SELECT seeded_id(2, n) FROM seeded WHERE NOT unsettled;
"""


class SeededRows:
    """The rows of one database, which `connection` leads to."""

    def __init__(self, connection: CoreConnection) -> None:
        self._connection = connection
        connection.execute_simple(_FUNCTIONS)

    def write(self) -> None:
        """Writes the rows; the planner knows nothing of them yet."""
        for script in (_SEED, _SEED_BOOKS, _SEED_PAYOUTS, _SEED_BRIDGE, _SEED_ANALYTICS):
            self._connection.execute_simple(script)

    def analyze(self) -> None:
        """Has the planner look at every table with rows.

        The months ahead stay unknown to it, as they are until autovacuum comes by: a table without rows it never
        visits.
        """
        filled = self._connection.execute_simple("""
            SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind = 'r' AND nspname !~ '^pg_|^information_schema$' AND pg_relation_size(c.oid) > 0
        """)
        for (table,) in filled.rows:
            self._connection.execute_simple(f"VACUUM (ANALYZE) {table}")

    def ids(self, kind: int, of: str = "true", limit: int = 300) -> list[str]:
        """Ids of payments of this month, or of what belongs to them, by a condition on the number `n`."""
        found = self._connection.execute_simple(
            f"SELECT seeded_id({kind}, n)::text FROM generate_series({PAYMENTS // 2 + 1000}, {PAYMENTS}) AS n"
            f" WHERE {of} LIMIT {limit}"
        )
        return [id_ for (id_,) in found.rows]

    def open_replay(self) -> str:
        """The id of a replay that is not finished, which is also that of its row of the outbox."""
        id_: str = self._connection.execute_simple("SELECT seeded_id(0, 1)::text").rows[0][0]
        return id_

    def archived_id(self) -> str:
        """The id of an archived payment of MERCHANT."""
        id_: str = self._connection.execute_simple("SELECT seeded_id(0, 40)::text").rows[0][0]
        return id_

    def running_dry_run(self) -> str:
        """The id of the dry run of MERCHANT that is not finished."""
        id_: str = self._connection.execute_simple("SELECT seeded_id(0, 40)::text").rows[0][0]
        return id_
