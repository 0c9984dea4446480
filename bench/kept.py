"""Fill a database with past payments, all of them final, in SQL alone.

Ids have the shape of UUIDv7 and are spread evenly over the last three months, so each month's partition has its share.
A payment has the same rows as a real one: an idempotency key without its answer, three events of which two were
published, an attempt, a delivery and its attempt. One in twenty was declined.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from local.testkit.payments import new_payment
from local.testkit.servers import address_of
from paybridge.database.database import Database, Statement

WEBHOOK_URL = "https://example.com/webhook"
MONTHS = 3
DAY_MS = 86_400_000
SPAN_MS = MONTHS * 30 * DAY_MS
DECLINED_EACH = 20
# The newest is an hour old, so payments created by the bench come after it.
NEWEST_AGE_MS = 3_600_000
FILL_SECONDS_MAX = 300.0

# Each payment has a number, from 1, and a moment in milliseconds since 1970. Its ids are built from both.
_PAYMENTS_OF = """
    SELECT n, moment, to_timestamp(moment / 1000.0) AS at, n % 20 = 0 AS declined,
           lpad(to_hex(moment), 12, '0') AS head, lpad(to_hex(n), 15, '0') AS tail
    FROM (
        SELECT n, :newest_ms::bigint - (:count::bigint - n) * :span_ms::bigint / :count::bigint AS moment
        FROM generate_series(1, :count::integer) AS n
    ) AS numbered
"""
_PAYMENT_ID = "(head || '70008' || tail)::uuid"
_DELIVERY_ID = "(head || '70018' || tail)::uuid"
# That of the last event, with which the payment was settled.
_EVENT_ID = "(head || '70039' || tail)::uuid"
_MERCHANT = ":merchant_id::uuid"
_CORRELATION_ID = "'bench-' || head || tail"

_PAYMENTS = Statement(f"""
    INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, currency, status, failure_code, description,
        metadata, webhook_url, gateway, gateway_id, correlation_id, last_sequence, created_at, updated_at)
    SELECT {_PAYMENT_ID}, {_MERCHANT}, 10050, CASE WHEN declined THEN 0 ELSE 10050 END, 'RUB',
           CASE WHEN declined THEN 'failed' ELSE 'succeeded' END, CASE WHEN declined THEN 'card_declined' END,
           'Order #' || n, '{{"order_id": "123"}}', '{WEBHOOK_URL}', 'default', 'ch_' || head || tail,
           {_CORRELATION_ID}, 3, at, at + interval '6 seconds'
    FROM ({_PAYMENTS_OF}) AS kept
""")  # noqa: S608 -- as above.
_KEYS = Statement(f"""
    INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, created_at)
    SELECT {_MERCHANT}, 'create_payment', gen_random_uuid()::text, sha256(''), {_PAYMENT_ID}, 202, at
    FROM ({_PAYMENTS_OF}) AS kept
""")  # noqa: S608 -- as above.
_OPERATIONS = Statement(f"""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, attempt_status, number,
        gateway_id, failure_code, correlation_id, started_at, finished_at, created_at, updated_at)
    SELECT {_PAYMENT_ID}, {_PAYMENT_ID}, {_MERCHANT}, 'charge', 'default', 10050, status, status, 1,
           'ch_' || head || tail, CASE WHEN declined THEN 'card_declined' END, {_CORRELATION_ID},
           at + interval '3 seconds', at + interval '6 seconds', at + interval '3 seconds', at + interval '6 seconds'
    FROM ({_PAYMENTS_OF}) AS kept
    CROSS JOIN LATERAL (VALUES (CASE WHEN declined THEN 'declined' ELSE 'succeeded' END)) AS outcome (status)
""")  # noqa: S608 -- as above.
_OUTBOX = Statement(f"""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
        created_at, available_at, published_at)
    SELECT (head || '7' || lpad(sequence::text, 3, '0') || '9' || tail)::uuid, {_PAYMENT_ID}, {_MERCHANT}, sequence,
           type, exchange, CASE WHEN type = 'payment.created' THEN 'payments.new' ELSE type END, :body::text,
           {_CORRELATION_ID}, at, at, CASE WHEN exchange IS NOT NULL THEN at + interval '1 second' END
    FROM ({_PAYMENTS_OF}) AS kept
    CROSS JOIN LATERAL (VALUES
        (1, 'payment.created', 'payments'), (2, 'payment.processing', NULL),
        (3, CASE WHEN declined THEN 'payment.failed' ELSE 'payment.succeeded' END, 'payments.events')
    ) AS event (sequence, type, exchange)
