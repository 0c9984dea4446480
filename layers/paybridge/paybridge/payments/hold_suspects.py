"""Hold back the payments that screening blocks or wants reviewed, before their charges begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from paybridge.core.events import PAYMENT_FAILED, PAYMENT_REVIEW
from paybridge.database.database import Transaction
from paybridge.fraud.screen import find_rules, screen_payments
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.screened import after_screening, to_screen
from paybridge.payments.records import EngineServices, PaymentOutcome, PaymentResult
from paybridge.payments.store import reviews
from paybridge.payments.store.history import StoredHistory
from paybridge.payments.store.operations import MerchantChoice
from paybridge.payments.tell_progress import PaymentStep, add_steps, step_of

_HISTORY = StoredHistory()


def hold_suspects(
    services: EngineServices,
    transaction: Transaction,
    beginning: Sequence[Payment],
    choices: Mapping[UUID, MerchantChoice],
    now: datetime,
) -> tuple[list[Payment], list[PaymentResult]]:
    """Screen the payments that begin, and hold back those that are blocked or have to be reviewed.

    Return those that were screened, as they are now: one that may begin is still pending. Also return the results of
    those that are held back. A payment is screened once, because it does not stay pending.
    """
    sets = find_rules(transaction, {payment.merchant_id for payment in beginning})
    if not sets:
        return [], []
    suspects = [payment for payment in beginning if payment.merchant_id in sets]
    screenings = screen_payments(
        transaction,
        [to_screen(payment, now) for payment in suspects],
        sets,
        now,
        history=_HISTORY,
        review_expiry_seconds=services.review_expiry_seconds,
    )
    screened = [after_screening(payment, screenings[payment.id], now) for payment in suspects]
    held = [
        (before, after) for before, after in zip(suspects, screened, strict=True) if after.status is not Status.PENDING
    ]
    if held:
        reviews.change(transaction, [after for _, after in held])
        steps = [_step(services, before, after, now) for before, after in held]
        add_steps(transaction, services.ids, steps, choices, now)
    return screened, [_result(after) for _, after in held]


def _step(services: EngineServices, before: Payment, after: Payment, now: datetime) -> PaymentStep:
    type_ = PAYMENT_REVIEW if after.status is Status.REVIEW else PAYMENT_FAILED
    return step_of(services.ids, before, after, type_, now)


def _result(payment: Payment) -> PaymentResult:
    outcome = PaymentOutcome.REVIEW if payment.status is Status.REVIEW else PaymentOutcome.FAILED
    return PaymentResult(payment.id, payment.correlation_id, outcome)
