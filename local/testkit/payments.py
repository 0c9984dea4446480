"""Payments made and looked at without the API, for tests of what happens behind it."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from paybridge.access.register import register_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.payments.create import create_payment
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.payments.idempotency import Answered, IdempotentRequest

WEBHOOK_SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="

_keys = itertools.count(1)


@dataclass
class MovableClock:
    """The real time, or that at which it was stopped, moved on by as much as the test says."""

    ahead: timedelta = field(default_factory=timedelta)
    stopped_at: datetime | None = None

    def now(self) -> datetime:
        return (self.stopped_at or SystemClock().now()) + self.ahead

    def stop(self) -> None:
        """Stand still from now on, so that no result depends on how long the machine takes."""
        self.stopped_at = SystemClock().now()

    def move(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    def follow(self, _: datetime) -> None:
        """Stay where the test has moved it, whatever the database's clock says."""


def new_merchant(database: Database) -> uuid.UUID:
    """A merchant of the test's own."""
    merchant_id = register_merchant(database, name="Test", api_key=f"key-{uuid.uuid4()}", webhook_secret=WEBHOOK_SECRET)
    assert merchant_id is not None
    return merchant_id


def new_payment(database: Database, merchant_id: uuid.UUID, **order: Any) -> uuid.UUID:
    """An accepted payment of 100.50 RUB, still pending, its event in the outbox."""
    values = {"amount_minor": 10050, "currency": "RUB", "payment_method": "tok_success", **order}
    answer = create_payment(
        database,
        SystemClock(),
        Uuid7Ids(),
        merchant_id=merchant_id,
        order=PaymentOrder(**values),
        request=IdempotentRequest(f"key-{next(_keys)}-{uuid.uuid4()}", bytes(32)),
        correlation_id=f"test-{uuid.uuid4()}",
    )
    assert isinstance(answer, Answered)
    return answer.resource_id


# The newest attempt stands in the operation, and those before it have rows.
_ATTEMPTS = """
    SELECT json_build_object(
        'number', number, 'status', status, 'gateway_id', gateway_id, 'failure_code', failure_code,
        'gateway_code', gateway_code, 'approved_minor', approved_minor, 'error', error, 'asks', asks,
        'asked_at', asked_at, 'started_at', started_at, 'pending_at', pending_at, 'finished_at', finished_at)
    FROM (
        SELECT number, status, gateway_id, failure_code, gateway_code, approved_minor, error, 0 AS asks,
               NULL::timestamptz AS asked_at, started_at, pending_at, finished_at
        FROM operation_attempts WHERE operation_id = :id::uuid
      UNION ALL
        SELECT number, CASE WHEN status = 'started' THEN status ELSE attempt_status END, gateway_id, failure_code,
               gateway_code, approved_minor, error, asks, asked_at, started_at, pending_at, finished_at
        FROM operations WHERE id = :id::uuid AND number > 0
    ) AS attempts
    ORDER BY number
"""


def captured_payment(database: Database, merchant_id: uuid.UUID, **order: Any) -> uuid.UUID:
    """A payment of 100.00 EUR, unless `order` differs, whose money was taken."""
    payment_id = new_payment(database, merchant_id, **{"amount_minor": 10_000, "currency": "EUR", **order})
    _change(database, payment_id, "status = 'processing', gateway = 'default'")
    _change(database, payment_id, "status = 'succeeded', gateway_id = 'ch_1', captured_minor = amount_minor")
    return payment_id


def authorized_payment(
    database: Database, merchant_id: uuid.UUID, *, capture_seconds: float = 604_800, **order: Any
) -> uuid.UUID:
    """A payment of 100.00 EUR, unless `order` differs, that waits for its capture, which may come for so long."""
    values = {"amount_minor": 10_000, "currency": "EUR", "capture": "manual", **order}
    payment_id = new_payment(database, merchant_id, **values)
    _change(database, payment_id, "status = 'processing', gateway = 'default'")
    _change(
        database,
        payment_id,
        "status = 'requires_capture', gateway_id = 'auth_1', authorized_minor = amount_minor, "
        f"capture_before = now() + make_interval(secs => {capture_seconds})",
    )
    return payment_id


def _change(database: Database, payment_id: uuid.UUID, changes: str) -> None:
    database.run(Statement(f"UPDATE payments SET {changes} WHERE id = :id::uuid"), id=payment_id)  # noqa: S608


def rows(database: Database, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries; it must name its columns in a JSON object called `row`."""
    return [found[0] for found in database.run(Statement(sql), **parameters)]


def payment_row(database: Database, payment_id: uuid.UUID) -> dict[str, Any]:
    return rows(database, "SELECT to_json(p) FROM payments p WHERE id = :id::uuid", id=payment_id)[0]


def attempt_rows(database: Database, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    """Return the attempts at the payment's charge or authorization. The newest may have no end yet."""
    return rows(database, _ATTEMPTS, id=payment_id)


def operation_rows(database: Database, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return rows(database, "SELECT to_json(o) FROM operations o WHERE payment_id = :id::uuid ORDER BY id", id=payment_id)


def outbox_rows(database: Database, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return rows(database, "SELECT to_json(o) FROM outbox o WHERE payment_id = :id::uuid ORDER BY id", id=payment_id)


def charges(gateway_url: str, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    """What the gateway's own log says was charged: the oracle."""
    return gateway_records(gateway_url, payment_id, "charge")


def gateway_records(gateway_url: str, payment_id: uuid.UUID, *kinds: str) -> list[dict[str, Any]]:
    """What the gateway's own log says was done for the payment: every kind, or those named."""
    answer = httpx.get(f"{gateway_url}/charges", params={"reference": str(payment_id)}, trust_env=False, timeout=30)
    done = [record for record in answer.raise_for_status().json() if record["status"] == "succeeded"]
    return [record for record in done if not kinds or record["kind"] in kinds]


def control_gateway(gateway_url: str, **changes: Any) -> None:
    httpx.post(f"{gateway_url}/_control", json=changes, trust_env=False, timeout=30).raise_for_status()