""")  # noqa: S608 -- as above.
_DELIVERIES = Statement(f"""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id,
        status, attempts, created_at, finished_at)
    SELECT {_DELIVERY_ID}, {_MERCHANT}, {_PAYMENT_ID}, (head || '70039' || tail)::uuid,
           CASE WHEN declined THEN 'payment.failed' ELSE 'payment.succeeded' END, '{WEBHOOK_URL}',
           :body::text, {_CORRELATION_ID}, 'delivered', 1, at + interval '7 seconds', at + interval '8 seconds'
    FROM ({_PAYMENTS_OF}) AS kept
""")  # noqa: S608 -- as above.
_WEBHOOK_ATTEMPTS = Statement(f"""
    INSERT INTO webhook_attempts (delivery_id, number, status, response_status, latency_ms, started_at, finished_at)
    SELECT {_DELIVERY_ID}, 1, 'delivered', 200, 20, at + interval '7 seconds', at + interval '8 seconds'
    FROM ({_PAYMENTS_OF}) AS kept
""")  # noqa: S608 -- as above.

# What the books have of a charge: its journal with its amount and a fee.
_ACCOUNTS = Statement("""
    INSERT INTO ledger.accounts (book, owner, kind, currency, places, normal_side)
    VALUES (1, :merchant_id::uuid, 'available', 'RUB', 2, 'credit'), (1, NULL, 'gateway_clearing', 'RUB', 2, 'debit'),
           (1, NULL, 'fees', 'RUB', 2, 'credit')
""")
_JOURNALS = Statement(f"""
    INSERT INTO ledger.journals (book, event_id, rule, rule_version, id, owner, payment_id, operation_id, happened_at,
        currency)
    SELECT 1, {_EVENT_ID}, 2, 1, {_PAYMENT_ID}, {_MERCHANT}, {_PAYMENT_ID}, {_PAYMENT_ID}, at, 'RUB'
    FROM ({_PAYMENTS_OF}) AS kept WHERE NOT declined
""")  # noqa: S608 -- as above.
_TRANSFERS = Statement(f"""
    INSERT INTO ledger.transfers (book, event_id, rule, number, places, debit_account, credit_account, amount_minor,
        happened_at, currency)
    SELECT 1, {_EVENT_ID}, 2, number, 2, CASE number WHEN 1 THEN house.id ELSE mine.id END,
           CASE number WHEN 1 THEN mine.id ELSE fees.id END, CASE number WHEN 1 THEN 10050 ELSE 291 END, at, 'RUB'
    FROM ({_PAYMENTS_OF}) AS kept
    JOIN ledger.accounts mine ON mine.owner = {_MERCHANT} AND mine.kind = 'available'
    JOIN ledger.accounts house ON house.owner IS NULL AND house.kind = 'gateway_clearing'
    JOIN ledger.accounts fees ON fees.owner IS NULL AND fees.kind = 'fees', generate_series(1, 2) AS number
    WHERE NOT declined
""")  # noqa: S608 -- as above.

# Published facts of the last hour, for a measure of the outbox alone.
_PUBLISHED = Statement("""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
        created_at, available_at, published_at)
    SELECT (head || '70018' || tail)::uuid, (head || '70008' || tail)::uuid, :merchant_id::uuid, 1, 'payment.created',
           'payments', 'payments.new', :body::text, 'bench-' || head || tail, at, at, at + interval '1 second'
    FROM (
        SELECT to_timestamp(moment / 1000.0) AS at, lpad(to_hex(moment), 12, '0') AS head,
               lpad(to_hex(n), 15, '0') AS tail
        FROM (
            SELECT n, :newest_ms::bigint - (:count::bigint - n) * 3600000 / :count::bigint AS moment
            FROM generate_series(1, :count::integer) AS n
        ) AS numbered
    ) AS published
""")
_DUE = Statement("""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id)
    SELECT (moment || '70008' || number)::uuid, (moment || '70009' || number)::uuid, gen_random_uuid(), 1,
           'payment.created', 'payments', 'payments.new', repeat('x', :body_bytes::integer), gen_random_uuid()::text
    FROM (
        SELECT lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') AS moment,
               lpad(to_hex(n), 15, '0') AS number
        FROM generate_series(1, :rows::integer) AS n
    ) AS new
