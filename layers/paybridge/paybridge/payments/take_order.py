"""Take a merchant's order for a payment: capture it, cancel it, refund it.

The payment is read, the domain decides, and one statement makes the change if nothing has come between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from paybridge.core.errors import LockTimeout
from paybridge.database.database import Database
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import Answered, Keyed, KeyedOutcome, KeyInFlight, earlier_answer
from paybridge.payments.store import idempotency_keys
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store.ordered_operations import Order

# Each try that fails means that another order was taken since the payment was read. Orders of one payment come one by
# one, and those that come together are as many as there are environments of the API.
TRIES_MAX = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write for an order, the statement that does, and the answer once it is written."""

    order: Order
    write: Callable[[Database, Order], bool]
    answer: Answered


def take_order(
    database: Database, keyed: Keyed, payment_id: UUID, plan: Callable[[Payment], Plan | OrderRefusal]
) -> KeyedOutcome | OrderRefusal | None:
    """Write what `plan` makes of the payment, or return the earlier answer for the key.

    Return the refusal if the payment does not allow the order, None if the merchant has no such payment. Raises
    DatabaseUnavailable, and LockTimeout if others hold or change the payment all the time. A retry with the same key is
    safe then. An error that `plan` raises is passed on.
    """
    for _ in range(TRIES_MAX):
        payment = payment_queries.get(database, keyed.merchant_id, payment_id)
        if payment is None:
            return None
        planned = plan(payment)
        if isinstance(planned, Plan):
            outcome = _write(database, keyed, planned)
            if outcome is not None:
                return outcome
        # The fingerprint is of the members, so another one is another request.
        earlier = earlier_answer(database, keyed, lambda _: False)
        if earlier is not None:
            return earlier
        if isinstance(planned, OrderRefusal):
            return planned
    raise LockTimeout("the payment was changed again and again")


def _write(database: Database, keyed: Keyed, plan: Plan) -> KeyedOutcome | None:
    try:
        return plan.answer if plan.write(database, plan.order) else None
    except LockTimeout as error:
        earlier = earlier_answer(database, keyed, lambda _: False)
        if earlier is None and not idempotency_keys.is_in_flight(error):
            raise
        return earlier or KeyInFlight()
