"""Accepting a payment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.core.events import PAYMENT_CREATED
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.events import payment_event
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.store import accepted_payments
from paybridge.payments.store.accepted_payments import KeyClaim

OPERATION: Final = "create_payment"
ACCEPTED_STATUS: Final = 202


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOrder:
    """What a merchant asks for, already checked; `amount_minor` is in minor units of `currency`."""

    amount_minor: int
    currency: str
    description: str | None = None
    metadata: dict[str, str] | None = None
    webhook_url: str | None = None
    customer: str | None = None
    payment_method: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """The key that makes repeating safe, and the SHA-256 of the raw body it came with."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The payment is accepted; `replayed` when an earlier request did it and this is its answer again."""

    payment_id: UUID
    status: int
    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key belongs to a request with another body."""


@dataclass(frozen=True, slots=True)
class KeyInFlight:
    """An earlier request with this key has not ended yet."""


@dataclass(frozen=True, slots=True)
class AnswerExpired:
    """The key made this payment, too long ago for its answer to be kept."""

    payment_id: UUID


CreateOutcome = Answered | KeyReused | KeyInFlight | AnswerExpired


def create_payment(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    merchant_id: UUID,
    order: PaymentOrder,
    request: IdempotentRequest,
    correlation_id: str,
) -> CreateOutcome:
    """Writes the payment, its idempotency key and its first event at once, or gives the earlier answer for the key.

    Raises DatabaseUnavailable; nobody knows then whether the payment was written, and asking again with the same key
    is safe.
    """
    payment = _new_payment(clock, ids, merchant_id, order, correlation_id)
    event = payment_event(ids.new(), PAYMENT_CREATED, payment, payment.created_at)
    body = orjson.dumps(event.data)
    claim = KeyClaim(OPERATION, request.key, request.fingerprint, ACCEPTED_STATUS, body.decode())
    try:
        written = accepted_payments.insert(database, payment, event, claim)
    except LockTimeout:
        return KeyInFlight()
    if written:
        return Answered(payment.id, ACCEPTED_STATUS, body, replayed=False)
    return _earlier_answer(database, merchant_id, request)


def _earlier_answer(database: Database, merchant_id: UUID, request: IdempotentRequest) -> CreateOutcome:
    # A new statement, because the one that met the conflict cannot see a row committed after it began.
    earlier = accepted_payments.find_key(database, merchant_id, OPERATION, request.key)
    if earlier is None:
        return KeyInFlight()
    if earlier.fingerprint != request.fingerprint:
        return KeyReused()
    if earlier.response_body is None:
        return AnswerExpired(earlier.resource_id)
    return Answered(earlier.resource_id, earlier.response_status, earlier.response_body.encode(), replayed=True)


def _new_payment(clock: Clock, ids: Ids, merchant_id: UUID, order: PaymentOrder, correlation_id: str) -> Payment:
    now = clock.now()
    return Payment(
        id=ids.new(),
        merchant_id=merchant_id,
        amount_minor=order.amount_minor,
        currency=order.currency,
        status=Status.PENDING,
        created_at=now,
        updated_at=now,
        correlation_id=correlation_id,
        description=order.description,
        metadata=order.metadata,
        webhook_url=order.webhook_url,
        customer=order.customer,
        payment_method=order.payment_method,
    )
