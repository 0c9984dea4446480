"""Read a payment of any merchant and its waiting messages, for operators; queries by SQLAlchemy Core."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Uuid, bindparam, select

from paybridge.database.clauses import compiled
from paybridge.database.database import Database, Statement
from paybridge.outbox.table import outbox
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.query import WaitingMessage
from paybridge.payments.store.row import payment_from_row
from paybridge.payments.store.table import PAYMENT_COLUMNS, payments

_ID = bindparam("id", type_=Uuid)

# The gateway's own words are for operators, so no timeline of a merchant has them.
_ERRORS = Statement("""
    SELECT number, error FROM payment_attempts
    WHERE payment_id = :id::uuid AND operation = 'charge' AND error IS NOT NULL
    ORDER BY number
""")

_FIND = compiled(select(*PAYMENT_COLUMNS).where(payments.c.id == _ID))

# MATERIALIZED makes PostgreSQL find the few messages of the payment first. All that wait in the outbox may be far more.
_MESSAGES = (
    select(
        outbox.c.type,
        outbox.c.routing_key,
        outbox.c.available_at,
        outbox.c.attempts,
        outbox.c.last_error,
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
    )
    .where(_MESSAGES.c.published_at.is_(None))
    .order_by(_MESSAGES.c.available_at)
)


def find(database: Database, payment_id: UUID) -> Payment | None:
    """Return the payment, or None."""
    rows = database.run(_FIND, id=payment_id)
    return payment_from_row(rows[0]) if rows else None


def gateway_errors(database: Database, payment_id: UUID) -> dict[int, str]:
    """Return why the payment's attempts have no clear answer, by the number of the attempt, the newest last."""
    return {number: error for number, error in database.run(_ERRORS, id=payment_id)}  # noqa: C416 -- rows are lists.


def waiting_messages(database: Database, payment_id: UUID) -> list[WaitingMessage]:
    """Return the payment's messages that the broker has not taken yet, the next one due first."""
    return [WaitingMessage(*row) for row in database.run(_WAITING, id=payment_id)]
