"""Code older than operations writes attempts beside newer code: they are copied."""

from __future__ import annotations

import pytest

from local.testkit.payments import attempt_rows, new_merchant, new_payment, operation_rows
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

# How that code begins a charge, and how it records the answer.
_BEGIN = Statement("""
    WITH moved AS (
        UPDATE payments SET status = 'processing', last_sequence = 2, updated_at = now()
        WHERE id = :id::uuid AND status = 'pending'
    )
    INSERT INTO payment_attempts (payment_id, operation, number, status, started_at)
    VALUES (:id::uuid, 'charge', :number::smallint, 'started', now())
""")
_END = Statement("""
    UPDATE payment_attempts SET status = :status::text, gateway_id = :gateway_id::text, finished_at = now()
    WHERE payment_id = :id::uuid AND number = :number::smallint
""")


def test_its_attempts_are_those_of_the_charge(database: Database) -> None:
    payment_id = new_payment(database, new_merchant(database))
    database.run(_BEGIN, id=payment_id, number=1)
    database.run(_END, id=payment_id, number=1, status="unknown", gateway_id=None)
    database.run(_BEGIN, id=payment_id, number=2)
    (charge,) = operation_rows(database, payment_id)
    assert (charge["kind"], charge["status"], charge["number"]) == ("charge", "started", 2)
    database.run(_END, id=payment_id, number=2, status="succeeded", gateway_id="ch_1")
    # The answer to the first one came late.
    database.run(_END, id=payment_id, number=1, status="unknown", gateway_id=None)
    attempts = [(each["number"], each["status"], each["gateway_id"]) for each in attempt_rows(database, payment_id)]
    assert attempts == [(1, "unknown", None), (2, "succeeded", "ch_1")]
    (charge,) = operation_rows(database, payment_id)
    assert (charge["status"], charge["gateway_id"]) == ("succeeded", "ch_1")
