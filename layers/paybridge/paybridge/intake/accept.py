"""Accept the payments that messages order: each message ends as one payment or as one refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import InvalidInput, LockTimeout
from paybridge.core.ids import Ids
from paybridge.core.isolation import run_each_item, run_isolating_bad_items
from paybridge.core.raw_messages import RawMessage
from paybridge.database.database import Database
from paybridge.intake.read_message import MessageRefused, OrderInvalid, ReadingRules, read_message
from paybridge.payments.create import OPERATION
from paybridge.payments.create_many import BatchOutcome, KeyedOrder, MerchantUnknown, create_payments
from paybridge.payments.idempotency import (
    Answered,
    AnswerExpired,
    Keyed,
    KeyInFlight,
    KeyReused,
    find_earlier_answer,
)


class IntakeOutcome(StrEnum):
    """What became of a message."""

    ACCEPTED = "accepted"
    # The key had made this payment before.
    REPEATED = "repeated"
    REFUSED = "refused"
    # Another request holds the key at this moment.
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What became of one message. `reason` is why it was refused, and repeats nothing of it."""

    outcome: IntakeOutcome
    reason: str = ""
    payment_id: UUID | None = None
    merchant_id: UUID | None = None
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class IntakeServices:
    """What accepting a batch needs."""

    database: Database
    clock: Clock
    ids: Ids
    rules: ReadingRules


def accept_messages(services: IntakeServices, messages: Sequence[RawMessage]) -> list[IntakeResult]:
    """Accept the payments that the messages order, in one transaction, and return what became of each message.

    Raises DatabaseUnavailable, or LockTimeout if a whole table is locked: a retry finds what is accepted already.
    """
    results: list[IntakeResult | None] = [None] * len(messages)
    orders: list[tuple[int, KeyedOrder]] = []

    def read(number: int) -> None:
        orders.append((number, read_message(messages[number], services.rules, services.ids)))

    def on_unreadable(number: int, error: Exception) -> None:
        results[number] = _refused(services, error)

    def accept(part: Sequence[tuple[int, KeyedOrder]]) -> None:
        made = create_payments(services.database, services.clock, services.ids, [order for _, order in part])
        for (number, order), outcome in zip(part, made, strict=True):
            results[number] = _result(order, outcome)

    def on_unacceptable(numbered: tuple[int, KeyedOrder], error: Exception) -> None:
        number, order = numbered
        results[number] = _postponed(order) if isinstance(error, LockTimeout) else _failed(order, error)

    run_each_item(read, range(len(messages)), on_unreadable)
    if orders:
        run_isolating_bad_items(accept, orders, on_unacceptable)
    return [result for result in results if result is not None]


def _refused(services: IntakeServices, error: Exception) -> IntakeResult:
    if isinstance(error, OrderInvalid):
        earlier = find_earlier_answer(services.database, Keyed(error.merchant_id, OPERATION, error.request))
        if earlier is not None:
            return IntakeResult(IntakeOutcome.REPEATED, "", earlier.resource_id, error.merchant_id)
    # Another error's text may repeat the content of the message.
    reason = str(error) if isinstance(error, MessageRefused) else type(error).__name__
    return IntakeResult(IntakeOutcome.REFUSED, reason)


def _result(order: KeyedOrder, outcome: BatchOutcome) -> IntakeResult:
    merchant_id, correlation_id = order.merchant_id, order.correlation_id
    match outcome:
        case Answered(payment_id, _, _, replayed):
            kind = IntakeOutcome.REPEATED if replayed else IntakeOutcome.ACCEPTED
            return IntakeResult(kind, "", payment_id, merchant_id, correlation_id)
        case AnswerExpired(payment_id):
            return IntakeResult(IntakeOutcome.REPEATED, "", payment_id, merchant_id, correlation_id)
        case KeyReused(payment_id):
            reason = "idempotency_key_reused: The key made a payment that was ordered otherwise."
            return IntakeResult(IntakeOutcome.REFUSED, reason, payment_id, merchant_id, correlation_id)
        case MerchantUnknown():
            reason = "merchant_unknown: There is no merchant with this merchant_id."
            return IntakeResult(IntakeOutcome.REFUSED, reason, None, merchant_id, correlation_id)
        case KeyInFlight():
            return _postponed(order)


def _postponed(order: KeyedOrder) -> IntakeResult:
    return IntakeResult(IntakeOutcome.POSTPONED, "", None, order.merchant_id, order.correlation_id)


def _failed(order: KeyedOrder, error: Exception) -> IntakeResult:
    reason = f"{error.code}: {error.detail}" if isinstance(error, InvalidInput) else type(error).__name__
    return IntakeResult(IntakeOutcome.REFUSED, reason, None, order.merchant_id, order.correlation_id)
