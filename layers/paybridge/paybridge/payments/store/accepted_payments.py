"""Insert an accepted payment: one statement writes the idempotency key, the payment and its first event."""

from __future__ import annotations

import orjson

from paybridge.core.events import PAYMENT_SUBJECT, Event
from paybridge.database.database import Database, Statement
from paybridge.outbox.routes import route
from paybridge.outbox.wake_up import IS_RELAY_BUSY, wake_relay
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.idempotency_keys import KEY_COLUMNS, KEY_VALUES, KeyClaim
from paybridge.payments.store.row import INSERTED_COLUMNS, INSERTED_VALUES, inserted_values

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
