"""Write what a merchant orders for a payment: one statement for the payment's change and all that goes with it.

The change is an UPDATE of the payment with conditions. The operation, the idempotency key and the rows of the outbox
are written from the row that it changed, so without a change nothing is written. PostgreSQL checks the conditions again
on the newest row after it has waited for the row's lock: of two orders that do not both fit, the second changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from paybridge.core.errors import ConstraintViolated
from paybridge.core.events import Event
from paybridge.database.counters import ADD_COUNTS
from paybridge.database.database import Database, Statement
from paybridge.database.parameters import json_rows
from paybridge.outbox.routes import WEBHOOKS_KEY
from paybridge.outbox.rows import INSERT_ROWS, counts_of_events, row_of
from paybridge.outbox.wake_up import IS_RELAY_BUSY, wake_relay
from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.idempotency_keys import KEY_COLUMNS, KEY_VALUES, PRIMARY_KEY, KeyClaim

_INSERT_OPERATION = """
    , operation AS (
        INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, reason, metadata,
                                correlation_id, last_sequence, created_at, updated_at)
        SELECT :operation_id::uuid, payment.id, :merchant_id::uuid, :kind::text, :gateway::text,
               :amount_minor::bigint, 'accepted', :reason::text, :metadata::json, :correlation_id::text,
               :last_sequence::integer, :created_at::timestamptz, :created_at::timestamptz
        FROM payment
    )
"""


def ordering(changes: str, conditions: str, *, inserts_operation: bool = True) -> Statement:
    """Return the statement that makes these `changes` of a payment `p` under these `conditions`.

    The payment belongs to `:merchant_id`, and the key is free. An order that changes the payment alone has no
    operation.
    """
    return Statement(f"""
        WITH payment AS (
            UPDATE payments p SET {changes}, version = p.version + 1, updated_at = :created_at::timestamptz
            WHERE p.id = :payment_id::uuid AND p.merchant_id = :merchant_id::uuid AND {conditions}
              AND NOT EXISTS (
                  SELECT FROM idempotency_keys k
                  WHERE k.merchant_id = :merchant_id::uuid AND k.operation = :operation::text AND k.key = :key::text)
            RETURNING p.id
        ){_INSERT_OPERATION if inserts_operation else ""}, key AS (
            INSERT INTO idempotency_keys ({KEY_COLUMNS}) SELECT {KEY_VALUES} FROM payment
        ), added AS (
            {INSERT_ROWS}, payment
        ), counted AS (
            {ADD_COUNTS}, payment
        )
        SELECT {IS_RELAY_BUSY} FROM payment
    """)


@dataclass(frozen=True, slots=True)
class Order:
    """What goes with a change: the payment as it was read, the operation if any, its events and commands, and the key.

    `webhook` is a command to the webhooks function, if there is one.
    """

    payment: Payment
    operation: Operation | None
    events: tuple[Event, ...]
    claim: KeyClaim
    webhook: Event | None = None


def write(database: Database, statement: Statement, order: Order, **parameters: Any) -> bool:
    """Make the change, commit it with all that goes with it, and return True; return False if it cannot be made.

    `parameters` are those of the conditions. It cannot be made if they do not hold or the key is taken. Wakes a waiting
    relay. Raises LockTimeout (see `idempotency_keys.is_in_flight`) and DatabaseUnavailable.
    """
    operation = {} if order.operation is None else _operation_values(order.operation)
    try:
        rows = database.run(
            statement,
            **(parameters | operation | order.claim._asdict()),
            payment_id=order.payment.id,
            rows=json_rows(_outbox_rows(order)),
            counts=counts_of_events(order.events),
        )
    except ConstraintViolated as error:
        # Another request took the key while this one waited for the payment.
        if error.constraint != PRIMARY_KEY:
            raise
        return False
    if rows and not rows[0][0]:
        wake_relay(database)
    return bool(rows)


def _outbox_rows(order: Order) -> list[dict[str, object]]:
    webhook = [] if order.webhook is None else [row_of(order.webhook, routing_key=WEBHOOKS_KEY)]
    return [*(row_of(event) for event in order.events), *webhook]


def _operation_values(operation: Operation) -> dict[str, Any]:
    return {
        "operation_id": operation.id,
        "kind": str(operation.kind),
        "gateway": operation.gateway,
        "amount_minor": operation.amount_minor,
        "reason": operation.reason,
        "metadata": None if operation.metadata is None else orjson.dumps(operation.metadata).decode(),
        "correlation_id": operation.correlation_id,
        "last_sequence": operation.last_sequence,
    }
