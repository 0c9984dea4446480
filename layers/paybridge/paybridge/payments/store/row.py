"""How a row of `payments` becomes a Payment; every query that reads whole payments selects COLUMNS."""

from __future__ import annotations

from typing import Any

from paybridge.payments.domain.payment import Payment, Status

COLUMNS = (
    "p.id, p.merchant_id, p.amount_minor, p.captured_minor, p.refunded_minor, p.currency, p.status, p.created_at,"
    " p.updated_at, p.correlation_id, p.last_sequence, p.capture, p.failure_code, p.failure_message, p.description,"
    " p.metadata, p.webhook_url, p.customer, p.payment_method"
)


def payment_of(row: list[Any]) -> Payment:
    """The Payment of a row of COLUMNS."""
    return Payment(
        id=row[0],
        merchant_id=row[1],
        amount_minor=row[2],
        captured_minor=row[3],
        refunded_minor=row[4],
        currency=row[5],
        status=Status(row[6]),
        created_at=row[7],
        updated_at=row[8],
        correlation_id=row[9],
        last_sequence=row[10],
        capture=row[11],
        failure_code=row[12],
        failure_message=row[13],
        description=row[14],
        metadata=row[15],
        webhook_url=row[16],
        customer=row[17],
        payment_method=row[18],
    )