""")
_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid RETURNING body")
_PREPARE_MONTHS = Statement(f"""
    SELECT ensure_partition(parent, month)
    FROM unnest(ARRAY['payments', 'operations', 'outbox', 'webhook_deliveries', 'webhook_attempts', 'ledger.journals',
                      'ledger.transfers']) AS parent,
         generate_series(date_trunc('month', now(), 'UTC') - interval '{MONTHS} months', now(), '1 month') AS month
    WHERE to_regclass(parent || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL
""")  # noqa: S608 -- as above.
_TABLES = Statement("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")


@dataclass(frozen=True, slots=True)
class Kept:
    """Kept payments of a merchant, numbered from 1, the oldest, to `count`. `newest_ms` counts from 1970.

    They lie evenly within `span_ms`.
    """

    count: int
    newest_ms: int
    span_ms: int = SPAN_MS

    def created_ms(self, number: int) -> int:
        """Return when the payment with this number was made, in milliseconds since 1970."""
        return self.newest_ms - (self.count - number) * self.span_ms // self.count

    def payment_id(self, number: int) -> UUID:
        """Return the id of the payment with this number."""
        return UUID(f"{self.created_ms(number):012x}70008{number:015x}")

    def gateway_id(self, number: int) -> str:
        """Return the gateway's id of the charge of the payment with this number."""
        return f"ch_{self.created_ms(number):012x}{number:015x}"

    def is_declined(self, number: int) -> bool:
        """Tell whether the gateway declined the payment with this number."""
        return number % DECLINED_EACH == 0


def fill(url: str, merchant_id: UUID, count: int, body: str) -> Kept:
    """Add `count` payments of the merchant with all their rows. Every event and webhook has this `body`."""
    kept = Kept(count, int(time.time() * 1000) - NEWEST_AGE_MS)
    values = {"merchant_id": merchant_id, "body": body, **asdict(kept)}
    prepare_months(url)
    with ThreadPoolExecutor(2) as pool:
        # The outbox takes about as long as all other tables together.
        others = [_PAYMENTS, _KEYS, _OPERATIONS, _DELIVERIES, _WEBHOOK_ATTEMPTS]
        for half in [pool.submit(_run, url, part, values) for part in ([_OUTBOX], others)]:
            half.result()
    settle(url)
    return kept


def prepare_months(url: str) -> None:
    """Make the partitions of the months that kept payments are of."""
    _run(url, [_PREPARE_MONTHS], {})


def fill_day(url: str, merchant_id: UUID, count: int, day: date) -> Kept:
    """Add `count` payments of the merchant within a day, each with its operation and journal, and nothing else."""
    end_ms = int(datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1000) + DAY_MS
    kept = Kept(count, end_ms - DAY_MS // 24, DAY_MS // 24 * 23)
    values = {"merchant_id": merchant_id, **asdict(kept)}
    _run(url, [_PREPARE_MONTHS, _ACCOUNTS], values)
    with ThreadPoolExecutor(2) as pool:
        for part in [
            pool.submit(_run, url, half, values) for half in ([_PAYMENTS, _OPERATIONS], [_JOURNALS, _TRANSFERS])
        ]:
            part.result()
    settle(url)
    return kept


def fill_outbox(url: str, merchant_id: UUID, count: int, body: str) -> None:
    """Add `count` published rows from the last hour to the outbox alone."""
    newest_ms = int(time.time() * 1000)
    _run(url, [_PUBLISHED], {"merchant_id": merchant_id, "body": body, "count": count, "newest_ms": newest_ms})
    settle(url)


def add_due(url: str, rows: int, body_bytes: int = 900) -> None:
    """Add rows to the outbox that are due now for `payments.new`."""
    _run(url, [_DUE], {"rows": rows, "body_bytes": body_bytes})


def sample_body(database: Database, merchant_id: UUID) -> str:
    """Create a payment like the bench's, mark its event as published, and return the event's body."""
    id_ = new_payment(
        database, merchant_id, description="Order #123", metadata={"order_id": "123"}, webhook_url=WEBHOOK_URL
    )
    return str(database.run(_PUBLISH, id=id_)[0][0])


def settle(url: str) -> None:
    """Analyze every table and turn autovacuum off.

    In operation autovacuum would have run long ago. Here it would start in the middle of a measure and slow it down.
    """
    with closing(_open(url)) as database:
        for (table,) in database.run(_TABLES):
            database.run(Statement(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        database.run(Statement("ANALYZE"))


def _run(url: str, statements: Sequence[Statement], values: dict[str, Any]) -> None:
    with closing(_open(url)) as database:
        for statement in statements:
            database.run(statement, **values)


def _open(url: str) -> Database:
    return Database(address_of(url), "paybridge-bench-fill", statement_seconds_max=FILL_SECONDS_MAX)
