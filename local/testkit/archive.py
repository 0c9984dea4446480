"""A month of settled payments, as large as a test or the bench wants it, in every big table."""

# ruff: noqa: S608 -- what is put into the SQL are names and expressions of this file.

from __future__ import annotations

import os
from datetime import date
from unittest import mock
from uuid import UUID

from moto import mock_aws

from local.settings import AWS_REGION
from paybridge.archive.domain import month_text
from paybridge.archive.parquet import ParquetFiles
from paybridge.archive.ports import ArchiveServices, ArchiveSettings
from paybridge.archive.s3 import S3
from paybridge.archive.work import Worked, work_on_archive
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement

BUCKET = "archive-of-tests"
AWS_LOGIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": AWS_REGION}
WORK_SECONDS = 600.0

# An id of the month for the number n, the same for each table, so that rows of one payment find each other.
_ID = """
    (substr(uuid7_floor(:month::date::timestamp AT TIME ZONE 'UTC' + n * interval '50 ms')::text, 1, 14)
     || '7' || substr(md5({salt} || n), 1, 3) || '-8' || substr(md5({salt} || n), 4, 3) || '-'
     || substr(md5({salt} || n), 7, 12))::uuid
"""


def _id(salt: str) -> str:
    return _ID.format(salt=f"'{salt}'")


_AT = "(:month::date::timestamp AT TIME ZONE 'UTC' + n * interval '50 ms')"
_NUMBERS = "generate_series(:first::integer, :last::integer) AS n"
_PAYMENTS = f"""
    INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, currency, status, description, metadata,
        customer, payment_method, gateway_id, gateway, correlation_id, last_sequence, version, created_at, updated_at)
    SELECT {_id("payment")}, :merchant_id::uuid, 10050, 10050, 'RUB', 'succeeded',
        CASE WHEN n % 3 = 0 THEN '' WHEN n % 5 = 0 THEN E'\\x01 said "no",\\n and \\x01\\x01' END,
        CASE WHEN n % 2 = 0 THEN ('{{"order": ' || n || E',\\n "name": "Zoë \\\\"quoted\\\\" \\\\u00e9"}}')::json END,
        'customer-' || n % 1000, 'tok_success', 'ch_' || md5(n::text), 'default', 'seed-' || n, 3, 3, {_AT}, {_AT}
    FROM {_NUMBERS}
"""
_OPERATIONS = f"""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
        finished_at, attempt_status, gateway_id, correlation_id, created_at, updated_at)
    SELECT {_id("payment")}, {_id("payment")}, :merchant_id::uuid, 'charge', 'default', 10050, 'succeeded', 1, {_AT},
        {_AT}, 'succeeded', 'ch_' || md5(n::text), 'seed-' || n, {_AT}, {_AT}
    FROM {_NUMBERS}
"""
_EVENTS = f"""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
        created_at, available_at, published_at, subject_type, subject_id)
    SELECT {_ID.format(salt="'event' || sequence")}, {_id("payment")}, :merchant_id::uuid, sequence, type,
        'payments.events', type, json_build_object('type', type, 'data', json_build_object('payment_id',
            {_id("payment")}, 'amount', '100.50', 'currency', 'RUB', 'created_at', {_AT}))::text,
        'seed-' || n, {_AT}, {_AT}, {_AT}, 'payment', {_id("payment")}
    FROM {_NUMBERS}, (VALUES (1, 'payment.created'), (2, 'payment.processing'), (3, 'payment.succeeded'))
        AS told (sequence, type)
"""
_DELIVERIES = f"""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id,
        status, attempts, created_at, finished_at)
    SELECT {_id("delivery")}, :merchant_id::uuid, {_id("payment")}, {_id("event3")}, 'payment.succeeded',
        'https://example.com/hook', '{{}}', 'seed-' || n, 'delivered', 1, {_AT}, {_AT}
    FROM {_NUMBERS}
"""
_ATTEMPTS = f"""
    INSERT INTO webhook_attempts (delivery_id, number, status, response_status, latency_ms, started_at, finished_at)
    SELECT {_id("delivery")}, 1, 'delivered', 204, 12, {_AT}, {_AT} FROM {_NUMBERS}
"""
_TABLES = (_PAYMENTS, _OPERATIONS, _EVENTS, _DELIVERIES, _ATTEMPTS)
_BATCH = 50_000

_PARENTS = Statement("SELECT partrelid::regclass::text FROM pg_partitioned_table")
_ENSURE = Statement("SELECT ensure_partition(:parent::text, :month::date::timestamp AT TIME ZONE 'UTC')")
_REFUND = Statement(f"""
    WITH refunded AS (
        UPDATE payments SET status = 'partially_refunded', refunded_minor = 1
        WHERE id = (SELECT {_id("payment")} FROM (VALUES (:number::integer)) AS one (n)) RETURNING *
    )
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
        finished_at, attempt_status, gateway_id, correlation_id, created_at, updated_at)
    SELECT {_id("refund")}, id, merchant_id, 'refund', 'default', 1, 'succeeded', 1, created_at, created_at,
           'succeeded', 're_' || id, correlation_id, created_at, updated_at
    FROM refunded, (VALUES (:number::integer)) AS one (n) RETURNING id
""")
_SOME_ID = Statement(f"SELECT {_id('payment')} FROM (VALUES (:number::integer)) AS one (n)")


def add_month(database: Database, month: date) -> None:
    """Create the partitions of an old month."""
    for (parent,) in database.run(_PARENTS):
        database.run(_ENSURE, parent=parent, month=month)


def fill_month(
    database: Database, merchant_id: UUID, month: date, payments: int, *, into_default: bool = False
) -> None:
    """Add settled payments of a month, with their charges, events and webhooks.

    Its partitions are created, unless the rows shall go `into_default` ones.
    """
    if not into_default:
        add_month(database, month)
    for table in _TABLES:
        statement = Statement(table)
        for first in range(1, payments + 1, _BATCH):
            last = min(first + _BATCH - 1, payments)
            database.run(statement, merchant_id=merchant_id, month=month, first=first, last=last)


def payment_id(database: Database, month: date, number: int) -> UUID:
    """Return the id of a payment of the month, by its number from 1."""
    id_: UUID = database.run(_SOME_ID, month=month, number=number)[0][0]
    return id_


def add_refund(database: Database, month: date, number: int) -> UUID:
    """Refund a part of a payment of the month, in that month, and return the refund's id."""
    id_: UUID = database.run(_REFUND, month=month, number=number)[0][0]
    return id_


def work(database: Database) -> Worked:
    """Work on the archive as the function does, with an S3 that is forgotten afterwards."""
    import boto3

    with mock.patch.dict("os.environ", AWS_LOGIN), mock_aws():
        os.environ.pop("AWS_ENDPOINT_URL", None)
        location = {"LocationConstraint": AWS_REGION}
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        settings = ArchiveSettings(bucket=BUCKET, after_months=13, drop_after_days=7)
        services = ArchiveServices(database, SystemClock(), S3(), ParquetFiles(), settings, readers=())
        return work_on_archive(services, WORK_SECONDS)


def partition(table: str, month: date) -> str:
    """Return the name of a partition."""
    return f"{table}_{month_text(month).replace('-', '_')}"
