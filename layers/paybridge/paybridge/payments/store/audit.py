"""Compare payments and refunds with their events, for all payments in a range of ids."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT, REFUND_SUBJECT
from paybridge.database.database import Statement, Transaction

_NEXT_PAYMENTS = Statement("""
    SELECT count(*), (array_agg(id ORDER BY id DESC))[1] FROM (
        SELECT p.id FROM payments p WHERE p.id > :after::uuid AND p.id < :end::uuid ORDER BY p.id LIMIT :limit::integer
    ) AS next
""")

_OF_RANGE = "payment_id > :after::uuid AND payment_id <= :last::uuid"


def _told(subject_type: str, id_: str, only: str) -> str:
    """Return the query of the subjects' events. The type of the last one says in which state it left the subject."""
    return f"""
        SELECT {id_} AS id, count(*) AS events, count(DISTINCT sequence) AS numbers, max(sequence) AS newest,
               substr(max(lpad(sequence::text, 10, '0') || type) FILTER (WHERE type LIKE '{subject_type}.%'), 11)
               AS last_type
        FROM outbox WHERE {_OF_RANGE} AND sequence IS NOT NULL AND {only}
        GROUP BY {id_}
    """


def _compared(changed: str, told: str, state: str) -> Statement:
    return Statement(f"""
        WITH changed AS ({changed}), told AS ({told})
        SELECT coalesce(c.id, t.id), c.merchant_id, c.status, c.last_sequence, t.events, t.numbers, t.newest,
               t.last_type, t.last_type IS NOT DISTINCT FROM {state}
        FROM changed c FULL JOIN told t ON t.id = c.id
        WHERE c.id IS NULL OR t.id IS NULL OR t.events <> c.last_sequence OR t.numbers <> c.last_sequence
           OR t.newest <> c.last_sequence OR t.last_type IS DISTINCT FROM {state}
        ORDER BY 1
    """)


_PAYMENTS = _compared(
    "SELECT id, merchant_id, status, last_sequence FROM payments WHERE id > :after::uuid AND id <= :last::uuid",
    _told(PAYMENT_SUBJECT, "payment_id", f"coalesce(subject_type, '{PAYMENT_SUBJECT}') = '{PAYMENT_SUBJECT}'"),
    "CASE c.status WHEN 'pending' THEN 'payment.created' ELSE 'payment.' || c.status END",
)
# Only refunds that a merchant or a gateway wanted have events. The others undo what no merchant has ordered. With an
# equation the planner would read the index of all refunds as well.
_REFUNDS = _compared(
    f"""SELECT id, merchant_id, status, last_sequence FROM operations
        WHERE {_OF_RANGE} AND id <> payment_id AND kind ~ '^refund$' AND cause IN ('merchant', 'gateway')""",
    _told(REFUND_SUBJECT, "subject_id", f"subject_type = '{REFUND_SUBJECT}'"),
    """CASE WHEN c.status = 'succeeded' THEN 'refund.succeeded'
            WHEN c.status IN ('partial', 'declined', 'reversed') THEN 'refund.failed' ELSE 'refund.created' END""",
)


class Compared(NamedTuple):
    """A subject that differs from its events. None where there is no row, or no event.

    `agrees`: its state is the one in which its last event left it.
    """

    id: UUID
    merchant_id: UUID | None
    status: str | None
    last_sequence: int | None
    events: int | None
    numbers: int | None
    newest: int | None
    last_type: str | None
    agrees: bool


def next_payments(transaction: Transaction, after: UUID, end: UUID, limit: int) -> tuple[int, UUID | None]:
    """Return how many payments come next below `end`, at most `limit`, and the id of the last of them."""
    ((count, last),) = transaction.run(_NEXT_PAYMENTS, after=after, end=end, limit=limit)
    return count, last


def compare_payments(transaction: Transaction, after: UUID, last: UUID) -> list[Compared]:
    """Return the payments of the range that differ from their events."""
    return [Compared(*row) for row in transaction.run(_PAYMENTS, after=after, last=last)]


def compare_refunds(transaction: Transaction, after: UUID, last: UUID) -> list[Compared]:
    """Return the refunds of the payments of the range that differ from their events."""
    return [Compared(*row) for row in transaction.run(_REFUNDS, after=after, last=last)]
