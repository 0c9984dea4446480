"""Correct payments and refunds by what the gateway did after a refund had ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from paybridge.core.events import REFUND_CREATED, REFUND_FAILED, REFUND_SUCCEEDED, Event
from paybridge.core.ids import Ids
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.decline_codes import REFUND_REVERSED
from paybridge.payments.domain.events import EVENT_TYPES, payment_event
from paybridge.payments.domain.facts import UnsettledCharge, charge_taken, returned_reason
from paybridge.payments.domain.late_changes import RefundedLate
from paybridge.payments.domain.operation import Cause, Operation, OperationStatus
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.refund import is_refund, refund_event
from paybridge.payments.store import operations, refund_corrections
from paybridge.payments.store.refund_corrections import LateRefund, Reversal

_REVERSED_MESSAGE = "The gateway took the refund back after it had succeeded."


def take_back(ids: Ids, transaction: Transaction, refunds: Sequence[Operation], now: datetime) -> list[Operation]:
    """Record that the gateway took these refunds back, with their events; return those that this call changed.

    The payments must be locked. What they have refunded becomes less, and their status follows from it.
    """
    if not refunds:
        return []
    reversals = {each.id: ids.new() for each in refunds}
    sequences = refund_corrections.take_back(
        transaction, [Reversal(*pair) for pair in reversals.items()], REFUND_REVERSED, _REVERSED_MESSAGE, now
    )
    changed = [_reversed(each, sequences[each.id], now) for each in refunds if each.id in sequences]
    payments = operations.read_payments(transaction, (each.payment_id for each in changed))
    shown = [each for each in changed if is_refund(each)]
    events = [_refund_event(ids, REFUND_FAILED, each, payments[each.payment_id], now) for each in shown]
    outbox.add(transaction, events)
    moved = sorted({each.payment_id for each in shown})
    again = [
        _taken_again(ids, reversals[each.id], each, reason, payments[each.payment_id], now)
        for each in changed
        if (reason := returned_reason(each)) is not None
    ]
    # The metrics count how often payments settle. This one had succeeded before.
    outbox.add(transaction, [*(_payment_event(ids, payments[id_], now) for id_ in moved), *again], is_counted=False)
    return changed


def add_late_refund(
    ids: Ids, transaction: Transaction, given_up: Operation, found: RefundedLate, now: datetime
) -> Operation | None:
    """Record a refund that the gateway made although it had been given up, with its events.

    The payment must be locked. The refund that the merchant knows as failed stays failed, and a second one is shown.
    Return it, or None if the payment has no room for it: more was given back than was taken.
    """
    refund = _late_refund(ids, given_up, found, now)
    recorded = LateRefund(refund.id, refund.payment_id, given_up.id, found.gateway_id, found.amount_minor)
    if not refund_corrections.add_refund(transaction, recorded, now):
        return None
    payment = operations.read_payments(transaction, [refund.payment_id])[refund.payment_id]
    accepted = replace(refund, status=OperationStatus.ACCEPTED, last_sequence=1)
    events = [
        _refund_event(ids, REFUND_CREATED, accepted, payment, now),
        _refund_event(ids, REFUND_SUCCEEDED, refund, payment, now),
        _payment_event(ids, payment, now),
    ]
    outbox.add(transaction, events)
    return refund


def _taken_again(ids: Ids, reversal_id: UUID, refund: Operation, reason: str, payment: Payment, now: datetime) -> Event:
    """Make the fact that the gateway has money again that it had given back and that settles no payment."""
    return charge_taken(ids.new(), UnsettledCharge(payment, reversal_id, refund.amount_minor, reason), 1, now)


def _reversed(refund: Operation, sequence: int, now: datetime) -> Operation:
    return replace(
        refund,
        status=OperationStatus.REVERSED,
        failure_code=REFUND_REVERSED,
        failure_message=_REVERSED_MESSAGE,
        last_sequence=sequence,
        updated_at=now,
    )


def _late_refund(ids: Ids, given_up: Operation, found: RefundedLate, now: datetime) -> Operation:
    return replace(
        given_up,
        id=ids.new(),
        cause=Cause.GATEWAY,
        amount_minor=found.amount_minor,
        status=OperationStatus.SUCCEEDED,
        gateway_id=found.gateway_id,
        number=0,
        asks=0,
        failure_code=None,
        failure_message=None,
        last_sequence=2,
        created_at=now,
        updated_at=now,
    )


def _refund_event(ids: Ids, type_: str, refund: Operation, payment: Payment, now: datetime) -> Event:
    return refund_event(ids.new(), type_, refund, payment.currency, payment.currency_places, now)


def _payment_event(ids: Ids, payment: Payment, now: datetime) -> Event:
    return payment_event(ids.new(), EVENT_TYPES[payment.status], payment, now)
