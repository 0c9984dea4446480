"""Accept a payment."""

from __future__ import annotations

from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.core.events import PAYMENT_CREATED
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.events import payment_event
from paybridge.payments.domain.payment import PaymentOrder, new_payment, order_of, payment_view
from paybridge.payments.idempotency import (
    Answered,
    IdempotentRequest,
    Keyed,
    KeyedOutcome,
    KeyInFlight,
    accepted,
    earlier_answer,
)
from paybridge.payments.store import accepted_payments, idempotency_keys
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store.accepted_payments import Acceptance

OPERATION = "create_payment"


def create_payment(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    merchant_id: UUID,
    order: PaymentOrder,
    request: IdempotentRequest,
    correlation_id: str,
) -> KeyedOutcome:
    """Write the payment, its idempotency key and its first event, or return the earlier answer for the key.

    The fingerprint of the request is that of its raw body. Raises DatabaseUnavailable, and LockTimeout if an operator
    holds a table or a row that the payment needs. The payment may or may not be written then; a retry with the same key
    is safe.
    """
    keyed = Keyed(merchant_id, OPERATION, request)
    (payment, event, claim), answer = new_acceptance(clock, ids, keyed, order, correlation_id)
    try:
        written = accepted_payments.insert(database, payment, event, claim)
    except LockTimeout as error:
        if not idempotency_keys.is_in_flight(error):
            raise
        return _earlier_answer(database, keyed, order)
    return answer if written else _earlier_answer(database, keyed, order)


def new_acceptance(
    clock: Clock, ids: Ids, keyed: Keyed, order: PaymentOrder, correlation_id: str
) -> tuple[Acceptance, Answered]:
    """Return what to write for a new payment, and the answer once it is written. Raises InvalidInput."""
    payment = new_payment(
        order, id_=ids.new(), merchant_id=keyed.merchant_id, correlation_id=correlation_id, now=clock.now()
    )
    view = payment_view(payment)
    event = payment_event(ids.new(), PAYMENT_CREATED, payment, payment.created_at, view=view)
    claim, answer = accepted(keyed, payment.id, orjson.dumps(view), payment.created_at)
    return Acceptance(payment, event, claim), answer


def is_same_order(database: Database, merchant_id: UUID, payment_id: UUID, order: PaymentOrder) -> bool:
    """Tell whether the payment was made by this order: the same members, however they were written or sent."""
    # Clients and proxies write the same JSON in other bytes. What was asked for is in the payment itself.
    payment = payment_queries.get(database, merchant_id, payment_id)
    return payment is not None and order_of(payment) == order


def _earlier_answer(database: Database, keyed: Keyed, order: PaymentOrder) -> KeyedOutcome:
    def is_same(payment_id: UUID) -> bool:
        return is_same_order(database, keyed.merchant_id, payment_id, order)

    return earlier_answer(database, keyed, is_same) or KeyInFlight()
