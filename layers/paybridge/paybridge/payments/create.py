"""Accept a payment."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.core.events import PAYMENT_CREATED
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.events import payment_event
from paybridge.payments.domain.payment import PaymentOrder, new_payment, order_of
from paybridge.payments.store import accepted_payments
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store.accepted_payments import KeyClaim, KeyedAnswer

OPERATION = "create_payment"
ACCEPTED_STATUS = 202


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """The key that makes repeating safe, and the SHA-256 of the raw body it came with.

    Equal bytes are the same request. Other bytes may be too: then the orders are compared.
    """

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The payment is accepted; `replayed` if this repeats the answer to an earlier request with the same key."""

    payment_id: UUID
    status: int
    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key created this payment, by a request that asked for something else."""

    payment_id: UUID


@dataclass(frozen=True, slots=True)
class KeyInFlight:
    """An earlier request with this key is still running."""


@dataclass(frozen=True, slots=True)
class AnswerExpired:
    """The key created this payment, but the answer is too old to be kept."""

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
    """Write the payment, its idempotency key and its first event, or return the earlier answer for the key.

    Raises DatabaseUnavailable, and LockTimeout if an operator holds a table or a row that the payment needs. The
    payment may or may not be written then; a retry with the same key is safe.
    """
    payment = new_payment(order, id_=ids.new(), merchant_id=merchant_id, correlation_id=correlation_id, now=clock.now())
    event = payment_event(ids.new(), PAYMENT_CREATED, payment, payment.created_at)
    body = orjson.dumps(event.data)
    claim = KeyClaim(OPERATION, request.key, request.fingerprint, ACCEPTED_STATUS, body.decode())
    try:
        written = accepted_payments.insert(database, payment, event, claim)
    except LockTimeout as error:
        if not accepted_payments.is_key_in_flight(error):
            raise
        return _earlier_answer(database, merchant_id, order, request)
    if written:
        return Answered(payment.id, ACCEPTED_STATUS, body, replayed=False)
    return _earlier_answer(database, merchant_id, order, request)


def find_earlier_answer(
    database: Database, merchant_id: UUID, request: IdempotentRequest
) -> Answered | AnswerExpired | None:
    """Return the answer to an earlier request with this key and these very bytes, None if there is none.

    A request that was accepted stays accepted when it is repeated, even if a rule has become stricter since. Raises
    DatabaseUnavailable.
    """
    earlier = accepted_payments.find_key(database, merchant_id, OPERATION, request.key)
    return _repeated(earlier) if earlier is not None and earlier.fingerprint == request.fingerprint else None


def _earlier_answer(
    database: Database, merchant_id: UUID, order: PaymentOrder, request: IdempotentRequest
) -> CreateOutcome:
    # A new statement, because the one that met the conflict cannot see a row committed after it began.
    earlier = accepted_payments.find_key(database, merchant_id, OPERATION, request.key)
    if earlier is None:
        return KeyInFlight()
    if earlier.fingerprint != request.fingerprint:
        # Clients and proxies write the same JSON in other bytes. What was asked for is in the payment itself.
        payment = payment_queries.get(database, merchant_id, earlier.resource_id)
        if payment is None or order_of(payment) != order:
            return KeyReused(earlier.resource_id)
    return _repeated(earlier)


def _repeated(earlier: KeyedAnswer) -> Answered | AnswerExpired:
    if earlier.response_body is None:
        return AnswerExpired(earlier.resource_id)
    return Answered(earlier.resource_id, earlier.response_status, earlier.response_body.encode(), replayed=True)
