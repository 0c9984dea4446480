"""Compare payments and refunds with their events, for all payments in a range of ids."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT, REFUND_SUBJECT
from paybridge.database.database import Statement, Transaction
from paybridge.database.wire import Row
from paybridge.outbox.comparing import comparison, events_of

_NEXT_PAYMENTS = Statement("""
    SELECT count(*), (array_agg(id ORDER BY id DESC))[1] FROM (
        SELECT p.id FROM payments p WHERE p.id > :after::uuid AND p.id < :end::uuid ORDER BY p.id LIMIT :limit::integer
    ) AS next
""")

_OF_RANGE = "{id} > :after::uuid AND {id} <= :last::uuid"
# Those that the rows of a slice of the outbox are about. `begin` is below all ids of the audit's range.
_OLDER = """
    {id} = ANY (ARRAY(
        SELECT p.id FROM outbox o JOIN payments p ON p.id = o.payment_id
        WHERE o.id > :after::uuid AND o.id <= :last::uuid AND o.sequence IS NOT NULL AND o.payment_id <= :begin::uuid))
"""


def _payments(chosen: str) -> Statement:
    """Return the comparison of the payments that the condition chooses by `{id}`."""
    about_payment = f"coalesce(subject_type, '{PAYMENT_SUBJECT}') = '{PAYMENT_SUBJECT}'"
    return comparison(
        f"""SELECT id, merchant_id, status, last_sequence, false AS is_older FROM payments
            WHERE {chosen.format(id="id")}""",
        events_of(PAYMENT_SUBJECT, "payment_id", f"{chosen.format(id='payment_id')} AND {about_payment}"),
        """t.last_type IS NOT DISTINCT FROM
           CASE c.status WHEN 'pending' THEN 'payment.created' ELSE 'payment.' || c.status END""",
    )


def _refunds(chosen: str) -> Statement:
    """Return the comparison of the refunds of those payments.

    Only refunds that a merchant or a gateway wanted have events. The others undo what no merchant has ordered. With an
    equation the planner would read the index of all refunds as well.
    """
    chosen = chosen.format(id="payment_id")
    return comparison(
        f"""SELECT id, merchant_id, status, last_sequence, false AS is_older FROM operations
            WHERE {chosen} AND id <> payment_id AND kind ~ '^refund$' AND cause IN ('merchant', 'gateway')""",
        events_of(REFUND_SUBJECT, "subject_id", f"{chosen} AND subject_type = '{REFUND_SUBJECT}'"),
        """t.last_type IS NOT DISTINCT FROM
           CASE WHEN c.status = 'succeeded' THEN 'refund.succeeded'
                WHEN c.status IN ('partial', 'declined', 'reversed') THEN 'refund.failed' ELSE 'refund.created' END""",
    )


_PAYMENTS, _REFUNDS = _payments(_OF_RANGE), _refunds(_OF_RANGE)
_OLDER_PAYMENTS, _OLDER_REFUNDS = _payments(_OLDER), _refunds(_OLDER)


def next_payments(transaction: Transaction, after: UUID, end: UUID, limit: int) -> tuple[int, UUID | None]:
    """Return how many payments come next below `end`, at most `limit`, and the id of the last of them."""
    ((count, last),) = transaction.run(_NEXT_PAYMENTS, after=after, end=end, limit=limit)
    return count, last


def compare_payments(transaction: Transaction, after: UUID, last: UUID) -> list[Row]:
    """Return the payments of the range that differ from their events, as `Compared`."""
    return transaction.run(_PAYMENTS, after=after, last=last)


def compare_refunds(transaction: Transaction, after: UUID, last: UUID) -> list[Row]:
    """Return the refunds of the payments of the range that differ from their events, as `Compared`."""
    return transaction.run(_REFUNDS, after=after, last=last)


def compare_older(transaction: Transaction, ids: tuple[UUID, UUID], begin: UUID) -> tuple[list[Row], list[Row]]:
    """Return the same of payments up to the id `begin` that have events above and up to `ids`, and of their refunds."""
    values = {"after": ids[0], "last": ids[1], "begin": begin}
    return transaction.run(_OLDER_PAYMENTS, **values), transaction.run(_OLDER_REFUNDS, **values)
