"""Insert accepted payments: one statement writes the idempotency keys, the payments and their first events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from paybridge.core.events import PAYMENT_SUBJECT, Event
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Database, Statement
from paybridge.database.parameters import json_rows
from paybridge.outbox.routes import route
from paybridge.outbox.wake_up import IS_RELAY_BUSY, wake_relay, wake_relay_after_commit
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.idempotency_keys import KEY_COLUMNS, KEY_VALUES, KeyClaim
from paybridge.payments.store.row import INSERTED_COLUMNS, INSERTED_TYPES, INSERTED_VALUES, inserted_values

# One statement writes all three rows or none, in one round trip. A second request with the same key waits at the
# primary key until the first commits, or for lock_timeout, and then inserts nothing.
_ACCEPT = Statement(f"""
    WITH key AS (
        INSERT INTO idempotency_keys ({KEY_COLUMNS}) VALUES ({KEY_VALUES})
        ON CONFLICT DO NOTHING
        RETURNING resource_id
    ), payment AS (
        INSERT INTO payments ({INSERTED_COLUMNS}) SELECT {INSERTED_VALUES} FROM key
    )
    INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange, routing_key,
                        body, correlation_id, created_at)
    SELECT :event_id::uuid, key.resource_id, :merchant_id::uuid, '{PAYMENT_SUBJECT}', key.resource_id,
           :sequence::integer, :event_type::text, :exchange::text, :routing_key::text, :event_body::text,
           :correlation_id::text, :created_at::timestamptz
    FROM key
    RETURNING {IS_RELAY_BUSY}
""")

# The same for many payments. Keys are taken in one order, so that two batches with the same keys wait for each other
# and never deadlock. Of two orders with one key the first in the batch takes it. A merchant that does not exist is left
# out: its foreign key would refuse the whole batch.
_ACCEPT_MANY = Statement(f"""
    WITH wanted AS MATERIALIZED (
        SELECT new.* FROM json_to_recordset(:rows::json) AS new ({INSERTED_TYPES},
            operation text, key text, fingerprint text, response_status smallint, response_body text, event_id uuid,
            sequence integer, event_type text, exchange text, routing_key text, event_body text, number integer)
        JOIN merchants m ON m.id = new.merchant_id
    ), key AS (
        INSERT INTO idempotency_keys ({KEY_COLUMNS})
        SELECT merchant_id, operation, key, decode(fingerprint, 'hex'), id, response_status, response_body, created_at
        FROM wanted ORDER BY merchant_id, key, number
        ON CONFLICT DO NOTHING
        RETURNING resource_id
    ), payment AS (
        INSERT INTO payments ({INSERTED_COLUMNS})
        SELECT {INSERTED_COLUMNS} FROM wanted JOIN key ON key.resource_id = wanted.id
    ), event AS (
        INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange,
                            routing_key, body, correlation_id, created_at)
        SELECT event_id, id, merchant_id, '{PAYMENT_SUBJECT}', id, sequence, event_type, exchange, routing_key,
               event_body, correlation_id, created_at
        FROM wanted JOIN key ON key.resource_id = wanted.id
        RETURNING payment_id
    )
    SELECT payment_id, (SELECT {IS_RELAY_BUSY}) FROM event
""")


class Acceptance(NamedTuple):
    """A payment to write, with its first event and the key that it takes."""

    payment: Payment
    event: Event
    claim: KeyClaim


def insert(database: Database, payment: Payment, event: Event, claim: KeyClaim) -> bool:
    """Write and commit all three rows and return True; return False, writing nothing, if the key is taken.

    Wakes a waiting relay. Raises LockTimeout (see `idempotency_keys.is_in_flight`) and DatabaseUnavailable.
    """
    exchange, routing_key = route(event.type)
    rows = database.run(
        _ACCEPT,
        **(claim._asdict() | inserted_values(payment)),
        event_id=event.id,
        sequence=event.sequence,
        event_type=event.type,
        exchange=exchange,
        routing_key=routing_key,
        event_body=orjson.dumps(event.envelope()).decode(),
    )
    if rows and not rows[0][0]:
        wake_relay(database)
    return bool(rows)


def insert_many(database: Database, accepted: Sequence[Acceptance]) -> set[UUID]:
    """Write and commit what can be written, and return the ids of those payments.

    A payment is left out if its key is taken or its merchant does not exist. Wakes a waiting relay. Raises LockTimeout,
    having written nothing, if another transaction is about to take one of the keys.
    """
    with database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        written = transaction.run(_ACCEPT_MANY, rows=json_rows(map(_row_of, accepted, count())))
        if any(not is_busy for _, is_busy in written):
            wake_relay_after_commit(transaction)
    return {payment_id for payment_id, _ in written}


def _row_of(accepted: Acceptance, number: int) -> dict[str, Any]:
    payment, event, claim = accepted
    exchange, routing_key = route(event.type)
    return inserted_values(payment) | {
        "metadata": payment.metadata,
        "operation": claim.operation,
        "key": claim.key,
        "fingerprint": claim.fingerprint.hex(),
        "response_status": claim.response_status,
        "response_body": claim.response_body,
        "event_id": event.id,
        "sequence": event.sequence,
        "event_type": event.type,
        "exchange": exchange,
        "routing_key": routing_key,
        "event_body": orjson.dumps(event.envelope()).decode(),
        "number": number,
    }
