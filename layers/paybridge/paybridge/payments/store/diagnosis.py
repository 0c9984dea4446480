"""Read a payment of any merchant and its waiting messages, for operators; queries by SQLAlchemy Core."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import Uuid, bindparam, select

from paybridge.core.events import PROCESS_PAYMENT
from paybridge.database.clauses import compiled
from paybridge.database.database import Database, Statement
from paybridge.outbox.table import outbox
from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.query import WaitingMessage
from paybridge.payments.store.operation_row import OPERATION_COLUMNS, operation_from_row
from paybridge.payments.store.row import payment_from_row
from paybridge.payments.store.table import PAYMENT_COLUMNS, payments

_ID = bindparam("id", type_=Uuid)

# The charge or authorization has the payment's id. The index of the others holds nothing else.
_OPERATIONS = Statement(f"""
    SELECT {OPERATION_COLUMNS} FROM (
        SELECT first.* FROM operations first WHERE first.id = :id::uuid
      UNION ALL
        SELECT later.* FROM operations later WHERE later.payment_id = :id::uuid AND later.id <> later.payment_id
    ) AS o
    ORDER BY o.created_at, o.id
""")

_CHECKS = Statement("SELECT operation_id, ask_at FROM late_checks WHERE payment_id = :id::uuid")

_FIND = compiled(select(*PAYMENT_COLUMNS).where(payments.c.id == _ID))

# MATERIALIZED makes PostgreSQL find the few messages of the payment first. All that wait in the outbox may be far more.
_MESSAGES = (
    select(
        outbox.c.type,
        outbox.c.routing_key,
        outbox.c.available_at,
        outbox.c.attempts,
        outbox.c.last_error,
        outbox.c.body,
        outbox.c.published_at,
    )
    .where(outbox.c.payment_id == _ID, outbox.c.exchange.is_not(None))
    .cte("messages")
    .prefix_with("MATERIALIZED")
)
_WAITING = compiled(
    select(
        _MESSAGES.c.type,
        _MESSAGES.c.routing_key,
        _MESSAGES.c.available_at,
        _MESSAGES.c.attempts,
        _MESSAGES.c.last_error,
        _MESSAGES.c.body,
    )
    .where(_MESSAGES.c.published_at.is_(None))
    .order_by(_MESSAGES.c.available_at)
)


def find(database: Database, payment_id: UUID) -> Payment | None:
    """Return the payment, or None."""
    rows = database.run(_FIND, id=payment_id)
    return payment_from_row(rows[0]) if rows else None


def operations(database: Database, payment_id: UUID) -> list[Operation]:
    """Return what was asked of the gateway about the payment, in the order in which it was wanted."""
    return [operation_from_row(row) for row in database.run(_OPERATIONS, id=payment_id)]


def next_checks(database: Database, payment_id: UUID) -> dict[UUID, datetime]:
    """Return when the gateway is asked next about operations that have ended, by their ids."""
    return {row[0]: row[1] for row in database.run(_CHECKS, id=payment_id)}


def waiting_messages(database: Database, payment_id: UUID) -> list[WaitingMessage]:
    """Return the payment's messages that the broker has not taken yet, the next one due first."""
    return [
        WaitingMessage(row[0], row[1], row[2], row[3], row[4], _operation_id(row[0], row[5]))
        for row in database.run(_WAITING, id=payment_id)
    ]


def _operation_id(type_: str, body: str) -> UUID | None:
    """Return the operation that a command asks for; None for other messages, and for commands that name none."""
    if type_ != PROCESS_PAYMENT:
        return None
    named = orjson.loads(body)["data"].get("operation_id")
    return None if named is None else UUID(named)
