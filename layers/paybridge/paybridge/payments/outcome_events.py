"""Make the events of operations that have settled, and of the payments that they changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from paybridge.core.events import REFUND_FAILED, REFUND_SUCCEEDED, Event
from paybridge.core.ids import Ids
from paybridge.core.records import changed
from paybridge.database.database import Transaction
from paybridge.payments.decide_answers import DecidedAttempt
from paybridge.payments.domain.attempts import Settle
from paybridge.payments.domain.events import EVENT_TYPES, payment_event
from paybridge.payments.domain.facts import UnsettledCharge, charge_returned, operation_fact, returned_reason
from paybridge.payments.domain.operation import OperationStatus
from paybridge.payments.domain.outcome import Effect, PaymentChange
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.refund import is_refund, refund_event
from paybridge.payments.store import operations
from paybridge.payments.store.attempts import Settled


def outcome_events(
    ids: Ids,
    transaction: Transaction,
    decided: Sequence[DecidedAttempt],
    settled: Mapping[UUID, Settled],
    now: datetime,
) -> list[Event]:
    """Make the events of the operations that this call settled, and of the payments that they changed."""
    events: list[Event] = []
    later: list[DecidedAttempt] = []
    for each in decided:
        ended = settled.get(each.operation.id)
        if ended is None or not isinstance(each.decision, Settle):
            continue
        if each.change is None or each.change.effect is not Effect.FIRST:
            later.append(each)
            continue
        payment = _changed(each.answered.attempt.payment, each.change, ended, now)
        fact = operation_fact(each.operation, payment)
        events.append(payment_event(ids.new(), EVENT_TYPES[payment.status], payment, now, fact))
    return events + _later_events(ids, transaction, later, settled, now) if later else events


def _changed(payment: Payment, change: PaymentChange, settled: Settled, now: datetime) -> Payment:
    """Return the payment after its charge or authorization. Nothing else changes it while it is processing."""
    return changed(
        payment,
        status=change.status or payment.status,
        authorized_minor=change.authorized_minor or 0,
        captured_minor=change.captured_minor or 0,
        capture_before=change.capture_before,
        failure_code=change.failure_code,
        failure_message=change.failure_message,
        last_sequence=settled.payment_sequence or payment.last_sequence,
        updated_at=now,
    )


def _later_events(
    ids: Ids,
    transaction: Transaction,
    decided: Sequence[DecidedAttempt],
    settled: Mapping[UUID, Settled],
    now: datetime,
) -> list[Event]:
    """Make the events of refunds and of charges given back, and one for each payment that changed, as it is now."""
    payments = operations.read_payments(transaction, (each.operation.payment_id for each in decided))
    events = [
        _refund_event(ids, each, payments[each.operation.payment_id], settled[each.operation.id], now)
        for each in decided
        if is_refund(each.operation)
    ]
    events += [event for each in decided if (event := _returned(ids, each, payments[each.operation.payment_id], now))]
    moved = {each.operation.payment_id: each for each in decided if each.change is not None and each.change.has_event}
    for payment_id in sorted(moved):
        payment, operation = payments[payment_id], moved[payment_id].operation
        # Several refunds may have changed the payment together. Each has an event that says how much it gave back.
        fact = None if is_refund(operation) else operation_fact(operation, payment)
        events.append(payment_event(ids.new(), EVENT_TYPES[payment.status], payment, now, fact))
    return events


def _returned(ids: Ids, decided: DecidedAttempt, payment: Payment, now: datetime) -> Event | None:
    """Make the fact that a charge was given back that settles no payment; None if it was not."""
    settle, reason = decided.decision, returned_reason(decided.operation)
    assert isinstance(settle, Settle)
    if reason is None or settle.status is not OperationStatus.SUCCEEDED:
        return None
    charge = UnsettledCharge(payment, decided.operation.id, decided.operation.amount_minor, reason)
    return charge_returned(ids.new(), charge, now)


def _refund_event(ids: Ids, decided: DecidedAttempt, payment: Payment, settled: Settled, now: datetime) -> Event:
    settle = decided.decision
    assert isinstance(settle, Settle)
    refund = replace(
        decided.operation,
        status=settle.status,
        failure_code=settle.failure_code,
        failure_message=settle.failure_message,
        last_sequence=settled.sequence,
        updated_at=now,
    )
    type_ = REFUND_SUCCEEDED if settle.status is OperationStatus.SUCCEEDED else REFUND_FAILED
    return refund_event(ids.new(), type_, refund, payment.currency, payment.currency_places, now)
