"""Hold back the payments that screening blocks or wants reviewed, before their charges begin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from paybridge.core.events import PAYMENT_FAILED, PAYMENT_REVIEW, Event
from paybridge.database.database import Transaction
from paybridge.fraud.screen import find_rules, screen_payments
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import payment_event
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.screened import after_screening, to_screen
from paybridge.payments.records import EngineServices, PaymentOutcome, PaymentResult
from paybridge.payments.store import reviews
from paybridge.payments.store.history import StoredHistory

_HISTORY = StoredHistory()


def hold_suspects(
    services: EngineServices, transaction: Transaction, beginning: Sequence[Payment], now: datetime
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
    held = [payment for payment in screened if payment.status is not Status.PENDING]
    if held:
        reviews.change(transaction, held)
        outbox.add(transaction, [_event(services, payment, now) for payment in held])
    return screened, [_result(payment) for payment in held]


def _event(services: EngineServices, payment: Payment, now: datetime) -> Event:
    type_ = PAYMENT_REVIEW if payment.status is Status.REVIEW else PAYMENT_FAILED
    return payment_event(services.ids.new(), type_, payment, now)


def _result(payment: Payment) -> PaymentResult:
    outcome = PaymentOutcome.REVIEW if payment.status is Status.REVIEW else PaymentOutcome.FAILED
    return PaymentResult(payment.id, payment.correlation_id, outcome)
