"""Accept the payments of a batch: one transaction, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.create import OPERATION, is_same_order, new_acceptance
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.payments.idempotency import IdempotentRequest, Keyed, KeyedOutcome, KeyInFlight, earlier_answers
from paybridge.payments.store import accepted_payments, merchants


class KeyedOrder(NamedTuple):
    """A merchant's order for a payment under its key."""

    merchant_id: UUID
    order: PaymentOrder
    request: IdempotentRequest
    correlation_id: str

    @property
    def keyed(self) -> Keyed:
        """Return the request under its key, which may be used once for a payment, by HTTP or by message."""
        return Keyed(self.merchant_id, OPERATION, self.request)


@dataclass(frozen=True, slots=True)
class MerchantUnknown:
    """There is no merchant with this id."""


BatchOutcome = KeyedOutcome | MerchantUnknown


def create_payments(database: Database, clock: Clock, ids: Ids, orders: Sequence[KeyedOrder]) -> list[BatchOutcome]:
    """Write what `create_payment` writes for each order, and return its outcome for each.

    Orders with one key may be in the same batch: the first of them makes the payment. Raises LockTimeout, having
    written nothing, if another request holds a key, InvalidInput if the currency of an order was withdrawn, and
    DatabaseUnavailable: a retry is safe.
    """
    made = [new_acceptance(clock, ids, one.keyed, one.order, one.correlation_id) for one in orders]
    written = accepted_payments.insert_many(database, [acceptance for acceptance, _ in made])
    outcomes: list[BatchOutcome] = [answer for _, answer in made]
    left = [number for number, (acceptance, _) in enumerate(made) if acceptance.payment.id not in written]
    if left:
        for number, outcome in zip(left, _outcomes_of_unwritten(database, [orders[at] for at in left]), strict=True):
            outcomes[number] = outcome
    return outcomes


def _outcomes_of_unwritten(database: Database, orders: Sequence[KeyedOrder]) -> list[BatchOutcome]:
    def is_same(number: int, payment_id: UUID) -> bool:
        one = orders[number]
        return is_same_order(database, one.merchant_id, payment_id, one.order)

    earlier = earlier_answers(database, [one.keyed for one in orders], is_same)
    known = merchants.existing(database, {one.merchant_id for one in orders})
    return [
        answer or (KeyInFlight() if one.merchant_id in known else MerchantUnknown())
        for one, answer in zip(orders, earlier, strict=True)
    ]
