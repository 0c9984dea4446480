"""What webhooks read and reserve in a payment's row: its URL and sequence numbers of its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows

_FIND_URLS = Statement("""
    SELECT p.id, p.webhook_url
    FROM json_to_recordset(:rows::json) AS wanted (payment_id uuid, merchant_id uuid)
    JOIN payments p ON p.id = wanted.payment_id AND p.merchant_id = wanted.merchant_id
    WHERE p.webhook_url IS NOT NULL
""")

_TAKE_SEQUENCES = Statement("""
    WITH locked AS (
        SELECT p.id, taken.count FROM json_to_recordset(:rows::json) AS taken (id uuid, count integer)
        JOIN payments p ON p.id = taken.id
        ORDER BY p.id
        FOR UPDATE OF p
    )
    UPDATE payments p SET last_sequence = p.last_sequence + locked.count
    FROM locked WHERE p.id = locked.id
    RETURNING p.id, p.last_sequence
""")


class OwnedPayment(NamedTuple):
    """A payment and the merchant it must belong to."""

    payment_id: UUID
    merchant_id: UUID


def find_urls(transaction: Transaction, payments: Iterable[OwnedPayment]) -> dict[UUID, str]:
    """Return the webhook URL of each payment that has one, by payment id."""
    rows = transaction.run(_FIND_URLS, rows=json_rows(payment._asdict() for payment in payments))
    return {row[0]: row[1] for row in rows}


def take_sequences(transaction: Transaction, counts: Mapping[UUID, int]) -> dict[UUID, int]:
    """Reserve that many sequence numbers of each payment; return the last one of each, by payment id."""
    rows = json_rows({"id": payment_id, "count": count} for payment_id, count in sorted(counts.items()))
    return {row[0]: row[1] for row in transaction.run(_TAKE_SEQUENCES, rows=rows)}
