"""Insert an accepted payment: one statement writes the idempotency key, the payment and its first event."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import orjson

from paybridge.core.errors import LockTimeout
from paybridge.core.events import PAYMENT_SUBJECT, Event
from paybridge.database.database import Database, Statement
from paybridge.outbox.routes import route
from paybridge.outbox.wake_up import IS_RELAY_BUSY, wake_relay
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.row import INSERTED_COLUMNS, INSERTED_VALUES, inserted_values

# One statement writes all three rows or none, in one round trip. A second request with the same key waits at the
# primary key until the first commits, or for lock_timeout, and then inserts nothing.
_ACCEPT = Statement(f"""
    WITH key AS (
        INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status,
                                      response_body, created_at)
        VALUES (:merchant_id::uuid, :operation::text, :key::text, :fingerprint::bytea, :id::uuid,
                :response_status::smallint, :response_body::text, :created_at::timestamptz)
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

_KEYS_TABLE = "idempotency_keys"

_FIND_KEY = Statement("""
    SELECT fingerprint, resource_id, response_status, response_body
    FROM idempotency_keys
    WHERE merchant_id = :merchant_id::uuid AND operation = :operation::text AND key = :key::text
""")


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """An idempotency key to take, the SHA-256 of the request body, and the answer to keep under the key."""

    operation: str
    key: str
    fingerprint: bytes
    response_status: int
    response_body: str


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """The answer kept under an idempotency key, and the SHA-256 of the request body it answered.

    `response_body` is None once the answer has expired. The key stays taken.
    """

    fingerprint: bytes
    resource_id: UUID
    response_status: int
    response_body: str | None


def insert(database: Database, payment: Payment, event: Event, claim: KeyClaim) -> bool:
    """Write and commit all three rows and return True; return False, writing nothing, if the key is taken.

    Wakes a waiting relay. Raises LockTimeout (see `is_key_in_flight`) and DatabaseUnavailable.
    """
    exchange, routing_key = route(event.type)
    rows = database.run(
        _ACCEPT,
        **inserted_values(payment),
        operation=claim.operation,
        key=claim.key,
        fingerprint=claim.fingerprint,
        response_status=claim.response_status,
        response_body=claim.response_body,
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


def is_key_in_flight(error: LockTimeout) -> bool:
    """Tell whether `insert` waited for another request with the same key, and not for the lock of a table or a row.

    PostgreSQL says in which table it met the other request's key. The sentence is in the server's language, the name
    is not.
    """
    return _KEYS_TABLE in error.where


def find_key(database: Database, merchant_id: UUID, operation: str, key: str) -> KeyedAnswer | None:
    """Return the answer kept under the key, or None if the key is free."""
    rows = database.run(_FIND_KEY, merchant_id=merchant_id, operation=operation, key=key)
    return KeyedAnswer(*rows[0]) if rows else None
