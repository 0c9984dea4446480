"""Approve or reject payments that wait for a review. Approving begins the charge, rejecting ends the payment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.core.events import PAYMENT_FAILED, PAYMENT_PROCESSING
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.fraud import reviews as fraud_reviews
from paybridge.fraud.domain.reviews import EXPIRY_ACTOR, ReviewAnswer
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, accepted_first_operation
from paybridge.payments.domain.payment import Payment, Status, payment_view
from paybridge.payments.domain.screened import approve, reject
from paybridge.payments.idempotency import (
    IdempotentRequest,
    Keyed,
    KeyedOutcome,
    KeyInFlight,
    accepted,
    earlier_answer,
)
from paybridge.payments.store import idempotency_keys, operations, reviews
from paybridge.payments.store.operations import MerchantChoice
from paybridge.payments.tell_progress import add_steps, step_of

# Reviews that expire together, in one transaction, and transactions in each minute.
EXPIRED_BATCH = 200
EXPIRED_BATCHES_MAX = 20


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who answers a review: `merchant_id` is None for staff, who may answer those of every merchant."""

    actor: str
    merchant_id: UUID | None


@dataclass(frozen=True, slots=True)
class NoSuchPayment:
    """There is no such payment, or it is another merchant's."""


@dataclass(frozen=True, slots=True)
class NotInReview:
    """The payment does not wait for a review, now or any longer. Nothing was changed."""

    status: Status


class _Change(NamedTuple):
    """Payments in review, what the answer makes of them, and, of approved ones, what their merchants have chosen."""

    before: Sequence[Payment]
    after: Sequence[Payment]
    choices: Mapping[UUID, MerchantChoice]


ReviewOutcome = KeyedOutcome | NoSuchPayment | NotInReview


@dataclass(frozen=True, slots=True)
class ReviewServices:
    """What answering reviews needs."""

    database: Database
    clock: Clock
    ids: Ids


def answer_review(
    services: ReviewServices,
    payment_id: UUID,
    answer: ReviewAnswer,
    reviewer: Reviewer,
    *,
    key: str,
    note: str | None = None,
) -> ReviewOutcome:
    """Approve or reject a payment in review, or return the earlier answer for the key.

    Of requests, cancellations and the expiry that come at once, one wins; the others find the payment no longer in
    review. Raises DatabaseUnavailable, and LockTimeout if something else holds the payment's row.
    """
    request = IdempotentRequest(key, _fingerprint(payment_id, answer, note))
    try:
        with services.database.transaction() as transaction:
            payment = reviews.lock_one(transaction, payment_id, reviewer.merchant_id)
            if payment is None:
                return NoSuchPayment()
            keyed = Keyed(payment.merchant_id, _operation(answer, reviewer), request)
            if payment.status is Status.REVIEW:
                now = services.clock.now()
                change = _change(transaction, [payment], answer, now)
                [answered] = change.after
                claim, accepted_answer = accepted(keyed, payment.id, orjson.dumps(payment_view(answered)), now)
                if reviews.take_key(transaction, claim):
                    _write(services, transaction, change, answer, reviewer.actor, note, now)
                    return accepted_answer
    except LockTimeout as error:
        if idempotency_keys.is_in_flight(error):
            return KeyInFlight()
        raise
    earlier = earlier_answer(services.database, keyed, lambda _: False)
    return earlier or (KeyInFlight() if payment.status is Status.REVIEW else NotInReview(payment.status))


def expire_reviews(services: ReviewServices, answer: ReviewAnswer) -> int:
    """Give every review that has expired this answer, and return how many there were.

    A payment that left the review in another way, such as by a cancellation, only has its review closed. Raises
    DatabaseUnavailable.
    """
    expired = 0
    for _ in range(EXPIRED_BATCHES_MAX):
        now = services.clock.now()
        ids = fraud_reviews.expired(services.database, now, EXPIRED_BATCH)
        if ids:
            expired += _expire(services, ids, answer, now)
        if len(ids) < EXPIRED_BATCH:
            break
    return expired


def _expire(services: ReviewServices, ids: Sequence[UUID], answer: ReviewAnswer, now: datetime) -> int:
    with services.database.transaction() as transaction:
        payments = reviews.lock_all(transaction, ids)
        waiting = [payment for payment in payments if payment.status is Status.REVIEW]
        gone = [payment.id for payment in payments if payment.status is not Status.REVIEW]
        if gone:
            fraud_reviews.answer(transaction, gone, ReviewAnswer.CLOSED, EXPIRY_ACTOR, None, now)
        if waiting:
            change = _change(transaction, waiting, answer, now)
            _write(services, transaction, change, answer, EXPIRY_ACTOR, None, now)
    return len(waiting)


def _change(transaction: Transaction, payments: Sequence[Payment], answer: ReviewAnswer, now: datetime) -> _Change:
    if answer is ReviewAnswer.REJECTED:
        return _Change(payments, [reject(payment, now) for payment in payments], {})
    choices = operations.find_choices(transaction, {payment.merchant_id for payment in payments})
    gateways = {merchant_id: choice.gateway for merchant_id, choice in choices.items()}
    after = [approve(payment, gateways.get(payment.merchant_id, DEFAULT_GATEWAY), now) for payment in payments]
    return _Change(payments, after, choices)


def _write(
    services: ReviewServices,
    transaction: Transaction,
    change: _Change,
    answer: ReviewAnswer,
    actor: str,
    note: str | None,
    now: datetime,
) -> None:
    """Write the payments, their events, their decisions' answers, and for approved ones the charges to make."""
    reviews.change(transaction, change.after)
    type_ = PAYMENT_FAILED if answer is ReviewAnswer.REJECTED else PAYMENT_PROCESSING
    steps = [
        step_of(services.ids, before, after, type_, now)
        for before, after in zip(change.before, change.after, strict=True)
    ]
    add_steps(transaction, services.ids, steps, change.choices, now)
    if answer is ReviewAnswer.APPROVED:
        charges = [accepted_first_operation(payment, now) for payment in change.after]
        operations.add(transaction, charges)
        outbox.add(transaction, [run_operation_command(services.ids.new(), charge, now) for charge in charges])
    fraud_reviews.answer(transaction, [payment.id for payment in change.after], answer, actor, note, now)


def _operation(answer: ReviewAnswer, reviewer: Reviewer) -> str:
    # Staff and merchant choose keys on their own.
    name = "reject_payment" if answer is ReviewAnswer.REJECTED else "approve_payment"
    return name if reviewer.merchant_id is not None else f"{name}/staff"


def _fingerprint(payment_id: UUID, answer: ReviewAnswer, note: str | None) -> bytes:
    return hashlib.sha256(repr((str(payment_id), str(answer), note)).encode()).digest()
