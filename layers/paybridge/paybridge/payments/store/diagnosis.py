"""What an operator needs to see of a payment, whoever its merchant is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.row import COLUMNS, payment_of

_FIND = Statement(f"SELECT {COLUMNS} FROM payments p WHERE p.id = :id::uuid")

# The payment's few messages first: all that waits in the outbox may be far more.
_WAITING = Statement("""
    WITH messages AS MATERIALIZED (
        SELECT type, routing_key, available_at, attempts, last_error, published_at FROM outbox
        WHERE payment_id = :id::uuid AND exchange IS NOT NULL
    )
    SELECT type, routing_key, available_at, attempts, last_error FROM messages
    WHERE published_at IS NULL
    ORDER BY available_at
""")


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message about the payment that is still in the outbox."""

    type: str
    routing_key: str
    available_at: datetime
    attempts: int
    last_error: str | None


def find(database: Database, payment_id: UUID) -> Payment | None:
    """The payment, or None."""
    rows = database.run(_FIND, id=payment_id)
    return payment_of(rows[0]) if rows else None


def waiting_messages(database: Database, payment_id: UUID) -> list[WaitingMessage]:
    """Messages about the payment that the broker has not taken yet, the next one due first."""
    return [WaitingMessage(*row) for row in database.run(_WAITING, id=payment_id)]
