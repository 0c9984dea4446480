"""What journals have posted to the house's account of what gateways owe us."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from paybridge.core.ids import followers_floor
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array

# The sum is text, because it may have more digits than a bigint. A journal that does not touch the account counts with
# nothing, so that its operation is known as posted.
_CLEARED = Statement("""
    SELECT j.operation_id, j.currency,
           sum(CASE WHEN d.id IS NOT NULL THEN t.amount_minor WHEN c.id IS NOT NULL THEN -t.amount_minor
                    ELSE 0 END)::text
    FROM unnest(:payment_ids::uuid[]) AS wanted (id)
    JOIN ledger.journals j ON j.payment_id = wanted.id AND j.event_id > :floor::uuid
    JOIN ledger.books b ON b.id = j.book AND b.state = 'live'
    JOIN ledger.transfers t ON t.book = j.book AND t.event_id = j.event_id AND t.rule = j.rule
    LEFT JOIN ledger.accounts d ON d.id = t.debit_account AND d.owner IS NULL AND d.kind = 'gateway_clearing'
    LEFT JOIN ledger.accounts c ON c.id = t.credit_account AND c.owner IS NULL AND c.kind = 'gateway_clearing'
    WHERE j.operation_id IS NOT NULL
    GROUP BY j.operation_id, j.currency
""")


class ClearedOperation(NamedTuple):
    """By how many minor units the journals of an operation have raised what gateways owe us."""

    operation_id: UUID
    currency: str
    amount_minor: int


def find(transaction: Transaction, payment_ids: Iterable[UUID]) -> list[ClearedOperation]:
    """Return the operations of these payments that have journals in the live book."""
    ids = sorted(set(payment_ids))
    rows = transaction.run(_CLEARED, payment_ids=uuid_array(ids), floor=followers_floor(ids))
    return [ClearedOperation(operation_id, currency, int(text)) for operation_id, currency, text in rows]
