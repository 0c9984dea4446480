"""Accepting a payment: the idempotency key, the payment and its first event, written by one statement."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import orjson

from paybridge.core.events import Event
from paybridge.database.database import Database, Statement
from paybridge.outbox.routes import route
from paybridge.outbox.wake_up import IS_RELAY_BUSY, wake_relay
from paybridge.payments.domain.payment import Payment

# The three rows stand or fall together because they are one statement, which is also one round trip. A second request
# with the same key waits at the primary key until the first commits (or for lock_timeout), then inserts nothing.
_ACCEPT = Statement(f"""
    WITH key AS (
        INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status,
                                      response_body, created_at)
        VALUES (:merchant_id::uuid, :operation::text, :key::text, :fingerprint::bytea, :payment_id::uuid,
                :response_status::smallint, :response_body::text, :created_at::timestamptz)
        ON CONFLICT DO NOTHING
        RETURNING resource_id
    ), payment AS (
        INSERT INTO payments (id, merchant_id, amount_minor, currency, status, capture, description, metadata,
                              webhook_url, customer, payment_method, correlation_id, created_at, updated_at)
        SELECT key.resource_id, :merchant_id::uuid, :amount_minor::bigint, :currency::text, :status::text,
               :capture::text, :description::text, :metadata::json, :webhook_url::text, :customer::text,
               :payment_method::text, :correlation_id::text, :created_at::timestamptz, :created_at::timestamptz
        FROM key
    )
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
                        created_at)
    SELECT :event_id::uuid, key.resource_id, :merchant_id::uuid, :sequence::integer, :event_type::text,
           :exchange::text, :routing_key::text, :event_body::text, :correlation_id::text, :created_at::timestamptz
    FROM key
    RETURNING {IS_RELAY_BUSY}
""")

_FIND_KEY = Statement("""
    SELECT fingerprint, resource_id, response_status, response_body
    FROM idempotency_keys
    WHERE merchant_id = :merchant_id::uuid AND operation = :operation::text AND key = :key::text
""")


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """An idempotency key to take, and the answer to keep under it."""

    operation: str
    key: str
    fingerprint: bytes
    response_status: int
    response_body: str


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """An idempotency key in use: the body it came with and the answer that was given.

    `response_body` is None once the answer has been cleared; the key itself stays taken.
    """

    fingerprint: bytes
    resource_id: UUID
    response_status: int
    response_body: str | None


def insert(database: Database, payment: Payment, event: Event, claim: KeyClaim) -> bool:
    """Writes all of it, or nothing (False) when the key is taken; raises LockTimeout while another writes the key.

    It is committed when this returns, and a relay that was waiting for a row has been woken.
    """
    exchange, routing_key = route(event.type)
    rows = database.run(
        _ACCEPT,
        merchant_id=payment.merchant_id,
        operation=claim.operation,
        key=claim.key,
        fingerprint=claim.fingerprint,
        payment_id=payment.id,
        response_status=claim.response_status,
        response_body=claim.response_body,
        created_at=payment.created_at,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        status=str(payment.status),
        capture=payment.capture,
        description=payment.description,
        metadata=orjson.dumps(payment.metadata).decode() if payment.metadata is not None else None,
        webhook_url=payment.webhook_url,
        customer=payment.customer,
        payment_method=payment.payment_method,
        correlation_id=payment.correlation_id,
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


def find_key(database: Database, merchant_id: UUID, operation: str, key: str) -> KeyedAnswer | None:
    """What the key was used for."""
    rows = database.run(_FIND_KEY, merchant_id=merchant_id, operation=operation, key=key)
    return KeyedAnswer(*rows[0]) if rows else None
